"""Who may do what with requests and grants. Called by the services, so pages, API and tasks all get one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings

from apps.access import refusals
from apps.access.approvers import Person, barred, candidates
from apps.access.models import AccessRequest, CleanUp, Grant, Requirement, StandingReview
from apps.access.states import CleanUpState, GrantState, RequestState, StandingState
from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import Refusal
from apps.identity import selectors as identity
from apps.identity.errors import StepUpRequired

if TYPE_CHECKING:
    from apps.catalog.models import Service
    from apps.identity.freshness import Freshness
    from apps.identity.models import Subject

GOVERNORS = ("security", "administrator")
SEE_ALL = ("security", "auditor", "operator", "administrator")


def require_active(subject: Subject) -> None:
    if not subject.is_active:
        raise refusals.SubjectSuspended(f"{subject.name} is suspended.")


def require_may_ask_for(actor: Subject, subject: Subject) -> None:
    """An agent or a workload asks for itself only; a person also for its teams and what they own."""
    require_active(actor)
    if all(subject.pk != one.pk for one in identity.acting_for(actor)):
        raise refusals.NotYourSubject


def require_may_ask_for_rule(actor: Subject, subject: Subject, service: Service) -> None:
    """A traffic rule for oneself like access; for anybody else, people of the team that owns the service."""
    require_active(actor)
    if actor.kind == "person" and identity.is_member(actor, service.team):
        return
    if all(subject.pk != one.pk for one in identity.acting_for(actor)):
        raise refusals.NotYourTraffic


def require_open(request: AccessRequest, at: datetime) -> None:
    if request.state != RequestState.PENDING:
        raise refusals.RequestNotOpen(f"This request is {RequestState(request.state).label.lower()} already.")
    if request.expires_at <= at:
        raise refusals.RequestNotOpen("Nobody answered this request in time.")


def require_may_decide(actor: Subject, request: AccessRequest) -> None:
    """The rules no role overrides: a person, awake, and neither party to the ask."""
    if actor.kind != "person":
        raise refusals.AgentsNeverDecide
    require_active(actor)
    if actor.pk in {request.requester_id, request.subject_id}:
        raise refusals.SelfApproval
    if actor.pk in {request.requester.owner_id, request.subject.owner_id}:
        raise refusals.OwnerOfAskingAgent


def able_to_decide(request: AccessRequest, requirements: Sequence[Requirement]) -> list[dict[str, Person]]:
    """Per requirement those who may decide it now."""
    return candidates(requirements, barred(request.requester, request.subject))


def require_named(actor: Subject, able: Iterable[dict[str, Person]]) -> None:
    if not any(actor.key in people for people in able):
        raise refusals.NotAnApprover


def require_can_review(
    actor: Subject, request: AccessRequest, requirements: Sequence[Requirement], at: datetime
) -> list[dict[str, Person]]:
    """Returns those able to decide, per requirement, so that they are asked for once."""
    require_may_decide(actor, request)
    if any(one.reviewer_id == actor.pk for one in request.reviews.all()):
        raise refusals.AlreadyReviewed
    require_open(request, at)
    able = able_to_decide(request, requirements)
    require_named(actor, able)
    return able


SENSITIVE = frozenset({"sensitive", "critical"})


def require_fresh(freshness: Freshness | None, request: AccessRequest, at: datetime) -> None:
    """Opening a sensitive service takes more than an old session: raises StepUpNeeded, which knows where to go.

    ``freshness`` is None for a program with an API token. Whoever holds one need not be the person, so it opens nothing
    sensitive: raises StepUpRequired, which knows the page for a browser.
    """
    if request.service.sensitivity not in SENSITIVE:
        return
    if freshness is None:
        page = f"{settings.SALLYPORT_URL}/requests/{request.public_id}/"
        words = f"{request.service.title} is sensitive, so it is approved in a browser, not by an API token: {page}"
        raise StepUpRequired(words, extra={"approve_url": page})
    words = f"{request.service.title} is sensitive, so sign in again before you approve this. Nothing was opened yet."
    freshness.require(at=at, back=f"/requests/{request.public_id}/", words=words)


def require_may_cancel(actor: Subject, request: AccessRequest) -> None:
    """Whoever asked; and the owner of an agent that asked, because its owner answers for it."""
    require_active(actor)
    if actor.pk not in {request.requester_id, request.requester.owner_id}:
        raise refusals.NotYoursToCancel


def end_state(actor: Subject, grant: Grant) -> GrantState:
    """As what the grant ends when ``actor`` ends it; raises NotYoursToEnd."""
    require_active(actor)
    if holds(actor, grant):
        return GrantState.HANDED_BACK
    if actor.kind == "person" and _stands_over(actor, grant):
        return GrantState.REVOKED
    raise refusals.NotYoursToEnd


def holds(actor: Subject, grant: Grant) -> bool:
    """Whoever asked or holds it, an agent's owner, and the owners of a team that holds it or owns what holds it."""
    subject = grant.subject
    if actor.pk in {subject.pk, subject.owner_id, grant.request.requester_id if grant.request else None}:
        return True
    team = subject if subject.kind == "team" else subject.team
    return team is not None and actor.kind == "person" and identity.is_owner(actor, team)


def _stands_over(actor: Subject, grant: Grant) -> bool:
    return identity.is_owner(actor, grant.service.team) or identity.has_role(actor, *GOVERNORS)


def can_end(actor: Subject, grant: Grant) -> bool:
    """For pages: whether to offer it."""
    try:
        end_state(actor, grant)
    except Refusal:
        return False
    return True


def require_can_govern(actor: Actor) -> None:
    """The console itself may (seeding, imports); others by the role they hold now."""
    if actor == SYSTEM:
        return
    subject = identity.find_subject(actor.id)
    if subject is None or not identity.has_role(subject, *GOVERNORS):
        raise refusals.NotYoursToGovern


def require_may_clean_up(actor: Subject, row: CleanUp) -> None:
    """Whoever answers for the service or for all of it, and proposed nothing: the decision takes two."""
    if row.state != CleanUpState.PENDING:
        raise refusals.CleanUpDecided
    if actor.kind != "person":
        raise refusals.AgentsNeverDecide
    require_active(actor)
    if actor.pk in {row.proposer_id, row.proposer.owner_id}:
        raise refusals.OwnProposal
    if not answers_for(actor, row.service):
        raise refusals.NotYoursToCleanUp


def require_may_withdraw(actor: Subject, row: CleanUp) -> None:
    if row.state != CleanUpState.PENDING:
        raise refusals.CleanUpDecided
    require_active(actor)
    if actor.pk not in {row.proposer_id, row.proposer.owner_id}:
        raise refusals.NotYoursToCancel


def require_may_answer(actor: Subject, row: StandingReview, *, keep: bool) -> None:
    """Owners of the service and security; that it stays is never said by whoever could have asked for it."""
    if row.state != StandingState.OPEN:
        raise refusals.StandingAnswered
    if actor.kind != "person":
        raise refusals.AgentsNeverDecide
    require_active(actor)
    own = any(row.grant.subject_id == one.pk for one in identity.acting_for(actor))
    if keep and own:
        raise refusals.HolderNeverKeeps
    if not answers_for(actor, row.grant.service) and not (own and holds(actor, row.grant)):
        raise refusals.NotYoursToAnswer


def answers_for(actor: Subject, service: Service) -> bool:
    return identity.is_owner(actor, service.team) or identity.has_role(actor, *GOVERNORS)
