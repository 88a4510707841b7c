"""Whether anybody could approve: where approval rules leave nobody to ask. Pure: rows in, names out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from apps.access.models import ApprovalRule, Point
from apps.access.rules import Facts, matches
from apps.compiler.graph import SubjectKind
from apps.compiler.paths import METHODS


@dataclass(frozen=True, slots=True)
class Covered:
    """What the rules look at of a service."""

    slug: str
    title: str
    sensitivity: str


def uncovered(rules: Iterable[ApprovalRule], services: Iterable[Covered]) -> frozenset[str]:
    """Services at which some ask would meet no rule that names approvers. Costs what differs, not what there is."""
    asking = [rule for rule in rules if rule.enabled and rule.approver_kind]
    named = {slug for rule in asking for slug in rule.services}
    known: dict[tuple[str, str], bool] = {}
    found: set[str] = set()
    for service in services:
        alike = (service.sensitivity, service.slug if service.slug in named else "")
        if alike not in known:
            known[alike] = all(_asked(asking, service, *ask) for ask in product(SubjectKind, METHODS, Point.values))
        if not known[alike]:
            found.add(service.slug)
    return frozenset(found)


def _asked(asking: Sequence[ApprovalRule], service: Covered, kind: SubjectKind, method: str, point: str) -> bool:
    facts = facts_of(service, kind.value, frozenset({method}), frozenset({point}))
    return any(matches(rule, facts) for rule in asking)


def facts_of(service: Covered, kind: str, methods: frozenset[str], points: frozenset[str]) -> Facts:
    """As far as a rule looks at them when it matches."""
    return Facts(service.slug, service.title, "", "", service.sensitivity, 0, kind, methods, points)


def reaches(rule: ApprovalRule, service: Covered) -> bool:
    """Whether some ask at this service could meet the rule."""
    of_service = not rule.services or service.slug in rule.services
    return of_service and (not rule.sensitivities or service.sensitivity in rule.sensitivities)
