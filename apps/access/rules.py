"""Which approval rules a request meets, and what they add up to. Pure: rows in, frozen dataclasses out.

All matching rules combine to the strictest: per approver selector the highest count, over all the shortest duration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apps.access.models import ApprovalRule, SelectorKind


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at."""

    service: str
    service_title: str
    owner_team: str
    owner_title: str
    sensitivity: str
    service_max_duration: int
    subject_kind: str
    methods: frozenset[str]
    points: frozenset[str]


@dataclass(frozen=True, slots=True)
class Need:
    """``count`` different people out of those whom ``kind`` and ``value`` name."""

    kind: str
    value: str
    count: int
    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class MatchedRule:
    slug: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the rules amount to for one request. ``needs`` is empty only when no rule asks for anybody."""

    needs: tuple[Need, ...]
    max_duration: int
    max_duration_why: str
    rules: tuple[MatchedRule, ...]

    def as_json(self) -> dict[str, object]:
        """Stored with the request, so that what was decided by can still be read when the rules have changed."""
        return {
            "rules": [{"slug": rule.slug, "sentence": rule.sentence} for rule in self.rules],
            "requirements": [
                {
                    "kind": need.kind,
                    "value": need.value,
                    "count": need.count,
                    "name": need.name,
                    "sentence": need.sentence,
                }
                for need in self.needs
            ],
            "max_duration": self.max_duration,
            "max_duration_why": self.max_duration_why,
        }


def resolve(rules: Iterable[ApprovalRule], facts: Facts, demands: Sequence[Need] = ()) -> Resolution:
    """``demands`` are asked for besides what the rules ask for; a selector that both name is asked once, strictly."""
    matched = sorted((rule for rule in rules if matches(rule, facts)), key=lambda rule: rule.slug)
    max_duration, why = _shortest(matched, facts)
    return Resolution(
        needs=_joined(_needs(matched, facts), demands),
        max_duration=max_duration,
        max_duration_why=why,
        rules=tuple(MatchedRule(rule.slug, rule.sentence) for rule in matched),
    )


def matches(rule: ApprovalRule, facts: Facts) -> bool:
    """Every selector that says something must agree; methods and points agree when any of them is asked for."""
    return (
        rule.enabled
        and _holds(rule.services, facts.service)
        and _holds(rule.sensitivities, facts.sensitivity)
        and _holds(rule.subject_kinds, facts.subject_kind)
        and _overlaps(rule.methods, facts.methods)
        and _overlaps(rule.points, facts.points)
    )


def _holds(selector: Sequence[str], value: str) -> bool:
    return not selector or value in selector


def _overlaps(selector: Sequence[str], values: frozenset[str]) -> bool:
    return not selector or not values.isdisjoint(selector)


def _needs(matched: Iterable[ApprovalRule], facts: Facts) -> tuple[Need, ...]:
    by_selector: dict[tuple[str, str], list[ApprovalRule]] = {}
    for rule in matched:
        if rule.approver_kind:
            by_selector.setdefault(_selector(rule, facts), []).append(rule)
    return tuple(
        Need(
            kind=kind,
            value=value,
            count=max(rule.count for rule in asking),
            name=_name(kind, value, facts),
            sentence=" ".join(rule.sentence for rule in asking)[:300],
        )
        for (kind, value), asking in sorted(by_selector.items())
    )


def _joined(needs: Sequence[Need], demands: Sequence[Need]) -> tuple[Need, ...]:
    found = {(need.kind, need.value): need for need in needs}
    for more in demands:
        same = found.get((more.kind, more.value))
        if same is None:
            found[more.kind, more.value] = more
        else:
            count, sentence = max(same.count, more.count), f"{same.sentence} {more.sentence}"[:300]
            found[more.kind, more.value] = replace(same, count=count, sentence=sentence)
    return tuple(found[selector] for selector in sorted(found))


def _selector(rule: ApprovalRule, facts: Facts) -> tuple[str, str]:
    if rule.approver_kind == SelectorKind.OWNER_TEAM:
        return rule.approver_kind, facts.owner_team
    return rule.approver_kind, rule.approver_value


def _name(kind: str, value: str, facts: Facts) -> str:
    if kind == SelectorKind.OWNER_TEAM:
        return f"Owners of {facts.owner_title}"
    if kind == SelectorKind.ROLE:
        return value.replace("_", " ").capitalize()
    return f"Members of {value.partition(':')[2] or value}"


def _shortest(matched: Iterable[ApprovalRule], facts: Facts) -> tuple[int, str]:
    limits = [(facts.service_max_duration, f"{facts.service_title} allows this at most.")]
    limits += [(rule.max_duration, rule.sentence) for rule in matched if rule.max_duration is not None]
    return min(limits, key=lambda limit: limit[0])
