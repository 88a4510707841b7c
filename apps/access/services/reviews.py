"""Deciding. The last approval that is needed opens the grant, in the same transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from apps.access import policies, refusals
from apps.access.approvers import Person, progress
from apps.access.asks import REASON_LENGTH, read_target, read_text
from apps.access.models import AccessRequest, Grant, Requirement, Review, Verdict
from apps.access.services.grants import create_from_request, described
from apps.access.services.records import announce_grant, poke_watchers, record_grant, record_request
from apps.access.services.requests import close, locked_visible, tell_outcome
from apps.access.states import RequestState
from apps.access.traffic import contradictions, hold_rules
from apps.access.weighing import guardrail_refusals, standing_obstacles
from apps.audit.actors import Actor
from apps.audit.errors import Refusal

if TYPE_CHECKING:
    from apps.identity.freshness import Freshness
    from apps.identity.models import Subject


def review(
    *,
    public_id: str,
    actor: Subject,
    verdict: str,
    comment: str = "",
    freshness: Freshness | None = None,
    at: datetime,
) -> AccessRequest:
    """Answer a request. A denial by anybody the rules name decides it; the last approval needed opens the grant.

    ``freshness`` is of the browser session the answer came by, if it came by one: approving for a sensitive service
    takes a fresh one, and raises StepUpNeeded. Eligibility is asked now, of the reviewer and of everybody who approved
    before. Raises AgentsNeverDecide, SelfApproval, OwnerOfAskingAgent, RequestNotOpen, AlreadyReviewed or
    NotAnApprover; and, when the last approval would open what may not be opened any more, the refusal that says why:
    then the answer is not kept either.
    """
    with transaction.atomic():
        request = locked_visible(public_id, actor)
        requirements = list(request.requirements.order_by("kind", "value"))
        able = policies.require_can_review(actor, request, requirements, at)
        if verdict == Verdict.APPROVE:
            policies.require_fresh(freshness, request, at)
        answer = _store(request, actor, Verdict(verdict), read_text("comment", comment, longest=REASON_LENGTH), at)
        grant = None
        if answer.verdict == Verdict.DENY:
            close(request, RequestState.DENIED, at)
        elif _count(request, requirements, able):
            grant = _open(request, at)
        _record(request, answer, grant, actor.actor, at)
    return request


def _store(request: AccessRequest, actor: Subject, verdict: Verdict, comment: str, at: datetime) -> Review:
    try:
        with transaction.atomic():
            return Review.objects.create(request=request, reviewer=actor, verdict=verdict, comment=comment, at=at)
    except IntegrityError as error:
        raise refusals.AlreadyReviewed from error


def _count(request: AccessRequest, requirements: list[Requirement], able: list[dict[str, Person]]) -> bool:
    """Note how far each requirement is met, by those who may decide now; True when all are."""
    approvals = request.reviews.filter(verdict=Verdict.APPROVE).order_by("at", "pk")
    met = progress(requirements, able, list(approvals.values_list("reviewer__key", flat=True)))
    for requirement, standing in zip(requirements, met, strict=True):
        requirement.met = len(standing.answered)
        requirement.save(update_fields=["met"])
    return bool(met) and all(standing.is_met for standing in met)


def _open(request: AccessRequest, at: datetime) -> Grant:
    _require_startable(request)
    close(request, RequestState.APPROVED, at)
    return create_from_request(request, at)


def _record(request: AccessRequest, answer: Review, grant: Grant | None, actor: Actor, at: datetime) -> None:
    """After every write: the record's head is locked last, so that nobody waits for a row while holding it."""
    verb = "approval_given" if answer.verdict == Verdict.APPROVE else "denial_given"
    given = {"verdict": answer.verdict, "comment": answer.comment}
    record_request(verb, request, actor=actor, at=at, after=given)
    poke_watchers(request)
    if request.state != RequestState.PENDING:
        tell_outcome(request, actor=actor, at=at, why=answer.comment)
    if grant is not None:
        record_grant("created", grant, actor=actor, at=at, after=described(grant))
        announce_grant(grant, at)


def _require_startable(request: AccessRequest) -> None:
    """Days may lie between the ask and the answer: whoever and whatever it is about must still be there."""
    policies.require_active(request.requester)
    policies.require_active(request.subject)
    target = read_target(
        subject=request.subject,
        service_slug=request.service.slug,
        route_keys=set(request.routes.values_list("key", flat=True)),
        points=request.points,
        environment=request.environment.slug,
        treatment=request.treatment,
    )
    if target.wish is not None:
        hold_rules(target.service.pk)
    for conflict in contradictions(request.subject, target, own=request.public_id, with_asked=False):
        raise conflict
    for refusal in guardrail_refusals(standing_obstacles(request.subject, target)):
        raise refusal


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one request of a bulk decision. ``refusal`` is None when the answer was taken."""

    public_id: str
    state: str = ""
    refusal: Refusal | None = None

    @property
    def is_taken(self) -> bool:
        return self.refusal is None


def review_many(
    *,
    public_ids: Collection[str],
    actor: Subject,
    verdict: str,
    comment: str = "",
    freshness: Freshness | None = None,
    at: datetime,
) -> list[ItemResult]:
    """Answer many requests alike, each in its own savepoint: one refusal leaves the others standing.

    All rows are locked first and in order, so that bulk decisions and single ones cannot block one another.
    """
    with transaction.atomic():
        list(AccessRequest.objects.select_for_update().filter(public_id__in=public_ids).order_by("pk"))
        done = {one: _review_one(one, actor, verdict, comment, freshness, at) for one in sorted(set(public_ids))}
    return [done[public_id] for public_id in dict.fromkeys(public_ids)]


def _review_one(
    public_id: str, actor: Subject, verdict: str, comment: str, freshness: Freshness | None, at: datetime
) -> ItemResult:
    try:
        request = review(public_id=public_id, actor=actor, verdict=verdict, comment=comment, freshness=freshness, at=at)
    except Refusal as refusal:
        return ItemResult(public_id, refusal=refusal)
    return ItemResult(public_id, state=request.state)
