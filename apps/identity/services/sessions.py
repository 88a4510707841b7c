"""Which browser sessions there are, and ending them. A session nobody wrote down could not be ended by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity.models import SignIn, Subject
from apps.identity.services.subjects import get_locked

SETTLED = timedelta(hours=1)


def remember_session(*, subject: Subject, session_key: str, at: datetime) -> SignIn:
    """Write down a session that began without a provider: the demo's, or a break-glass operator's.

    The session itself is saved already, and its key is final.
    """
    sign_in, _ = SignIn.objects.update_or_create(
        session_key=session_key,
        defaults={"subject": subject, "provider": None, "authenticated_at": at, "started_at": at},
    )
    return sign_in


def forget_session(*, session_key: str) -> None:
    """Somebody signed out by themselves, which is no news for the record."""
    SignIn.objects.filter(session_key=session_key).delete()


def end_sessions(
    *, subject_key: str, actor: Actor, at: datetime, why: str, provider_id: int | None = None, sid: str = ""
) -> int:
    """End the browser sessions of ``subject_key``; returns how many there were.

    With ``provider_id`` only those begun at that provider, with ``sid`` only the one that it calls so. The caller has
    checked that ``actor`` may. Locks the subject. Ending what has ended already changes and records nothing.
    """
    with transaction.atomic():
        subject = get_locked(subject_key)
        found = SignIn.objects.select_for_update().filter(subject=subject)
        if provider_id is not None:
            found = found.filter(provider_id=provider_id)
        if sid:
            found = found.filter(sid=sid)
        keys = list(found.values_list("session_key", flat=True))
        if not keys:
            return 0
        live, _ = Session.objects.filter(session_key__in=keys).delete()
        SignIn.objects.filter(session_key__in=keys).delete()
        if live:
            _record(subject, actor, at, {"sessions": live, "why": why[:300]})
    return live


def _record(subject: Subject, actor: Actor, at: datetime, after: Mapping[str, object]) -> None:
    audit.record(
        action="identity.session.ended",
        actor=actor,
        target_type="identity.subject",
        target_id=subject.key,
        target_name=subject.name,
        after=after,
        at=at,
    )


def forget_ended_sessions(*, at: datetime) -> int:
    """Take away the rows whose session is no more: it ran out, or its holder's browser replaced it."""
    known = Session.objects.values("session_key")
    deleted, _ = SignIn.objects.filter(started_at__lt=at - SETTLED).exclude(session_key__in=known).delete()
    return deleted
