"""What a provider's groups and rules say now, and what they have given so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from apps.audit.errors import NotFound
from apps.identity.mapping.rules import Change, Holdings, Rule
from apps.identity.models import (
    Group,
    GroupMember,
    GroupRule,
    Kind,
    MappedMembership,
    MappedRole,
    MappingLoss,
    Origin,
    PendingMapping,
    Provider,
)

WINDOW = timedelta(minutes=10)
AT_LEAST = 5


def rules_of(provider: Provider) -> list[Rule]:
    return [as_rule(one) for one in list_rules(provider)]


def list_rules(provider: Provider) -> QuerySet[GroupRule]:
    return GroupRule.objects.filter(provider=provider).select_related("team").order_by("pk")


def get_rule(provider: Provider, rule_id: int) -> GroupRule:
    found = list_rules(provider).filter(pk=rule_id).first()
    if found is None:
        raise NotFound
    return found


def as_rule(row: GroupRule) -> Rule:
    return Rule(
        match=row.match,
        pattern=row.pattern,
        team=row.team.key if row.team else "",
        team_role=row.team_role,
        console_role=row.console_role,
    )


def groups_of(provider: Provider, people: Collection[int] | None = None) -> dict[str, set[str]]:
    """The names of the groups each person is in, by key. Of people only: nobody else has sign-ins, or gets roles.

    A claimed group counts only while the directory pushes none of that name: what is pushed is the newer truth.
    """
    pushed = Group.objects.filter(provider=provider, origin=Origin.SCIM).values("name")
    rows = GroupMember.objects.filter(group__provider=provider).exclude(
        Q(group__origin=Origin.CLAIM) & Q(group__name__in=pushed)
    )
    if people is not None:
        rows = rows.filter(Q(subject__in=people) | Q(entry__subject__in=people))
    found: defaultdict[str, set[str]] = defaultdict(set)
    columns = ("group__name", "entry__subject__key", "entry__subject__kind", "subject__key", "subject__kind")
    for name, pushed_key, pushed_kind, claimed_key, claimed_kind in rows.values_list(*columns).iterator(2000):
        key, kind = (pushed_key, pushed_kind) if pushed_key else (claimed_key, claimed_kind)
        if kind == Kind.PERSON:
            found[key].add(name)
    return dict(found)


def holdings_of(provider: Provider, people: Collection[int] | None = None) -> dict[str, Holdings]:
    """What this provider's groups have given so far, by person."""
    places = MappedMembership.objects.filter(provider=provider)
    roles = MappedRole.objects.filter(provider=provider)
    if people is not None:
        places, roles = places.filter(member__in=people), roles.filter(subject__in=people)
    teams: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for person, team, role in places.order_by("team__key").values_list("member__key", "team__key", "role"):
        teams[person][team] = role
    held: defaultdict[str, set[str]] = defaultdict(set)
    for person, role in roles.values_list("subject__key", "role"):
        held[person].add(role)
    return {
        person: Holdings(teams.get(person, {}), frozenset(held.get(person, ())))
        for person in teams.keys() | held.keys()
    }


def holders_of(provider: Provider) -> set[str]:
    """The people who hold anything by this provider's groups."""
    places = MappedMembership.objects.filter(provider=provider).values_list("member__key", flat=True)
    roles = MappedRole.objects.filter(provider=provider).values_list("subject__key", flat=True)
    return set(places.distinct()) | set(roles.distinct())


def lost_lately(provider: Provider, at: datetime) -> set[str]:
    recent = MappingLoss.objects.filter(provider=provider, at__gt=at - WINDOW)
    return set(recent.values_list("subject__key", flat=True).distinct())


def open_pause(provider: Provider) -> PendingMapping | None:
    return PendingMapping.objects.filter(provider=provider, decided_at=None).first()


def most_loss_percent() -> int:
    percent: int = settings.SALLYPORT_MAPPING_MAX_LOSS_PERCENT
    return percent


def losers(changes: Collection[Change]) -> set[str]:
    return {change.person for change in changes if change.loses}
