"""The traffic rules of one service as data, for each door in the form that it reads."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from apps.compiler.emitters.nginx_text import policy_key
from apps.compiler.graph import AccessGraph, Point, Service, TrafficRule
from apps.compiler.slices import holders
from apps.compiler.traffic import EVERYBODY, HEADERS, known_variant, origin_of, rank

Row = tuple[str, str]


def item_rows(
    graph: AccessGraph, service: Service, teams: Mapping[str, tuple[str, ...]], hasher: Callable[[str], str]
) -> list[list[object]]:
    """``[rule, [route, ...], hashes or null, percent, starts, ends, variant, {header: value or null}, share, origin]``.

    In order; null hashes stand for everybody; ``share`` is what the caller's side is drawn by; ``origin`` is left out
    where there is none. Limits and breakers are left out, because the edge cannot count.
    """
    return [
        [
            rule.id,
            sorted(rule.routes),
            None if rule.subject == EVERYBODY else sorted(map(hasher, holders(rule, graph.subjects, teams))),
            *_what(graph, rule),
            rule.variant,
            *filter(None, [origin_of(service, rule.variant)]),
        ]
        for rule in _rules(graph, service, Point.EDGE)
    ]


def map_rows(graph: AccessGraph, service: Service, teams: Mapping[str, tuple[str, ...]]) -> Iterator[Row]:
    """Rows of the mesh's policy map, by route and caller, and by route alone for everybody; and what there is at all.

    ``traffic <service> <route> [<subject>]`` ->
    ``[[rule, percent, starts, ends, variant, headers, limit, share, [errors, seconds]], ...]``, the last left out where
    the rule breaks nothing;
    ``treated <service>`` -> ``[[variant, ...], [route, ...]]``, so that a call no rule speaks of costs one look.
    """
    routes = {route.id for route in service.routes}
    found: dict[tuple[str, ...], list[object]] = defaultdict(list)
    for rule in _rules(graph, service, Point.MESH):
        whom = [()] if rule.subject == EVERYBODY else [(who,) for who in holders(rule, graph.subjects, teams)]
        for route in sorted(rule.routes & routes):
            for who in whom:
                told = [rule.id, *_what(graph, rule), rule.calls_per_minute, rule.variant]
                found[route, *who].append(told if rule.breaker is None else [*told, list(rule.breaker)])
    if found or service.variants:
        spoken_of = sorted({key[0] for key in found})
        yield policy_key("treated", service.id), _json([[one.name for one in service.variants], spoken_of])
    for key, rows in found.items():
        yield policy_key("traffic", service.id, *key), _json(rows)


def _rules(graph: AccessGraph, service: Service, point: Point) -> list[TrafficRule]:
    concerned = [rule for rule in graph.traffic if rule.service == service.id and point in rule.points]
    return sorted(concerned, key=lambda rule: rank(rule, graph.subjects))


def _what(graph: AccessGraph, rule: TrafficRule) -> list[object]:
    headers = dict(sorted(rule.headers.items()))
    return [rule.percent, rule.starts_at, rule.ends_at, known_variant(graph, rule), headers]


def _json(value: object) -> str:
    """Compact ASCII without dollar signs, which NGINX would take for variables."""
    return json.dumps(value, separators=(",", ":")).replace("$", "\\u0024")


def header_variable(name: str) -> str:
    """A header's name as it ends the names of variables about it."""
    return name.lower().replace("-", "_")


def header_maps() -> str:
    """What becomes of each header a rule may speak of: sent as it came, taken away, or with a value of ours."""
    blocks = [
        f"js_var $sp_does_{key};\n"
        f"js_var $sp_value_{key};\n"
        f"map $sp_does_{key} $sp_sends_{key} {{\n"
        f"    default $http_{key};\n"
        f'    remove "";\n'
        f"    set $sp_value_{key};\n"
        f"}}\n"
        for key in map(header_variable, HEADERS)
    ]
    return "# Generated. The headers that traffic rules may set or remove.\n" + "\n".join(blocks)


def header_lines() -> str:
    """One line for each header a rule may touch: it goes on as the rules have it."""
    lines = [f"proxy_set_header {name} $sp_sends_{header_variable(name)};\n" for name in HEADERS]
    return "# Generated. The headers that traffic rules may set or remove, as they go on.\n" + "".join(lines)
