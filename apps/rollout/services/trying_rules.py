"""Whose call shows that a traffic rule applies, or no longer does: of somebody it is about who is let in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from apps.compiler.decide import Action, Pdp, Resource
from apps.compiler.graph import AccessGraph, Point, Service, Subject, SubjectKind, TrafficRule
from apps.compiler.traffic import Traffic

Caller = tuple[Subject, Mapping[str, object]]


def find_caller(
    graph: AccessGraph,
    service: Service,
    rule: TrafficRule,
    point: Point,
    at: int,
    example: Callable[[str], str],
) -> Caller | None:
    """None while nobody who may call is meant, such as when a small share holds none of the callers known here.

    Where the rule is about both doors people and agents come first, since their calls pass both; else workloads.
    """
    pdp, traffic = Pdp(graph), Traffic(replace(graph, traffic=(rule,)))
    inside = (one for one in graph.subjects.values() if one.active and one.kind is not SubjectKind.TEAM)
    inside_only = rule.points == {Point.MESH}
    for who in sorted(inside, key=lambda one: ((one.kind is SubjectKind.WORKLOAD) != inside_only, one.id)):
        for route in sorted(service.routes, key=lambda route: route.id):
            for method in sorted(route.methods) if route.id in rule.routes else ():
                path = example(route.template)
                decision = pdp.decide_at_door(who.id, Action(method), Resource(service.id, path), point, at)
                if rule.id in traffic.treat(decision, who.id, service.id, point, at).rules:
                    return who, {"method": method, "path": path}
    return None
