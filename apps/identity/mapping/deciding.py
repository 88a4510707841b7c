"""What administrators do about rules: try, add, remove, and decide about what was paused."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.errors import InvalidRule, MappingMoved, MappingPaused
from apps.identity.mapping import patterns, reading
from apps.identity.mapping.applying import Weighed, carry_out, pause, settle, weigh
from apps.identity.mapping.rules import Change, Rule
from apps.identity.models import (
    Cause,
    GroupRule,
    Kind,
    MappingLoss,
    Match,
    MembershipRole,
    PendingMapping,
    Provider,
    Role,
    Subject,
)
from apps.identity.services.provider_record import note_provider
from apps.identity.services.provider_secrets import lock_provider

MOST_RULES = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """``paused`` is set when nothing happened yet because too many would lose something."""

    paused: PendingMapping | None


def check_rule(rule: Rule) -> Subject | None:
    """The team it speaks of, if any; raises InvalidRule with the complaints by field."""
    fields: dict[str, list[str]] = {}
    if rule.match not in Match.values:
        fields["match"] = [f"Choose from {', '.join(Match.values)}."]
    if not rule.pattern.strip() or len(rule.pattern) > 255 or "\x00" in rule.pattern:
        fields["pattern"] = ["Give a name, a beginning or an expression of at most 255 characters."]
    team = Subject.objects.filter(key=rule.team, kind=Kind.TEAM).first() if rule.team else None
    if bool(rule.team) == bool(rule.console_role):
        fields["team"] = ["Choose a team or a console role: one of the two."]
    elif rule.team and (team is None or rule.team_role not in MembershipRole.values):
        fields["team"] = ["Choose a team there is, and what its people are in it."]
    elif rule.console_role and rule.console_role not in Role.values:
        fields["console_role"] = [f"Choose from {', '.join(Role.values)}."]
    if fields:
        raise InvalidRule(fields=fields)
    if rule.match == Match.REGEX:
        patterns.check(rule.pattern)
    return team


def try_rule(provider: Provider, rule: Rule, *, at: datetime) -> Weighed:
    """A dry run of the rules with one more. Writes nothing; raises InvalidRule."""
    check_rule(rule)
    return weigh(provider, rules=[*reading.rules_of(provider), rule], at=at)


def try_without(provider: Provider, rule_id: int, *, at: datetime) -> Weighed:
    """A dry run of the rules without one of them. Writes nothing."""
    return weigh(provider, rules=_without(provider, rule_id), at=at)


def try_pending(pending: PendingMapping, *, at: datetime) -> Weighed:
    """What confirming would do now."""
    return weigh(pending.provider, rules=_proposed(pending), at=at)


def _without(provider: Provider, rule_id: int) -> list[Rule]:
    return [reading.as_rule(one) for one in reading.list_rules(provider) if one.pk != rule_id]


def _proposed(pending: PendingMapping) -> list[Rule]:
    if "remove" in pending.proposal:
        return _without(pending.provider, int(pending.proposal["remove"]))
    rules = reading.rules_of(pending.provider)
    return [*rules, Rule(**pending.proposal["add"])] if "add" in pending.proposal else rules


def fingerprint(changes: list[Change]) -> str:
    """Of what somebody was shown, so that nobody confirms something else."""
    told = [
        (
            one.person,
            sorted(one.gained_teams.items()),
            sorted(one.lost_teams.items()),
            sorted(one.gained_roles),
            sorted(one.lost_roles),
        )
        for one in changes
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def add_rule(*, provider_slug: str, rule: Rule, actor: Actor, at: datetime) -> Outcome:
    """From now on ``rule`` counts too, and everybody is brought in line. Quiet when the rule is there already."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = _ready(provider_slug)
        check_rule(rule)
        rules = reading.rules_of(provider)
        if rule in rules:
            return Outcome(None)
        if len(rules) >= MOST_RULES:
            raise InvalidRule(f"A directory has at most {MOST_RULES} rules.")
        weighed = weigh(provider, rules=[*rules, rule], at=at)
        return _change(provider, {"add": asdict(rule)}, weighed, actor, at)


def remove_rule(*, provider_slug: str, rule_id: int, actor: Actor, at: datetime) -> Outcome:
    """The rule counts no longer, and what only it gave is taken away."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = _ready(provider_slug)
        if not GroupRule.objects.filter(provider=provider, pk=rule_id).exists():
            raise NotFound
        weighed = weigh(provider, rules=_without(provider, rule_id), at=at)
        return _change(provider, {"remove": rule_id}, weighed, actor, at)


def _ready(slug: str) -> Provider:
    provider = lock_provider(slug)
    if reading.open_pause(provider) is not None:
        raise MappingPaused
    return provider


def _change(provider: Provider, proposal: dict[str, object], weighed: Weighed, actor: Actor, at: datetime) -> Outcome:
    if weighed.too_much:
        return Outcome(pause(provider, cause=Cause.RULES, proposal=proposal, weighed=weighed, actor=actor, at=at))
    _write_rules(provider, proposal, actor, at)
    carry_out(provider, weighed.changes, gains_only=False, actor=actor, at=at)
    return Outcome(None)


def _write_rules(provider: Provider, proposal: dict[str, object], actor: Actor, at: datetime) -> None:
    if "remove" in proposal:
        row = reading.list_rules(provider).filter(pk=int(str(proposal["remove"]))).first()
        if row is not None:
            row.delete()
            gone = asdict(reading.as_rule(row))
            note_provider(provider, "identity.mapping.rule_removed", actor=actor, at=at, after=gone)
    if "add" in proposal:
        given = dict(proposal["add"])  # type: ignore[call-overload]  # written by add_rule, as a dict
        row = GroupRule(provider=provider, created_at=at, team=Subject.objects.filter(key=given.pop("team")).first())
        for name, value in given.items():
            setattr(row, name, value)
        row.save()
        added = asdict(reading.as_rule(row))
        note_provider(provider, "identity.mapping.rule_added", actor=actor, at=at, after=added)


def confirm(*, pending_id: int, shown: str, actor: Actor, at: datetime) -> PendingMapping:
    """Do what was paused. ``shown`` is the fingerprint of what the administrator saw; raises MappingMoved."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        pending = _locked(pending_id)
        weighed = try_pending(pending, at=at)
        if fingerprint(weighed.changes) != shown:
            raise MappingMoved
        _write_rules(pending.provider, pending.proposal, actor, at)
        _close(pending, confirmed=True, actor=actor, at=at)
        carry_out(pending.provider, weighed.changes, gains_only=False, actor=actor, at=at)
        MappingLoss.objects.filter(provider=pending.provider).delete()
    return pending


def discard(*, pending_id: int, actor: Actor, at: datetime) -> PendingMapping:
    """Leave it. The rules stay as they were; what a sync would have taken stays until the directory speaks of the
    same people again."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        pending = _locked(pending_id)
        _close(pending, confirmed=False, actor=actor, at=at)
        if pending.cause == Cause.RULES:
            settle(pending.provider, people=None, actor=actor, at=at)
    return pending


def _locked(pending_id: int) -> PendingMapping:
    """With the provider locked first, as everywhere."""
    found = PendingMapping.objects.select_related("provider").filter(pk=pending_id).first()
    if found is None:
        raise NotFound
    provider = lock_provider(found.provider.slug)
    pending = PendingMapping.objects.filter(pk=pending_id, decided_at=None).first()
    if pending is None:
        raise MappingMoved("Somebody has decided about this already.")
    pending.provider = provider
    return pending


def _close(pending: PendingMapping, *, confirmed: bool, actor: Actor, at: datetime) -> None:
    pending.decided_at, pending.decided_by, pending.confirmed = at, actor.id, confirmed
    pending.save(update_fields=["decided_at", "decided_by", "confirmed"])
    verb = "confirmed" if confirmed else "discarded"
    after = {"cause": pending.cause, **pending.proposal}
    note_provider(pending.provider, f"identity.mapping.{verb}", actor=actor, at=at, after=after)
