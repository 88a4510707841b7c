"""Reading requests: one, many, and those that wait for somebody."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Exists, F, FilteredRelation, OuterRef, Prefetch, Q, QuerySet

from apps.access import policies, refusals
from apps.access.approvers import Progress, progress
from apps.access.models import AccessRequest, Requirement, Review, SelectorKind, Verdict
from apps.access.selectors.pages import PAGE, Page, page_of
from apps.access.selectors.visibility import visible_requests
from apps.access.states import RequestState
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

FEW = 20


def with_parts(rows: QuerySet[AccessRequest]) -> QuerySet[AccessRequest]:
    """What a list shows of each, in a fixed number of queries."""
    return rows.select_related("requester", "subject", "service__team", "grant", "addresses").prefetch_related("routes")


def get_visible_request(*, viewer: Subject, public_id: str) -> AccessRequest:
    """With everything its page shows; raises UnknownRequest for what ``viewer`` may not see.

    ``edge_host`` and ``edge_base_path`` are where its service answers at the edge, None where it does not.
    """
    rows = visible_requests(viewer).filter(public_id=public_id)
    whole = rows.select_related(
        "requester__owner",
        "subject__owner",
        "subject__team",
        "service__team",
        "environment",
        "grant__ended_by",
        "addresses",
    )
    at_edge = Q(service__exposures__point="edge", service__exposures__environment=F("environment"))
    addressed = whole.annotate(edge=FilteredRelation("service__exposures", condition=at_edge)).annotate(
        edge_host=F("edge__host"), edge_base_path=F("edge__base_path")
    )
    reviews = Prefetch("reviews", Review.objects.select_related("reviewer"))
    request = addressed.prefetch_related("routes", reviews, "grant__doors").first()
    if request is None:
        raise refusals.UnknownRequest
    return request


def get_asked(*, viewer: Subject, public_id: str) -> AccessRequest:
    """What is asked for, without its story; raises UnknownRequest for what ``viewer`` may not see."""
    rows = visible_requests(viewer).select_related("subject__owner", "service__team", "environment", "grant")
    request = rows.prefetch_related("routes").filter(public_id=public_id).first()
    if request is None:
        raise refusals.UnknownRequest
    return request


def list_requests(
    *,
    viewer: Subject,
    states: Collection[str] = (),
    service: str = "",
    subject: str = "",
    requester: str = "",
    after: int | None = None,
    limit: int = PAGE,
) -> Page[AccessRequest]:
    """What ``viewer`` may see, newest first. ``subject`` and ``requester`` are keys."""
    rows = visible_requests(viewer)
    if states:
        rows = rows.filter(state__in=states)
    if service:
        rows = rows.filter(service__slug=service)
    if subject:
        rows = rows.filter(subject__key=subject)
    if requester:
        rows = rows.filter(requester__key=requester)
    return page_of(with_parts(rows), after=after, limit=limit)


def list_inbox(*, subject: Subject, at: datetime) -> QuerySet[AccessRequest]:
    """What waits for ``subject``'s answer, the longest waiting first.

    A requirement met as far as anybody knew at its last answer no longer waits; the request's page always recounts.
    """
    if subject.kind != "person" or not subject.is_active:
        return AccessRequest.objects.none()
    asked = Requirement.objects.filter(_names(subject), request=OuterRef("pk"), met__lt=F("count"))
    answered = Review.objects.filter(request=OuterRef("pk"), reviewer=subject)
    own = Q(requester=subject) | Q(subject=subject) | Q(requester__owner=subject) | Q(subject__owner=subject)
    waiting = AccessRequest.objects.filter(Exists(asked), state=RequestState.PENDING, expires_at__gt=at)
    rows = waiting.exclude(own).exclude(Exists(answered)).select_related("requester", "subject", "service__team")
    return rows.prefetch_related("routes", "grant").order_by("created_at", "pk")


def _names(subject: Subject) -> Q:
    """The requirements that name ``subject``. Its teams are read first: as subqueries they mislead the planner."""
    teams = identity.teams_of(subject)
    owned = [team.key for team in teams if identity.is_owner(subject, team)]
    return (
        Q(kind=SelectorKind.OWNER_TEAM, value__in=owned)
        | Q(kind=SelectorKind.TEAM, value__in=[team.key for team in teams])
        | Q(kind=SelectorKind.ROLE, value__in=[role.value for role in identity.roles_of(subject)])
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a person's home page begins with."""

    to_decide: tuple[AccessRequest, ...]
    asked: tuple[AccessRequest, ...]


def waiting_for(*, subject: Subject, at: datetime) -> Waiting:
    """What waits for ``subject``'s answer, and what it asked for and waits on; nobody decides about their own."""
    asked = AccessRequest.objects.filter(requester=subject, state=RequestState.PENDING, expires_at__gt=at)
    inbox = list_inbox(subject=subject, at=at)
    either = AccessRequest.objects.filter(
        pk__in=asked.order_by("-pk").values("pk")[:FEW].union(inbox.values("pk")[:FEW], all=True)
    )
    rows = with_parts(either).order_by("created_at", "pk")
    own = [row.requester_id == subject.pk for row in rows]
    return Waiting(
        to_decide=tuple(row for row, is_own in zip(rows, own, strict=True) if not is_own),
        asked=tuple(row for row, is_own in zip(rows, own, strict=True) if is_own)[::-1],
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """One requirement and how far it is met now."""

    requirement: Requirement
    progress: Progress


def standings(request: AccessRequest) -> tuple[Standing, ...]:
    """How far each requirement is met by those who may decide now, nobody counted twice."""
    requirements = sorted(request.requirements.all(), key=lambda one: (one.kind, one.value))
    able = policies.able_to_decide(request, requirements)
    approvals = sorted(
        (one for one in request.reviews.all() if one.verdict == Verdict.APPROVE), key=lambda one: (one.at, one.pk)
    )
    met = progress(requirements, able, [one.reviewer.key for one in approvals])
    return tuple(Standing(*pair) for pair in zip(requirements, met, strict=True))
