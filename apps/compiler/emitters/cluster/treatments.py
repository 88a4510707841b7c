"""Which traffic rules Kubernetes objects can carry: those that speak of everybody and of the whole service.

A share of a rule is drawn by the caller; objects draw it by the call, so that the same caller is now here, now there.
What treats some callers apart, or sets headers, has no place in objects at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from apps.compiler.emitters.cluster.objects import caller_account
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.graph import WHOLE, AccessGraph, Point, Service, TrafficRule
from apps.compiler.lint import Severity
from apps.compiler.surroundings import ClusterSurroundings
from apps.compiler.traffic import EVERYBODY, known_variant
from apps.compiler.traffic_words import rule_words

USUAL = "usual"
"""The suffix of the Kubernetes Service of the usual version, where a service has others: ``<slug>-usual``."""


class Share(NamedTuple):
    """``weight`` of every hundred calls go to ``variant``; an empty variant is the usual version."""

    variant: str
    weight: int


def running(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[TrafficRule, ...]:
    """The rules of a service that apply inside the mesh at the moment compiled for."""
    return tuple(
        sorted(
            (
                rule
                for rule in graph.traffic
                if rule.service == service.id
                and Point.MESH in rule.points
                and rule.starts_at <= surroundings.at
                and (rule.ends_at is None or surroundings.at < rule.ends_at)
            ),
            key=lambda rule: rule.id,
        )
    )


def _is_whole(rule: TrafficRule, service: Service) -> bool:
    return not service.is_tcp and all(route.id in rule.routes for route in service.routes)


def splitting(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> TrafficRule | None:
    """The one rule that sends a share of everybody's calls to another version; None where there is none or several."""
    found = [
        rule
        for rule in running(graph, service, surroundings)
        if rule.subject == EVERYBODY and _is_whole(rule, service) and known_variant(graph, rule)
    ]
    return found[0] if len(found) == 1 else None


def shares(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[Share, ...]:
    """How the calls of a service are divided; nothing where all go to the usual version."""
    rule = splitting(graph, service, surroundings)
    if rule is None:
        return ()
    parts = (Share("", WHOLE - rule.percent), Share(rule.variant, rule.percent))
    return tuple(part for part in parts if part.weight > 0)


def versions(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[str, ...]:
    """Suffixes of the Kubernetes Services that answer for a service: none, or those of versions that share calls."""
    return tuple(part.variant or USUAL for part in shares(graph, service, surroundings)) or ("",)


def breaker(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> TrafficRule | None:
    """The breaker of everybody's calls to the whole service; of several, which can only be alike, the first."""
    found = (
        rule
        for rule in running(graph, service, surroundings)
        if rule.breaker is not None and rule.subject == EVERYBODY and rule.percent >= WHOLE and _is_whole(rule, service)
    )
    return next(found, None)


def brake(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> TrafficRule | None:
    """The strictest limit on everybody, each apart, about the whole service."""
    found = [rule for rule in _limits(graph, service, surroundings) if rule.subject == EVERYBODY]
    return min(found, key=_strictness, default=None)


def workload_limits(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> tuple[TrafficRule, ...]:
    """Of each workload that Kubernetes sees the strictest limit on the whole service, in order of subject."""
    found: dict[str, TrafficRule] = {}
    for rule in sorted(_limits(graph, service, surroundings), key=_strictness):
        if caller_account(rule.subject, surroundings) is not None:
            found.setdefault(rule.subject, rule)
    return tuple(found[subject] for subject in sorted(found))


def _limits(graph: AccessGraph, service: Service, surroundings: ClusterSurroundings) -> list[TrafficRule]:
    return [
        rule
        for rule in running(graph, service, surroundings)
        if rule.calls_per_minute is not None and rule.percent >= WHOLE and _is_whole(rule, service)
    ]


def _strictness(rule: TrafficRule) -> tuple[int, str]:
    return rule.calls_per_minute or 0, rule.id


def traps(
    graph: AccessGraph,
    service: Service,
    surroundings: ClusterSurroundings,
    counted: Iterable[TrafficRule],
    *,
    breaks: bool = False,
) -> Iterator[Trap]:
    """``counted`` are the rules whose limits are kept: by the objects, or by the verifier they have asked.

    ``breaks``: the objects have a breaker for everybody's calls to the whole service.
    """
    broken = breaker(graph, service, surroundings) if breaks else None
    split, limits = splitting(graph, service, surroundings), tuple(counted)
    for rule in running(graph, service, surroundings):
        words = rule_words(graph, rule)
        is_sent = not rule.variant or rule == split
        is_counted = rule.calls_per_minute is None or rule in limits
        is_broken = rule.breaker is None or rule == broken
        if rule.headers or not (is_sent and is_counted and is_broken):
            yield Trap("traffic_rule_left_out", f"These objects cannot say all of this: {words}.", Severity.WARNING)
        elif rule.variant and rule.percent < WHOLE:
            sentence = f"Objects draw lots for each call, not for each caller: {words}."
            yield Trap("share_not_by_caller", sentence, Severity.NOTE)


def limited(rule: TrafficRule) -> bool:
    return rule.calls_per_minute is not None
