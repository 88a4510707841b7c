"""What would end if somebody left now, for whoever is about to say that they did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.sessions.models import Session
from django.db.models import Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.identity.errors import UnknownSubject
from apps.identity.models import ApiToken, Kind, Membership, MembershipRole, SignIn, Subject, SubjectState


@dataclass(frozen=True, slots=True)
class Agent:
    key: str
    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Departing:
    """``tokens`` are their own; ``orphaned`` are the teams nobody who is active would own any more."""

    subject: Subject
    sessions: int
    tokens: int
    agents: tuple[Agent, ...]
    orphaned: tuple[Subject, ...]

    @property
    def agent_keys(self) -> list[str]:
        return [one.key for one in self.agents]


def look_ahead(key: str, *, at: datetime) -> Departing:
    """Raises UnknownSubject. Two statements."""
    rows = Subject.objects.filter(Q(key=key) | Q(owner__key=key, kind=Kind.AGENT)).select_related("owner")
    found = list(rows.annotate(live_tokens=_count(_tokens(at)), live_sessions=_count(_sessions(at))).order_by("name"))
    subject = next((one for one in found if one.key == key), None)
    if subject is None:
        raise UnknownSubject(f"There is no {key or 'subject without a key'}.")
    others = Membership.objects.filter(
        team=OuterRef("pk"), role=MembershipRole.OWNER, member__state=SubjectState.ACTIVE
    ).exclude(member=subject)
    owned = Subject.objects.filter(memberships__member=subject, memberships__role=MembershipRole.OWNER)
    return Departing(
        subject=subject,
        sessions=sum(one.live_sessions for one in found),
        tokens=subject.live_tokens,
        agents=tuple(Agent(one.key, one.name, one.live_tokens) for one in found if one.key != key),
        orphaned=tuple(owned.filter(~Exists(others)).order_by("name")),
    )


def _tokens(at: datetime) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(subject=OuterRef("pk"), revoked_at=None, expires_at__gt=at)


def _sessions(at: datetime) -> QuerySet[SignIn]:
    alive = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=at)
    return SignIn.objects.filter(Exists(alive), subject=OuterRef("pk"))


def _count(rows: QuerySet[ApiToken] | QuerySet[SignIn]) -> Coalesce:
    counted = rows.order_by().values("subject").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
