"""Traffic rules in the words of a reviewer, and what they would have done with calls of the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from apps.compiler.decide import Action, Pdp, Resource
from apps.compiler.graph import WHOLE, AccessGraph, Point, Service, TrafficRule, Variant
from apps.compiler.impact import Call
from apps.compiler.traffic import EVERYBODY, Traffic, Treatment
from apps.compiler.words import listed, moment, points_words, routes_words, service_name, subject_name


def rule_words(graph: AccessGraph, rule: TrafficRule) -> str:
    """``calls of Beta to GET /x on Payments go to v2, inside the mesh until Fri 27 Nov 2026 18:00 UTC``."""
    end = "without an end" if rule.ends_at is None else f"until {moment(rule.ends_at)}"
    return f"{wish_words(graph, rule)}, {points_words(rule.points)} {end}"


def wish_words(graph: AccessGraph, rule: TrafficRule) -> str:
    """The same without doors and end."""
    where = f"{routes_words(graph.services.get(rule.service), rule.routes)} on {service_name(graph, rule.service)}"
    return f"calls of {whom_words(graph, rule)} to {where} {outcome_words(rule)}"


def whom_words(graph: AccessGraph, rule: TrafficRule) -> str:
    whom = "all callers" if rule.subject == EVERYBODY else subject_name(graph, rule.subject)
    return whom if rule.percent >= WHOLE else f"{rule.percent} % of {whom}"


def outcome_words(rule: TrafficRule) -> str:
    """``go to v2, carry X-Canary "on", lose X-Debug and are let through 30 times a minute for each caller``."""
    parts = [f"go to {rule.variant}"] if rule.variant else []
    parts += [f'carry {name} "{value}"' for name, value in sorted(rule.set_headers)]
    parts += [f"lose {name}" for name in sorted(rule.remove_headers)]
    if rule.calls_per_minute is not None:
        parts.append(f"are let through {rule.calls_per_minute} times a minute for each caller")
    if rule.breaker is not None:
        alone = " (in the mesh alone: the edge has no breaker)" if Point.EDGE in rule.points else ""
        parts.append(f"are turned away {rule.breaker.words}{alone}")
    return listed(parts) or "are left as they are"


def variants_words(service: Service) -> str:
    return listed(map(variant_words, service.variants)) or "none"


def variant_words(variant: Variant) -> str:
    """``v2 (port 9212)``, or ``v2 (port 9212, at the edge origin blue)``."""
    origin = f", at the edge origin {variant.origin}" if variant.origin else ""
    return f"{variant.name} (port {variant.upstream_port}{origin})"


@dataclass(frozen=True, slots=True)
class Rerouting:
    """How many of some calls would be treated otherwise, and where they would go: by variant, "" the usual one."""

    calls: int
    callers: int
    to: tuple[tuple[str, int], ...]


def rerouting(calls: Iterable[Call], old: AccessGraph, new: AccessGraph) -> Rerouting:
    """Both graphs are asked about each call at its ``at``. Only what both let in and treat otherwise is counted."""
    before, after = _Door(old), _Door(new)
    to: Counter[str] = Counter()
    callers: set[str] = set()
    for call in calls:
        was, now = before.treat(call), after.treat(call)
        if was is not None and now is not None and _effect(was) != _effect(now):
            to[now.variant] += 1
            callers.add(call.subject)
    return Rerouting(to.total(), len(callers), tuple(sorted(to.items())))


def _effect(treatment: Treatment) -> tuple[object, ...]:
    return *treatment[:4], treatment.breakers


class _Door:
    def __init__(self, graph: AccessGraph) -> None:
        self._pdp, self._traffic = Pdp(graph), Traffic(graph)

    def treat(self, call: Call) -> Treatment | None:
        """None for what is not let in."""
        resource = Resource(call.service, call.path)
        decision = self._pdp.decide_at_door(call.subject, Action(call.method), resource, call.point, call.at)
        if not decision.allowed:
            return None
        return self._traffic.treat(decision, call.subject, call.service, call.point, call.at)
