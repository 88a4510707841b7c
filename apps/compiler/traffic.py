"""What becomes of a call that was let in: which version answers it, with which headers, and how often a minute.

This is the reference for every door. A rule never allows anything: only a decision that allows is ever treated. The
same caller always stays on the same side of a share, and whoever is inside a share stays inside when it grows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from apps.compiler.decide import Decision
from apps.compiler.graph import WHOLE, AccessGraph, Point, Service, Subject, SubjectKind, TrafficRule
from apps.compiler.slices import holders, members

EVERYBODY = ""
"""The subject of a rule that is about whoever calls."""

HEADERS = (
    "Accept-Language",
    "Cache-Control",
    "Prefer",
    "Priority",
    "X-Canary",
    "X-Debug",
    "X-Experiment",
    "X-Feature-Flags",
)
"""The only headers a rule may set or remove: none that is about identity, connection or address, and none of ours."""

MOST_TOLD = 12
"""So many of the rules that apply does a door name, the most personal first."""


class Treatment(NamedTuple):
    """``variant`` is empty for the usual version. ``rules`` are those that apply, the most personal first.

    ``limits`` are what the call is counted for, each with the calls a minute; a door that cannot count leaves it.
    ``origin`` is where the edge sends it; empty for the usual one, and in the mesh. ``breakers`` are what a failure is
    counted for, each with its errors and seconds; a door that cannot count leaves them too.
    """

    variant: str = ""
    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    limits: tuple[tuple[str, int], ...] = ()
    rules: tuple[str, ...] = ()
    origin: str = ""
    breakers: tuple[tuple[str, int, int], ...] = ()

    @property
    def headers(self) -> dict[str, str | None]:
        """By name the value it gets; None for one that is taken away."""
        return {**dict.fromkeys(self.remove_headers), **dict(self.set_headers)}


UNTREATED = Treatment()


def share(service: str, variant: str, subject: str) -> int:
    """Where a caller stands between 0 and 99, for good. Not the rule's name but what it does decides, so that whoever
    asks for a larger share of the same leaves those inside where they are.
    """
    told = f"{service}\n{variant}\n{subject}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:4]) % WHOLE


def is_inside(rule: TrafficRule, subject: str) -> bool:
    """Whether the rule is for ``subject``. The same one is always on the same side, so a canary sticks."""
    return rule.percent >= WHOLE or share(rule.service, rule.variant, subject) < rule.percent


def counter(rule_id: str, subject: str) -> str:
    """What a call is counted under for a rule's limit."""
    return f"{rule_id} {subject}"


def rank(rule: TrafficRule, subjects: Mapping[str, Subject]) -> tuple[int, str]:
    """The more personal rule is told first: one's own, a team's, everybody's; then by name."""
    if rule.subject == EVERYBODY:
        return 2, rule.id
    found = subjects.get(rule.subject)
    return int(found is not None and found.kind is SubjectKind.TEAM), rule.id


def known_variant(graph: AccessGraph, rule: TrafficRule) -> str:
    """The variant of a rule while the service still has it, else the usual one."""
    service = graph.services.get(rule.service)
    names = {variant.name for variant in service.variants} if service is not None else set()
    return rule.variant if rule.variant in names else ""


def origin_of(service: Service | None, variant: str) -> str:
    """The origin where the edge finds a version of a service; empty for the usual one."""
    variants = service.variants if service is not None else ()
    return next((one.origin for one in variants if one.name == variant), "")


class Traffic:
    """The rules of a graph, ready to treat many calls."""

    def __init__(self, graph: AccessGraph) -> None:
        self._graph = graph
        self._rules: dict[str, list[TrafficRule]] = defaultdict(list)
        for rule in sorted(graph.traffic, key=lambda rule: rank(rule, graph.subjects)):
            self._rules[rule.service].append(rule)
        teams = members(graph.subjects)
        self._whom = {
            rule.id: frozenset(holders(rule, graph.subjects, teams))
            for rule in graph.traffic
            if rule.subject != EVERYBODY
        }

    def treat(self, decision: Decision, subject: str, service: str, point: Point, at: int) -> Treatment:
        """``decision`` is what the door decided about the call of ``subject``, whoever acts for it."""
        if not decision.allowed or decision.route is None:
            return UNTREATED
        found = [
            rule for rule in self._rules.get(service, ()) if self._applies(rule, subject, decision.route, point, at)
        ]
        if not found:
            return UNTREATED
        headers: dict[str, str | None] = {}
        for rule in reversed(found):
            headers |= rule.headers
        variant = next(filter(None, (known_variant(self._graph, rule) for rule in found)), "")
        return Treatment(
            variant=variant,
            set_headers=tuple(sorted((name, value) for name, value in headers.items() if value is not None)),
            remove_headers=tuple(sorted(name for name, value in headers.items() if value is None)),
            limits=tuple((counter(r.id, subject), r.calls_per_minute) for r in found if r.calls_per_minute is not None),
            rules=tuple(rule.id for rule in found),
            origin=origin_of(self._graph.services.get(service), variant) if point is Point.EDGE else "",
            breakers=tuple((rule.id, *rule.breaker) for rule in found if rule.breaker is not None),
        )

    def _applies(self, rule: TrafficRule, subject: str, route: str, point: Point, at: int) -> bool:
        return (
            point in rule.points
            and route in rule.routes
            and rule.starts_at <= at
            and (rule.ends_at is None or at < rule.ends_at)
            and (rule.subject == EVERYBODY or subject in self._whom[rule.id])
            and is_inside(rule, subject)
        )


def clashes(one: TrafficRule, other: TrafficRule, subjects: Mapping[str, Subject]) -> tuple[str, ...]:
    """What the same call could not have from both rules at once, in words; nothing when they get along.

    Shares are not looked at: whoever is inside both would still be torn. Nor are doors, since most calls pass both.
    """
    if one.service != other.service or one.routes.isdisjoint(other.routes) or not _meet(one, other, subjects):
        return ()
    found: list[str] = []
    if one.variant and other.variant and one.variant != other.variant:
        found.append(f"one sends to {one.variant}, the other to {other.variant}")
    first, second = one.headers, other.headers
    for name in sorted(first.keys() & second.keys()):
        if first[name] != second[name]:
            found.append(f"one {_header_words(name, first[name])}, the other {_header_words(name, second[name])}")
    if one.breaker and other.breaker and one.breaker != other.breaker:
        found.append(f"one leaves the service alone {one.breaker.words}, the other {other.breaker.words}")
    return tuple(found)


def _header_words(name: str, value: str | None) -> str:
    return f"removes {name}" if value is None else f'sets {name} to "{value}"'


def _meet(one: TrafficRule, other: TrafficRule, subjects: Mapping[str, Subject]) -> bool:
    """Whether somebody could be concerned by both."""
    if EVERYBODY in (one.subject, other.subject) or one.subject == other.subject:
        return True
    both = {one.subject, other.subject}
    return any(both <= {who.id, *who.teams} for who in subjects.values())
