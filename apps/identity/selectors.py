"""Reading who there is. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject, Lower

from apps.compiler import graph
from apps.identity.errors import UnknownProvider, UnknownSubject
from apps.identity.models import (
    ApiToken,
    ConsoleRole,
    Denial,
    GroupRule,
    Kind,
    Membership,
    MembershipRole,
    Provider,
    Role,
    Subject,
    SubjectState,
    WorkloadIdentity,
)
from apps.identity.nearby import remembered


def get_subject(key: str) -> Subject:
    """The subject with its owner and team; raises UnknownSubject."""
    subject = find_subject(key)
    if subject is None:
        raise UnknownSubject(f"There is no {key or 'subject without a key'}.")
    return subject


def find_subject(key: str) -> Subject | None:
    """None for a key with a NUL too: addresses may hold one, and PostgreSQL never does."""
    if "\x00" in key:
        return None
    return Subject.objects.select_related("owner", "team").filter(key=key).first()


def list_subjects(*, kind: str | None = None, query: str = "") -> QuerySet[Subject]:
    found = Subject.objects.select_related("owner", "team")
    if kind:
        found = found.filter(kind=kind)
    if query:
        found = found.filter(Q(key__icontains=query) | Q(name__icontains=query))
    return found.order_by("kind", "name", "key")


def with_facts(rows: QuerySet[Subject], kind: str) -> QuerySet[Subject]:
    """What a list of one kind shows of each: when people last signed in, how many are in a team and who owns it, how
    many rules fill it, how a workload or agent may prove itself."""
    if kind == Kind.PERSON:
        return rows.annotate(last_sign_in=Max("logins__last_used_at"))
    if kind == Kind.TEAM:
        return rows.annotate(
            people=_number(Membership.objects.filter(team=OuterRef("pk")), "team"),
            rules=_number(GroupRule.objects.filter(team=OuterRef("pk")), "team"),
            owners=ArraySubquery(
                Membership.objects.filter(team=OuterRef("pk"), role=MembershipRole.OWNER)
                .order_by("member__name")
                .values("member__name")[:5]
            ),
        )
    live = WorkloadIdentity.objects.filter(subject=OuterRef("pk"), ended_at=None)
    return rows.select_related("limits").annotate(proofs=_number(live, "subject"))


def _number(rows: QuerySet[Any], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def list_by_keys(keys: Iterable[str]) -> dict[str, Subject]:
    """The subjects that exist, by key."""
    return {one.key: one for one in Subject.objects.select_related("owner", "team").filter(key__in=set(keys))}


def list_called(words: Collection[str]) -> QuerySet[Subject]:
    """Those whose key, its name part, shown name, mail or SPIFFE id is one of ``words``, whatever the case."""
    lowered = [word.lower() for word in words if "\x00" not in word]
    keys = [f"{kind}:{word}" for word in lowered for kind in Kind.values] + lowered
    rows = Subject.objects.select_related("owner", "team").annotate(called=Lower("name"), mailed=Lower("email"))
    named = Q(called__in=lowered) | Q(key__in=keys) | Q(mailed__in=lowered) | Q(spiffe_id__in=list(words))
    return rows.filter(named).order_by("key")


def list_teams_of(subject: Subject) -> QuerySet[Subject]:
    return Subject.objects.filter(memberships__member=subject).order_by("name", "key")


def list_teams_of_all(subjects: Iterable[Subject]) -> QuerySet[Subject]:
    """The teams any of them is in."""
    return Subject.objects.filter(memberships__member__in=list(subjects)).distinct()


def list_members(team: Subject) -> QuerySet[Membership]:
    return (
        Membership.objects.filter(team=team)
        .select_related("member", "member__owner")
        .order_by("-role", "member__name", "member__key")
    )


@dataclass(frozen=True, slots=True)
class Named:
    """A person, and one way in which it is named: by a console role, or by a team that is not suspended."""

    key: str
    name: str
    role: str | None
    team: str | None
    owns: bool


def list_named(*, roles: Collection[str], teams: Collection[str]) -> list[Named]:
    """The active people who hold any of ``roles`` or are in any of ``teams`` (keys), by name. One query.

    Somebody is listed once for each pair of a role and a team it has, wanted or not.
    """
    rows = (
        _active_people()
        .filter(Q(console_roles__role__in=roles) | Q(team_memberships__team__key__in=teams))
        .values_list(
            "key",
            "name",
            "console_roles__role",
            "team_memberships__team__key",
            "team_memberships__team__state",
            "team_memberships__role",
        )
    )
    return [
        Named(key, name, role, team if state == SubjectState.ACTIVE else None, place == MembershipRole.OWNER)
        for key, name, role, team, state, place in rows
    ]


def list_with_role(role: str) -> QuerySet[Subject]:
    """The active people who hold a console role."""
    return _active_people().filter(console_roles__role=role)


def _active_people() -> QuerySet[Subject]:
    return Subject.objects.filter(kind=Kind.PERSON, state=SubjectState.ACTIVE).order_by("name", "key")


def teams_of(subject: Subject) -> list[Subject]:
    """The same as ``list_teams_of``, for whoever wants them rather than a query about them."""
    near = remembered(subject)
    return list(near.teams if near is not None else list_teams_of(subject))


def is_member(subject: Subject, team: Subject) -> bool:
    near = remembered(subject)
    if near is not None:
        return any(one.pk == team.pk for one in near.teams)
    return Membership.objects.filter(team=team, member=subject).exists()


def is_owner(subject: Subject, team: Subject) -> bool:
    near = remembered(subject)
    if near is not None:
        return team.key in near.owned
    return Membership.objects.filter(team=team, member=subject, role=MembershipRole.OWNER).exists()


def has_role(subject: Subject, *roles: str) -> bool:
    """Holds any of ``roles``. Only an active person can."""
    if subject.kind != Kind.PERSON or not subject.is_active:
        return False
    near = remembered(subject)
    if near is not None:
        return not near.roles.isdisjoint(roles)
    return ConsoleRole.objects.filter(subject=subject, role__in=roles).exists()


def roles_of(subject: Subject) -> frozenset[Role]:
    """Every console role the subject may use now, for a page that asks about several."""
    if subject.kind != Kind.PERSON or not subject.is_active:
        return frozenset()
    near = remembered(subject)
    if near is not None:
        return near.roles
    return frozenset(Role(role) for role in subject.console_roles.values_list("role", flat=True))


def is_owned_by(agent_key: str, person_key: str) -> bool:
    return Subject.objects.filter(key=agent_key, kind=Kind.AGENT, owner__key=person_key).exists()


def acting_for(subject: Subject) -> list[Subject]:
    """Whom ``subject`` may ask for: itself; a person also for its teams, their workloads and agents, and its agents."""
    if subject.kind != Kind.PERSON:
        return [subject]
    near = remembered(subject)
    if near is not None:
        return [subject, *near.teams, *near.belongings]
    teams = list(list_teams_of(subject))
    belongings = (
        Subject.objects.select_related("owner", "team")
        .filter(Q(team__in=teams) | Q(owner=subject), kind__in=[Kind.WORKLOAD, Kind.AGENT])
        .order_by("kind", "name", "key")
    )
    return [subject, *teams, *belongings]


def list_parties_of(subject: Subject) -> QuerySet[Subject]:
    """The outside parties its teams answer for, and it may ask for."""
    teams = [team.pk for team in teams_of(subject)]
    return Subject.objects.select_related("team").filter(kind=Kind.PARTY, team__in=teams).order_by("name", "key")


def list_api_tokens(subject: Subject) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(subject=subject).order_by("-created_at", "-id")


def list_providers() -> QuerySet[Provider]:
    return Provider.objects.order_by("name", "slug")


def list_open_providers() -> QuerySet[Provider]:
    """Those people can sign in at now."""
    return list_providers().filter(enabled=True, discovered_at__isnull=False)


def get_provider(slug: str) -> Provider:
    """Raises UnknownProvider."""
    found = Provider.objects.filter(slug=slug).first()
    if found is None:
        raise UnknownProvider
    return found


def find_by_login(*, issuer: str, sub: str) -> Subject | None:
    """Whom a provider's word names."""
    return Subject.objects.filter(logins__issuer=issuer, logins__sub=sub).first()


def graph_subjects(keys: Iterable[str]) -> dict[str, graph.Subject]:
    """The compiler's view of the subjects named and of the members of the teams among them. One query."""
    wanted = set(keys)
    found = _graph_rows(Q(key__in=wanted) | Q(pk__in=Membership.objects.filter(team__key__in=wanted).values("member")))
    return _by_key(found)


@dataclass(frozen=True, slots=True)
class Placed:
    """A subject where it stands: ``teams`` are those whose grants it may use, ``belongs`` those it is counted to.

    Both by key and name. ``is_unproven``: a workload or an agent without any way to a token.
    """

    subject: graph.Subject
    belongs: tuple[tuple[str, str], ...]
    is_unproven: bool


def list_placed(keys: Iterable[str], *, at: datetime) -> dict[str, Placed]:
    """Those that exist, by key. One query."""
    teams = Membership.objects.filter(member=OuterRef("pk")).order_by("team__key")
    proofs = WorkloadIdentity.objects.filter(subject=OuterRef("pk"), ended_at=None)
    tokens = ApiToken.objects.filter(subject=OuterRef("pk"), revoked_at=None, expires_at__gt=at)
    found = (
        Subject.objects.select_related("owner", "team")
        .filter(key__in=set(keys))
        .annotate(
            near=ArraySubquery(teams.values(json=JSONObject(key="team__key", name="team__name"))),
            is_proven=Exists(proofs) | Exists(tokens),
        )
    )
    return {one.key: _placed(one) for one in found}


def _placed(one: Any) -> Placed:
    near = tuple((team["key"], team["name"]) for team in one.near)
    own = ((one.key, one.name),) if one.kind == Kind.TEAM else ()
    owned = ((one.team.key, one.team.name),) if one.team is not None else ()
    machine = one.kind in (Kind.WORKLOAD, Kind.AGENT)
    return Placed(
        subject=_graph_subject(one, frozenset(key for key, _ in near), None),
        belongs=own or owned or near,
        is_unproven=machine and not one.is_proven,
    )


@dataclass(frozen=True, slots=True)
class Denied:
    """Somebody who is turned away now. ``holders`` are the keys whose grants it could use: its own, its teams'."""

    subject: str
    cause: str
    until: datetime
    issued_until: datetime | None
    holders: frozenset[str]


def list_denied(*, at: datetime) -> list[Denied]:
    """Everybody who is turned away at ``at``, in order. One query."""
    teams = ArraySubquery(Membership.objects.filter(member=OuterRef("subject")).values("team__key"))
    rows = Denial.objects.filter(until__gt=at).annotate(team_keys=teams).order_by("subject__key", "cause")
    return [
        Denied(key, cause, until, issued_until, frozenset({key, *team_keys}))
        for key, cause, until, issued_until, team_keys in rows.values_list(
            "subject__key", "cause", "until", "issued_until", "team_keys"
        )
    ]


def graph_subjects_and_denied(keys: Iterable[str], *, at: datetime) -> tuple[dict[str, graph.Subject], list[Denied]]:
    """As ``graph_subjects`` and ``list_denied``, in one query; who is turned away is among the subjects too."""
    wanted = set(keys)
    members = Membership.objects.filter(team__key__in=wanted).values("member")
    denied = Denial.objects.filter(until__gt=at).values("subject")
    return _read_with_denied(Q(key__in=wanted) | Q(pk__in=members) | Q(pk__in=denied), at)


def graph_caller(key: str, *, at: datetime) -> tuple[dict[str, graph.Subject], list[Denied]]:
    """One caller and its teams, without who else is in them, and why it is turned away if it is. One query."""
    teams = Membership.objects.filter(member__key=key).values("team")
    return _read_with_denied(Q(key=key) | Q(pk__in=teams), at)


def _read_with_denied(which: Q, at: datetime) -> tuple[dict[str, graph.Subject], list[Denied]]:
    denials = Denial.objects.filter(subject=OuterRef("pk"), until__gt=at).order_by("cause")
    said = denials.values(row=JSONObject(cause="cause", until="until", issued="issued_until"))
    rows = list(_graph_rows(which).annotate(denied=ArraySubquery(said)).order_by("key"))
    return _by_key(rows), [_denied(one, said) for one in rows for said in one.denied]


def _graph_rows(which: Q) -> QuerySet[Any]:
    """What ``_by_key`` reads."""
    teams = Membership.objects.filter(member=OuterRef("pk")).values("team__key")
    rows = Subject.objects.select_related("owner").filter(which)
    return rows.annotate(team_keys=ArraySubquery(teams), per_minute=F("limits__calls_per_minute"))


def _by_key(rows: Iterable[Any]) -> dict[str, graph.Subject]:
    return {one.key: _graph_subject(one, frozenset(one.team_keys), one.per_minute) for one in rows}


def _denied(subject: Any, said: Mapping[str, Any]) -> Denied:
    issued = datetime.fromisoformat(said["issued"]) if said["issued"] else None
    until, holders = datetime.fromisoformat(said["until"]), frozenset({subject.key, *subject.team_keys})
    return Denied(subject.key, said["cause"], until, issued, holders)


def _graph_subject(subject: Subject, teams: frozenset[str], per_minute: int | None) -> graph.Subject:
    return graph.Subject(
        id=subject.key,
        kind=graph.SubjectKind(subject.kind),
        name=subject.name,
        active=subject.is_active,
        teams=teams,
        calls_per_minute=per_minute,
    )
