"""Reading who there is. Nothing here changes anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from apps.audit.actors import Actor
from apps.compiler import graph
from apps.identity.errors import UnknownSubject
from apps.identity.models import (
    ApiToken,
    ConsoleRole,
    Kind,
    Membership,
    MembershipRole,
    Role,
    Subject,
    SubjectState,
)


def get_subject(key: str) -> Subject:
    """The subject with its owner and team; raises UnknownSubject."""
    subject = find_subject(key)
    if subject is None:
        raise UnknownSubject(f"There is no {key or 'subject without a key'}.")
    return subject


def find_subject(key: str) -> Subject | None:
    return Subject.objects.select_related("owner", "team").filter(key=key).first()


def actor_of(subject: Subject) -> Actor:
    return subject.actor


def list_subjects(*, kind: str | None = None, query: str = "") -> QuerySet[Subject]:
    found = Subject.objects.select_related("owner", "team")
    if kind:
        found = found.filter(kind=kind)
    if query:
        found = found.filter(Q(key__icontains=query) | Q(name__icontains=query))
    return found.order_by("kind", "name", "key")


def list_by_keys(keys: Iterable[str]) -> dict[str, Subject]:
    """The subjects that exist, by key."""
    return {one.key: one for one in Subject.objects.select_related("owner", "team").filter(key__in=set(keys))}


def list_teams_of(subject: Subject) -> QuerySet[Subject]:
    return Subject.objects.filter(memberships__member=subject).order_by("name", "key")


def list_members(team: Subject) -> QuerySet[Membership]:
    return (
        Membership.objects.filter(team=team)
        .select_related("member", "member__owner")
        .order_by("-role", "member__name", "member__key")
    )


def list_owners(team: Subject) -> QuerySet[Subject]:
    """The active people who decide for the team."""
    return _active_people().filter(team_memberships__team=team, team_memberships__role=MembershipRole.OWNER)


def list_people_in(team: Subject) -> QuerySet[Subject]:
    return _active_people().filter(team_memberships__team=team)


def list_with_role(role: str) -> QuerySet[Subject]:
    """The active people who hold a console role."""
    return _active_people().filter(console_roles__role=role)


def _active_people() -> QuerySet[Subject]:
    return Subject.objects.filter(kind=Kind.PERSON, state=SubjectState.ACTIVE).order_by("name", "key")


def is_member(subject: Subject, team: Subject) -> bool:
    return Membership.objects.filter(team=team, member=subject).exists()


def is_owner(subject: Subject, team: Subject) -> bool:
    return Membership.objects.filter(team=team, member=subject, role=MembershipRole.OWNER).exists()


def has_role(subject: Subject, *roles: str) -> bool:
    """Holds any of ``roles``. Only an active person can."""
    if subject.kind != Kind.PERSON or not subject.is_active:
        return False
    return ConsoleRole.objects.filter(subject=subject, role__in=roles).exists()


def roles_of(subject: Subject) -> frozenset[Role]:
    """Every console role the subject may use now, for a page that asks about several."""
    if subject.kind != Kind.PERSON or not subject.is_active:
        return frozenset()
    return frozenset(Role(role) for role in subject.console_roles.values_list("role", flat=True))


def acting_for(subject: Subject) -> list[Subject]:
    """Whom ``subject`` may ask for: itself; a person also for its teams, their workloads and agents, and its agents."""
    if subject.kind != Kind.PERSON:
        return [subject]
    teams = list(list_teams_of(subject))
    belongings = (
        Subject.objects.select_related("owner", "team")
        .filter(Q(team__in=teams) | Q(owner=subject), kind__in=[Kind.WORKLOAD, Kind.AGENT])
        .order_by("kind", "name", "key")
    )
    return [subject, *teams, *belongings]


def list_api_tokens(subject: Subject) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(subject=subject).order_by("-created_at", "-id")


def graph_subjects(keys: Iterable[str]) -> dict[str, graph.Subject]:
    """The compiler's view of the subjects named and of the members of the teams among them. Two queries."""
    wanted = set(keys)
    found = list(
        Subject.objects.select_related("owner").filter(
            Q(key__in=wanted) | Q(pk__in=Membership.objects.filter(team__key__in=wanted).values("member"))
        )
    )
    teams = _team_keys(found)
    return {one.key: _graph_subject(one, frozenset(teams[one.pk])) for one in found}


def _team_keys(subjects: list[Subject]) -> defaultdict[int, set[str]]:
    teams: defaultdict[int, set[str]] = defaultdict(set)
    for member, team in Membership.objects.filter(member__in=subjects).values_list("member", "team__key"):
        teams[member].add(team)
    return teams


def _graph_subject(subject: Subject, teams: frozenset[str]) -> graph.Subject:
    return graph.Subject(
        id=subject.key,
        kind=graph.SubjectKind(subject.kind),
        name=subject.name,
        active=subject.is_active,
        teams=teams,
    )
