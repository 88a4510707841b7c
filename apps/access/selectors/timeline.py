"""What happened to a request, moment by moment, from this app's own rows. The rollout knows what lies in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from apps.access.models import AccessRequest, Grant, Verdict
from apps.access.states import DoorState, GrantState, RequestState

CONSOLE = "Sallyport"


@dataclass(frozen=True, slots=True)
class Moment:
    """``kind`` is a stable code; ``who`` is empty when nobody in particular did it; ``point`` names a door."""

    at: datetime
    kind: str
    sentence: str
    who: str = ""
    point: str = ""
    comment: str = ""


def timeline(request: AccessRequest) -> list[Moment]:
    """In order of time; what happened at the same moment in order of cause."""
    grant = getattr(request, "grant", None)
    moments = [*_asked(request), *_answered(request), *_decided(request), *(_granted(grant) if grant else ())]
    return sorted(moments, key=lambda moment: moment.at)


def _asked(request: AccessRequest) -> Iterator[Moment]:
    who = request.requester.name
    whom = "" if request.subject_id == request.requester_id else f" for {request.subject.name}"
    yield Moment(request.created_at, "asked", f"{who} asked{whom}.", who, comment=request.reason)
    for rule in request.resolved.get("rules", []):
        yield Moment(request.created_at, "rule_matched", rule["sentence"])


def _answered(request: AccessRequest) -> Iterator[Moment]:
    for answer in sorted(request.reviews.all(), key=lambda one: (one.at, one.pk)):
        who = answer.reviewer.name
        said, kind = ("approved", "approval") if answer.verdict == Verdict.APPROVE else ("denied", "denial")
        yield Moment(answer.at, f"{kind}_given", f"{who} {said}.", who, comment=answer.comment)


_DECISIONS = {
    RequestState.APPROVED: "Everybody who had to agree has agreed.",
    RequestState.DENIED: "Denied.",
    RequestState.EXPIRED: "Nobody answered in time.",
    RequestState.CANCELLED: "Withdrawn.",
}


def _decided(request: AccessRequest) -> Iterator[Moment]:
    if request.decided_at is not None:
        yield Moment(request.decided_at, request.state, _DECISIONS[RequestState(request.state)])


def _granted(grant: Grant) -> Iterator[Moment]:
    yield from _doors(grant, "opened_at", DoorState.OPEN, "door_opened", "The {} opened.")
    yield from _doors(grant, "proven_at", DoorState.PROVEN, "door_proven", "The {} is proven: a probe passed it.")
    if grant.activated_at is not None:
        yield Moment(grant.activated_at, "started", "The clock started.")
    if grant.error and grant.error_at is not None:
        yield Moment(grant.error_at, "failed", "It could not be applied; it is tried again.", comment=grant.error)
    if grant.ended_at is not None:
        yield _ended(grant, grant.ended_at)
    yield from _doors(grant, "closed_at", DoorState.CLOSED, "door_closed", "The {} closed.")


def _doors(grant: Grant, field: str, state: DoorState, kind: str, sentence: str) -> Iterator[Moment]:
    """A door keeps only how it was seen last, so only the moment it stands at now has that beside it."""
    for door in sorted(grant.doors.all(), key=lambda one: one.point):
        moment = getattr(door, field)
        if moment is not None:
            seen = door.detail if door.state == state else ""
            yield Moment(moment, kind, sentence.format(door.point), point=door.point, comment=seen)


def _ended(grant: Grant, ended_at: datetime) -> Moment:
    who = grant.ended_by.name if grant.ended_by else ""
    sentences = {
        GrantState.EXPIRED: "It ran out.",
        GrantState.REVOKED: f"{who or CONSOLE} revoked it.",
        GrantState.HANDED_BACK: f"{who or CONSOLE} handed it back.",
    }
    return Moment(ended_at, grant.state, sentences[GrantState(grant.state)], who, comment=grant.end_reason)
