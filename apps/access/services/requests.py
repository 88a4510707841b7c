"""Asking, and taking back an ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from apps.access import policies, refusals
from apps.access.asks import (
    REASON_LENGTH,
    TICKET_LENGTH,
    Target,
    fingerprint,
    read_duration,
    read_subject,
    read_target,
    read_text,
)
from apps.access.ids import new_request_id
from apps.access.judging import judge_risk
from apps.access.models import AccessRequest, Origin, Requirement
from apps.access.rules import Need
from apps.access.selectors.visibility import visible_requests
from apps.access.services.records import announce_request, record_request
from apps.access.states import RequestState, move
from apps.access.traffic import hold_rules
from apps.access.weighing import Weighed, find_twin, weigh
from apps.audit.actors import SYSTEM, Actor

if TYPE_CHECKING:
    from apps.identity.models import Subject

LIFETIME = timedelta(days=7)


def open_request(
    *,
    actor: Subject,
    subject_key: str,
    service_slug: str,
    route_keys: Collection[str],
    points: Collection[str] = (),
    duration: int,
    environment: str | None = None,
    reason: str,
    ticket: str = "",
    origin: str = Origin.WEB,
    treatment: Mapping[str, Any] | None = None,
    demands: Sequence[Need] = (),
    at: datetime,
) -> AccessRequest:
    """Ask. The rules are resolved now and kept with the request; the first thing against it is raised as a refusal.
    ``demands`` are approvals that are needed besides what the rules ask for.

    The same ask cannot be open twice: of two that come at once the database lets one through. With a ``treatment`` it
    is a traffic rule that is asked for; one that contradicts another is refused with TrafficConflict.
    """
    subject = read_subject(subject_key, service_slug, treatment)
    if treatment is None:
        policies.require_may_ask_for(actor, subject)
    target = read_target(
        subject=subject,
        service_slug=service_slug,
        route_keys=route_keys,
        points=points,
        environment=environment,
        treatment=treatment,
    )
    if target.wish is not None:
        policies.require_may_ask_for_rule(actor, subject, target.service)
    with transaction.atomic():
        if target.wish is not None:
            hold_rules(target.service.pk)
        request = AccessRequest(
            public_id=new_request_id(),
            requester=actor,
            subject=subject,
            service=target.service,
            environment=target.environment,
            points=list(target.points),
            duration=read_duration(duration),
            reason=read_text("reason", reason, longest=REASON_LENGTH, required=True),
            ticket=read_text("ticket", ticket, longest=TICKET_LENGTH),
            origin=Origin(origin),
            treatment=None if target.wish is None else target.wish.as_json(),
            fingerprint=fingerprint(subject, target),
            created_at=at,
            expires_at=at + LIFETIME,
        )
        weighed = weigh(requester=actor, subject=subject, target=target, duration=duration, demands=demands)
        if weighed.blockers:
            raise weighed.blockers[0]
        store_request(request, target, weighed)
        record_request("opened", request, actor=actor.actor, at=at, after=_described(request, target))
        announce_request("opened", request, at)
    return request


def store_request(request: AccessRequest, target: Target, weighed: Weighed) -> None:
    """With its routes and what has to be agreed to. Raises AlreadyAsked with the other where the same is open."""
    request.resolved = weighed.resolution.as_json()
    request.risk = judge_risk(request.subject, target, request.duration).as_json()
    try:
        with transaction.atomic():
            request.save(force_insert=True)
    except IntegrityError as error:
        raise refusals.AlreadyAsked(extra={"request": find_twin(request.fingerprint)}) from error
    request.routes.set(target.routes)
    Requirement.objects.bulk_create(
        [
            Requirement(
                request=request,
                name=need.name,
                kind=need.kind,
                value=need.value,
                count=need.count,
                sentence=need.sentence,
            )
            for need in weighed.resolution.needs
        ]
    )


def _described(request: AccessRequest, target: Target) -> dict[str, object]:
    return {
        "subject": request.subject.key,
        "service": request.service.slug,
        "environment": request.environment.slug,
        "routes": sorted(target.route_keys),
        "points": list(target.points),
        "duration": request.duration,
        "reason": request.reason,
        "ticket": request.ticket,
        "origin": request.origin,
        **({} if request.treatment is None else {"treatment": request.treatment}),
        "resolved": request.resolved,
        "risk": request.risk,
    }


def locked(public_id: str) -> AccessRequest:
    """The request, its row locked until the transaction ends. Raises UnknownRequest."""
    request = (
        AccessRequest.objects.select_for_update(of=("self",))
        .select_related("requester__owner", "subject__owner", "subject__team", "service__team", "environment")
        .filter(public_id=public_id)
        .first()
    )
    if request is None:
        raise refusals.UnknownRequest
    return request


def locked_visible(public_id: str, viewer: Subject) -> AccessRequest:
    """As ``locked``; what ``viewer`` may not see is as unknown as what there is not."""
    request = locked(public_id)
    if not visible_requests(viewer).filter(pk=request.pk).exists():
        raise refusals.UnknownRequest
    return request


def close(request: AccessRequest, to: RequestState, at: datetime) -> None:
    """Decide a locked request, once."""
    move(request, to)
    request.decided_at = at
    request.save(update_fields=["state", "decided_at"])


def tell_outcome(request: AccessRequest, *, actor: Actor, at: datetime, why: str = "") -> None:
    """Records and announces that an open request came to its end, in the caller's transaction."""
    before, after = {"state": RequestState.PENDING}, {"state": request.state, "why": why}
    record_request(request.state, request, actor=actor, at=at, before=before, after=after)
    announce_request(request.state, request, at)


def cancel_request(*, public_id: str, actor: Subject, at: datetime, why: str = "") -> AccessRequest:
    """Takes an open ask back. Raises RequestNotOpen once it is decided."""
    with transaction.atomic():
        request = locked_visible(public_id, actor)
        policies.require_may_cancel(actor, request)
        policies.require_open(request, at)
        why = read_text("why", why, longest=REASON_LENGTH)
        close(request, RequestState.CANCELLED, at)
        tell_outcome(request, actor=actor.actor, at=at, why=why)
    return request


def expire_due_requests(*, at: datetime, limit: int = 200) -> int:
    """Close what nobody answered in time, each in its own transaction."""
    due = AccessRequest.objects.filter(state=RequestState.PENDING, expires_at__lte=at).order_by("expires_at", "pk")
    return sum(_expire(public_id, at) for public_id in due.values_list("public_id", flat=True)[:limit])


def _expire(public_id: str, at: datetime) -> bool:
    with transaction.atomic():
        request = locked(public_id)
        if request.state != RequestState.PENDING or request.expires_at > at:
            return False
        close(request, RequestState.EXPIRED, at)
        tell_outcome(request, actor=SYSTEM, at=at, why="Nobody answered in time.")
    return True
