"""Making what groups give true: places in teams, console roles. Paused where too many would lose something at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity import selectors
from apps.identity.mapping import reading
from apps.identity.mapping.rules import Change, Rule, desired, difference, trips
from apps.identity.models import (
    Cause,
    GroupRule,
    MappedMembership,
    MappedRole,
    MappingLoss,
    PendingMapping,
    Provider,
    Role,
    Subject,
)
from apps.identity.services.effective import settle_memberships, settle_role
from apps.identity.services.provider_record import note_provider
from apps.identity.services.roles import is_last_administrator
from apps.identity.services.subjects import CHANGED, entry, lock_all
from apps.outbox import services as outbox


@dataclass(frozen=True, slots=True)
class Weighed:
    """What would change, and whether so many would lose something that it has to wait."""

    changes: list[Change]
    losing: int
    holders: int
    too_much: bool


def weigh(provider: Provider, *, rules: Iterable[Rule], people: Collection[int] | None = None, at: datetime) -> Weighed:
    """A dry run of ``rules``, for ``people`` or for everybody. Writes nothing."""
    wanted = desired(reading.groups_of(provider, people), rules)
    changes = difference(reading.holdings_of(provider, people), wanted)
    losing = reading.losers(changes)
    if not losing:
        return Weighed(changes, 0, 0, too_much=False)
    lately = reading.lost_lately(provider, at)
    holders = reading.holders_of(provider) | lately
    share = reading.most_loss_percent()
    lost = losing | lately
    too_much = trips(losing=len(lost), holders=len(holders), percent=share, at_least=reading.AT_LEAST)
    return Weighed(changes, len(losing), len(holders), too_much)


def settle(provider: Provider, *, people: Collection[int] | None, actor: Actor, at: datetime) -> bool:
    """Bring ``people`` (or everybody) in line with their groups; says whether everything could be done at once.

    Part of use cases that hold the provider's lock. Gains are never held back. Losses are, while a change of this
    provider waits for a decision, or when this one opens such a pause.
    """
    if people is not None and not people:
        return True
    rules = reading.rules_of(provider)
    if not rules and not reading.holders_of(provider):
        return True
    weighed = weigh(provider, rules=rules, people=people, at=at)
    if not weighed.changes:
        return True
    held = bool(weighed.losing) and (weighed.too_much or reading.open_pause(provider) is not None)
    if held:
        pause(provider, cause=Cause.SYNC, proposal={}, weighed=weighed, actor=actor, at=at)
    carry_out(provider, weighed.changes, gains_only=held, actor=actor, at=at)
    return not held


def lock_ahead(provider: Provider, people: Collection[int]) -> None:
    """Lock whatever ``settle`` may write for ``people``, for a use case that has something to record before it."""
    teams = GroupRule.objects.filter(provider=provider, team__isnull=False).values("team")
    held = MappedMembership.objects.filter(provider=provider, member__in=people).values("team")
    rows = Subject.objects.select_for_update(of=("self",)).filter(Q(pk__in=people) | Q(pk__in=teams) | Q(pk__in=held))
    list(rows.order_by("key").values_list("pk"))


def pause(
    provider: Provider, *, cause: Cause, proposal: dict[str, object], weighed: Weighed, actor: Actor, at: datetime
) -> PendingMapping:
    """Open the one pause a provider can have; quiet when there is one. The caller holds the provider's lock."""
    there = reading.open_pause(provider)
    if there is not None:
        return there
    opened = PendingMapping.objects.create(
        provider=provider,
        cause=cause,
        proposal=proposal,
        people=weighed.losing,
        out_of=weighed.holders,
        opened_at=at,
        opened_by=actor.id,
    )
    after = {"cause": cause, "people": opened.people, **proposal}
    note_provider(provider, "identity.mapping.paused", actor=actor, at=at, after=after)
    return opened


def carry_out(provider: Provider, changes: list[Change], *, gains_only: bool, actor: Actor, at: datetime) -> None:
    """Write the changes. Locks teams and people in the order of their keys before the first word on the record."""
    if gains_only:
        changes = [replace(one, lost_teams={}, lost_roles=frozenset(), kept_weaker={}) for one in changes if one.gains]
    teams = {team for change in changes for team in (*change.gained_teams, *change.lost_teams)}
    subjects = lock_all({change.person for change in changes} | teams)
    _write_places(provider, changes, subjects)
    changed = {team: _members(changes, team, subjects) for team in sorted(teams)}
    for team, members in changed.items():
        settle_memberships(subjects[team], members)
    entries = [one for change in changes for one in _told(provider, change, subjects[change.person], actor)]
    audit.record_all(entries, at=at)
    losing = {change.person for change in changes if change.lost_teams}
    told = dict.fromkeys([*(one.target_id for one in entries), *changed])
    for urgent in (True, False):
        payloads: dict[str, dict[str, object]] = {key: {} for key in told if (key in losing) == urgent}
        outbox.enqueue_many(topic=CHANGED, payloads=payloads, at=at, urgent=urgent)
    _remember_losses(provider, changes, subjects, at)


def _members(changes: list[Change], team: str, subjects: dict[str, Subject]) -> list[int]:
    return [subjects[one.person].pk for one in changes if team in one.gained_teams or team in one.lost_teams]


def _write_places(provider: Provider, changes: list[Change], subjects: dict[str, Subject]) -> None:
    lost: defaultdict[str, list[int]] = defaultdict(list)
    for change in changes:
        for team in change.lost_teams:
            lost[team].append(subjects[change.person].pk)
    for team, members in lost.items():
        MappedMembership.objects.filter(provider=provider, team=subjects[team], member__in=members).delete()
    MappedMembership.objects.bulk_create(
        [
            MappedMembership(provider=provider, team=subjects[team], member=subjects[change.person], role=role)
            for change in changes
            for team, role in {**change.kept_weaker, **change.gained_teams}.items()
        ],
        update_conflicts=True,
        unique_fields=["provider", "team", "member"],
        update_fields=["role"],
    )


def _told(provider: Provider, change: Change, person: Subject, actor: Actor) -> Iterator[audit.Entry]:
    """Write the roles, and say what becomes different for one person."""
    for role in sorted(change.gained_roles):
        MappedRole.objects.get_or_create(provider=provider, subject=person, role=role)
        if settle_role(person, role):
            yield entry(person, "identity.role.assigned", actor=actor, after={"role": role})
    for role in sorted(change.lost_roles):
        if role == Role.ADMINISTRATOR and is_last_administrator(person):
            continue
        MappedRole.objects.filter(provider=provider, subject=person, role=role).delete()
        if settle_role(person, role):
            yield entry(person, "identity.role.withdrawn", actor=actor, before={"role": role})
    if change.gained_teams or change.lost_teams:
        yield entry(
            person,
            "identity.mapping.applied",
            actor=actor,
            before={"teams": change.lost_teams},
            after={"teams": {**change.kept_weaker, **change.gained_teams}},
        )


def _remember_losses(provider: Provider, changes: list[Change], subjects: dict[str, Subject], at: datetime) -> None:
    MappingLoss.objects.filter(provider=provider, at__lte=at - reading.WINDOW).delete()
    lost = [subjects[change.person] for change in changes if change.loses]
    MappingLoss.objects.bulk_create([MappingLoss(provider=provider, subject=one, at=at) for one in lost])


def names_of(changes: Iterable[Change]) -> dict[str, Subject]:
    """The people and teams the changes speak of, to show them by name."""
    keys = {key for one in changes for key in (one.person, *one.gained_teams, *one.lost_teams)}
    return selectors.list_by_keys(keys)
