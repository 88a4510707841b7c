"""An access graph as JSON and back: what a target's artifacts were compiled from, kept to say what changes next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from apps.compiler.graph import (
    AccessGraph,
    Breaker,
    Cause,
    Denial,
    EdgeExposure,
    Grant,
    Guardrail,
    MeshExposure,
    Point,
    Protocol,
    Route,
    Service,
    Subject,
    SubjectKind,
    TrafficRule,
    Variant,
)

Json = dict[str, Any]


def to_json(graph: AccessGraph) -> Json:
    """In a fixed order, so that equal graphs give equal JSON."""
    return {
        "subjects": [
            [s.id, s.kind.value, s.name, s.active, sorted(s.teams), s.calls_per_minute]
            for _, s in sorted(graph.subjects.items())
        ],
        "services": [_service_row(service) for _, service in sorted(graph.services.items())],
        "grants": [
            [g.id, g.subject, g.service, sorted(g.routes), sorted(g.points), g.starts_at, g.ends_at]
            for g in sorted(graph.grants, key=lambda grant: grant.id)
        ],
        "guardrails": [_guardrail_row(wall) for wall in sorted(graph.guardrails, key=lambda wall: wall.id)],
        "denials": [
            [d.subject, d.cause.value, d.until, d.issued_until, sorted(d.services)]
            for d in sorted(graph.denials, key=lambda d: (d.subject, d.cause, d.until))
        ],
        "traffic": [_rule_row(rule) for rule in sorted(graph.traffic, key=lambda rule: rule.id)],
    }


def _service_row(service: Service) -> list[object]:
    routes = [[r.id, sorted(r.methods), r.template] for r in sorted(service.routes, key=lambda route: route.id)]
    edge = [service.edge.host, service.edge.base_path] if service.edge else None
    mesh = service.mesh
    inside = [mesh.namespace, mesh.workload, mesh.port, mesh.upstream_port, *_protocol(mesh)] if mesh else None
    return [service.id, service.name, routes, edge, inside, [_variant(v) for v in service.variants]]


def _protocol(mesh: MeshExposure) -> list[str]:
    return [] if mesh.protocol is Protocol.HTTP else [mesh.protocol.value]


def _variant(variant: Variant) -> list[object]:
    return [variant.name, variant.upstream_port, *filter(None, [variant.origin])]


def _rule_row(rule: TrafficRule) -> list[object]:
    who, where = [rule.id, rule.subject, rule.service], [sorted(rule.routes), sorted(rule.points)]
    what = [rule.percent, rule.variant, [*map(list, rule.set_headers)], list(rule.remove_headers)]
    breaker = [] if rule.breaker is None else [list(rule.breaker)]
    return [*who, *where, rule.starts_at, rule.ends_at, *what, rule.calls_per_minute, *breaker]


def _guardrail_row(wall: Guardrail) -> list[object]:
    return [
        wall.id,
        wall.sentence,
        *(sorted(part) for part in (wall.kinds, wall.subjects, wall.services, wall.routes, wall.methods, wall.points)),
    ]


def from_json(data: Json) -> AccessGraph:
    return AccessGraph(
        subjects={
            row[0]: Subject(row[0], SubjectKind(row[1]), row[2], row[3], frozenset(row[4]), *row[5:])
            for row in data["subjects"]
        },
        services={row[0]: _service(row) for row in data["services"]},
        grants=tuple(
            Grant(row[0], row[1], row[2], frozenset(row[3]), frozenset(map(Point, row[4])), row[5], row[6])
            for row in data["grants"]
        ),
        guardrails=tuple(_guardrail(row) for row in data["guardrails"]),
        denials=tuple(
            Denial(row[0], Cause(row[1]), row[2], row[3], frozenset(row[4])) for row in data.get("denials", ())
        ),
        traffic=tuple(_rule(row) for row in data.get("traffic", ())),
    )


def _service(row: list[Any]) -> Service:
    routes = tuple(Route(route[0], frozenset(route[1]), route[2]) for route in row[2])
    edge, mesh = EdgeExposure(*row[3]) if row[3] else None, _mesh(row[4]) if row[4] else None
    variants = tuple(Variant(*variant) for variant in row[5]) if len(row) > 5 else ()
    return Service(row[0], row[1], routes, edge, mesh, variants)


def _mesh(row: list[Any]) -> MeshExposure:
    return MeshExposure(*row[:4], *map(Protocol, row[4:]))


def _rule(row: list[Any]) -> TrafficRule:
    return TrafficRule(
        id=row[0],
        subject=row[1],
        service=row[2],
        routes=frozenset(row[3]),
        points=frozenset(map(Point, row[4])),
        starts_at=row[5],
        ends_at=row[6],
        percent=row[7],
        variant=row[8],
        set_headers=tuple((name, value) for name, value in row[9]),
        remove_headers=tuple(row[10]),
        calls_per_minute=row[11],
        breaker=Breaker(*row[12]) if len(row) > 12 else None,
    )


def _guardrail(row: list[Any]) -> Guardrail:
    kinds, subjects, services, routes, methods, points = (frozenset(part) for part in row[2:])
    return Guardrail(
        row[0],
        row[1],
        frozenset(map(SubjectKind, kinds)),
        subjects,
        services,
        routes,
        methods,
        frozenset(map(Point, points)),
    )


def merged(graphs: Iterable[AccessGraph]) -> AccessGraph:
    """Slices of different services as one graph."""
    subjects: dict[str, Subject] = {}
    services: dict[str, Service] = {}
    grants: list[Grant] = []
    guardrails: dict[str, Guardrail] = {}
    denials: dict[tuple[str, str], Denial] = {}
    traffic: list[TrafficRule] = []
    for graph in graphs:
        subjects.update(graph.subjects)
        services.update(graph.services)
        grants.extend(graph.grants)
        traffic.extend(graph.traffic)
        guardrails.update({wall.id: wall for wall in graph.guardrails})
        for denial in graph.denials:
            key = (denial.subject, denial.cause.value)
            known = denials.get(key, denial)
            denials[key] = replace(denial, services=known.services | denial.services)
    walls, turned_away = tuple(guardrails.values()), tuple(denials.values())
    return AccessGraph(subjects, services, tuple(grants), walls, turned_away, tuple(traffic))


def knowing_the_same_subjects(old: AccessGraph, new: AccessGraph) -> tuple[AccessGraph, AccessGraph]:
    """Both graphs with each other's subjects: that a slice mentions somebody for the first time is not a change."""
    return (
        replace(old, subjects={**new.subjects, **old.subjects}),
        replace(new, subjects={**old.subjects, **new.subjects}),
    )
