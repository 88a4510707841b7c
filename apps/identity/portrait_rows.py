"""The statement behind a portrait: a subject, and each of its lists as JSON made by PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.sessions.models import Session
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Concat, JSONObject

from apps.identity.models import (
    ApiToken,
    ConsoleRole,
    DirectoryUser,
    GroupMember,
    GroupRule,
    Login,
    MappedMembership,
    MappedRole,
    Membership,
    Provider,
    SignIn,
    Subject,
    Tally,
)

MOST = 100
"""Of each list, how many are read."""


def with_lists(rows: QuerySet[Subject], at: datetime, session_key: str) -> QuerySet[Subject]:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    calls = Tally.objects.filter(
        key=Concat(Value("calls:"), OuterRef("key")), minute__gte=midnight, minute__lte=at
    ).order_by()
    return rows.select_related("owner", "team", "limits").annotate(
        j_places=_array(_places()),
        j_roles=_array(_roles()),
        j_groups=_array(_groups()),
        j_rules=_array(_rules()),
        j_ways=_array(_ways()),
        j_sessions=_array(_sessions(at, session_key)),
        j_tokens=_array(_tokens(at)),
        j_dependents=_array(_dependents()),
        j_entries=_array(_entries()),
        calls_today=Subquery(calls.values("key").annotate(sum=Sum("count")).values("sum")),
    )


def _array(rows: QuerySet[Any]) -> ArraySubquery:
    return ArraySubquery(rows[:MOST])


def _places() -> QuerySet[Any]:
    mapped = MappedMembership.objects.filter(team=OuterRef("team"), member=OuterRef("member")).order_by("provider")
    mine = Membership.objects.filter(Q(member=OuterRef("pk")) | Q(team=OuterRef("pk")))
    return mine.order_by("-role", "team__name", "member__name", "pk").values(
        json=JSONObject(
            team=JSONObject(key="team__key", name="team__name", kind="team__kind"),
            member=JSONObject(key="member__key", name="member__name", kind="member__kind"),
            role="role",
            stated="stated_role",
            mapped=_array(mapped.values(json=_by_provider())),
        )
    )


def _roles() -> QuerySet[Any]:
    mapped = MappedRole.objects.filter(subject=OuterRef("subject"), role=OuterRef("role")).order_by("provider")
    mine = ConsoleRole.objects.filter(subject=OuterRef("pk")).order_by("role")
    return mine.values(json=JSONObject(role="role", stated="stated", mapped=_array(mapped.values(json=_by_provider()))))


def _by_provider() -> JSONObject:
    return JSONObject(name="provider__name", slug="provider__slug", role="role")


def _groups() -> QuerySet[Any]:
    mine = GroupMember.objects.filter(Q(subject=OuterRef("pk")) | Q(entry__subject=OuterRef("pk")))
    return mine.order_by("group__name", "pk").values(
        json=JSONObject(provider="group__provider__slug", name="group__name")
    )


def _rules() -> QuerySet[Any]:
    """Those that may have given the subject something, and those that fill it."""
    teams = Membership.objects.filter(member=OuterRef(OuterRef("pk"))).values("team")
    roles = ConsoleRole.objects.filter(subject=OuterRef(OuterRef("pk"))).values("role")
    rows = GroupRule.objects.filter(Q(team=OuterRef("pk")) | Q(team__in=teams) | Q(console_role__in=roles))
    return rows.order_by("provider__name", "pk").values(
        json=JSONObject(
            provider="provider__name",
            slug="provider__slug",
            match="match",
            pattern="pattern",
            role="team_role",
            team="team__key",
            console_role="console_role",
        )
    )


def _ways() -> QuerySet[Any]:
    names = Provider.objects.filter(issuer=OuterRef("issuer")).order_by("name").values("name")[:1]
    rows = Login.objects.filter(subject=OuterRef("pk")).annotate(named=Subquery(names)).order_by("issuer", "sub")
    return rows.values(
        json=JSONObject(pk="pk", provider="named", issuer="issuer", sub="sub", last_used_at="last_used_at")
    )


def _sessions(at: datetime, session_key: str) -> QuerySet[Any]:
    """The keys themselves stay in the database."""
    alive = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=at)
    rows = SignIn.objects.filter(Exists(alive), subject=OuterRef("pk")).order_by("-started_at", "-pk")
    here = ExpressionWrapper(Q(session_key=session_key), output_field=BooleanField())
    return rows.values(
        json=JSONObject(
            provider="provider__name",
            started_at="started_at",
            here=here,
            asked_at="refresh_token__asked_at",
            silent_since="refresh_token__silent_since",
        )
    )


def _tokens(at: datetime) -> QuerySet[Any]:
    rows = ApiToken.objects.filter(subject=OuterRef("pk"), revoked_at=None, expires_at__gt=at)
    names = ("pk", "name", "prefix", "scopes", "expires_at", "last_used_at")
    return rows.order_by("-created_at", "-pk").values(json=JSONObject(**{name: F(name) for name in names}))


def _dependents() -> QuerySet[Any]:
    rows = Subject.objects.filter(Q(owner=OuterRef("pk")) | Q(team=OuterRef("pk")))
    names = ("key", "name", "kind", "state", "purpose")
    return rows.order_by("kind", "name", "key").values(json=JSONObject(**{name: F(name) for name in names}))


def _entries() -> QuerySet[Any]:
    rows = DirectoryUser.objects.filter(subject=OuterRef("pk")).order_by("provider__name", "pk")
    told = JSONObject(provider="provider__name", slug="provider__slug", user_name="user_name", active="active")
    return rows.values(json=told)
