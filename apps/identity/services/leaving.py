"""Leaving means leaving: one use case, whoever brings the news.

Every row is locked before the first word goes into the record, as the other services do it: first the rows, then the
record's head.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.models import SubjectState
from apps.identity.services.api_tokens import live_tokens_locked, revoke_locked
from apps.identity.services.denials import deny_tokens
from apps.identity.services.sessions import TOKENS_DENIED, end_sessions
from apps.identity.services.subjects import agents_locked, get_locked, note, suspend_locked


@dataclass(frozen=True, slots=True)
class Left:
    """What there was to end. All nothing when somebody has left already."""

    sessions: int
    tokens: int
    suspended: bool


def leave(*, subject_key: str, actor: Actor, at: datetime, why: str) -> Left:
    """Suspend ``subject_key``, end its sessions and revoke its API tokens; the same for the agents it answers for.

    The suspension is announced, so that its timed grants end and both doors are compiled without it and its agents.
    Tokens are revoked for good: whoever is reinstated makes new ones. Leaving twice is leaving once.
    """
    policies.require_can_see_off(actor)
    with transaction.atomic():
        subject = get_locked(subject_key)
        everybody = [subject, *agents_locked(subject)]
        tokens = [(one, live_tokens_locked(one, at)) for one in everybody]
        suspended = subject.state != SubjectState.SUSPENDED
        suspend_locked(subject, actor=actor, at=at, why=why)
        revoked = sum(revoke_locked(one, held, actor=actor, at=at, why=why) for one, held in tokens)
        sessions = sum(end_sessions(subject_key=one.key, actor=actor, at=at, why=why) for one in everybody)
    return Left(sessions, revoked, suspended)


def sign_out_and_revoke(*, subject_key: str, actor: Actor, at: datetime, why: str) -> Left:
    """End the sessions and revoke the API tokens of ``subject_key``, which stays active and keeps its access.

    Edge tokens it holds are turned away at both doors; one it gets afterwards works. That is what a provider's
    Universal Logout asks: the person has to prove again who they are.
    """
    policies.require_can_see_off(actor)
    with transaction.atomic():
        subject = get_locked(subject_key)
        held = live_tokens_locked(subject, at)
        deny_tokens(subject, at=at)
        note(subject, TOKENS_DENIED, actor=actor, at=at, after={"why": why})
        revoked = revoke_locked(subject, held, actor=actor, at=at, why=why)
        sessions = end_sessions(subject_key=subject_key, actor=actor, at=at, why=why)
    return Left(sessions, revoked, suspended=False)
