"""Browser sessions: where each came from, and ending them when somebody with a say in it says so.

A session's own row is Django's; deleting it is what ends it, from the next request on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import Suspended, TokenSpent
from apps.identity.models import Provider, SignalChannel, SignalOutcome, SignIn, SpentToken, Subject
from apps.identity.services.denials import deny_tokens
from apps.identity.services.heard import note_heard
from apps.identity.services.refresh_tokens import keep_refresh_token, release
from apps.identity.services.subjects import entry, get_locked, note, record
from apps.identity.vault import WrongSecretsKey, seal, unseal

if TYPE_CHECKING:
    from apps.identity.providers.claims import Proved
    from apps.identity.providers.leaving import Leaving

SETTLED = timedelta(hours=1)
TOKENS_DENIED = "identity.subject.tokens_denied"


def note_sign_in(
    *,
    subject: Subject,
    way: str,
    session_key: str,
    at: datetime,
    proved: Proved | None = None,
    replaces: str = "",
) -> SignIn:
    """Record that ``subject`` signed in by ``way`` ("oidc", "demo", "password"), and what the session came from.

    ``replaces`` is the key the session had before it was given a new one, as it is at every sign-in.
    """
    if not subject.is_active:
        raise Suspended
    with transaction.atomic():
        before = SignIn.objects.filter(session_key__in={session_key, replaces})
        release(before.values_list("pk", flat=True), at=at)
        before.delete()
        sign_in = SignIn.objects.create(
            session_key=session_key, subject=subject, started_at=at, **(_from(proved) or {"authenticated_at": at})
        )
        if proved is not None:
            keep_refresh_token(sign_in=sign_in, provider=proved.provider, token=proved.refresh_token, at=at)
        said = {"way": way, "provider": proved.provider.slug} if proved else {"way": way}
        record(subject, "identity.session.started", actor=subject.actor, at=at, after=said)
    return sign_in


def _from(proved: Proved | None) -> dict[str, object]:
    if proved is None:
        return {}
    return {
        "provider": proved.provider,
        "sub": proved.sub,
        "sid": proved.sid,
        "id_token_sealed": seal(proved.id_token.encode()),
        "authenticated_at": proved.authenticated_at,
        "acr": proved.acr,
    }


@dataclass(frozen=True, slots=True)
class Left:
    """A session that was signed out of here, and what its provider wants to hear about it."""

    provider: Provider
    id_token: str = field(repr=False)


def note_sign_out(*, session_key: str, at: datetime) -> Left | None:
    """Record that somebody signed out; the caller ends the session itself. None if it came from no provider."""
    with transaction.atomic():
        found = SignIn.objects.select_for_update(of=("self",)).select_related("subject", "provider")
        sign_in = found.filter(session_key=session_key).first()
        if sign_in is None:
            return None
        release([sign_in.pk], at=at)
        sign_in.delete()
        subject = sign_in.subject
        told = {"why": "signed out", "sessions": 1}
        record(subject, "identity.session.ended", actor=subject.actor, at=at, after=told)
    return None if sign_in.provider is None else Left(sign_in.provider, _unsealed(sign_in))


def _unsealed(sign_in: SignIn) -> str:
    """Without the hint the provider asks whether to sign out, which is better than not signing out here."""
    try:
        return unseal(sign_in.id_token_sealed).decode()
    except WrongSecretsKey:
        return ""


def end_sessions(
    *, subject_key: str, actor: Actor, at: datetime, why: str, provider_id: int | None = None, sid: str = ""
) -> int:
    """End the sessions of ``subject_key``: all, or those of one provider, or the one that provider calls ``sid``.

    Returns how many. Doing it again ends none and records nothing. The caller has checked that ``actor`` may.
    """
    found = SignIn.objects.filter(subject__key=subject_key)
    if provider_id is not None:
        found = found.filter(provider=provider_id)
    if sid:
        found = found.filter(sid=sid)
    with transaction.atomic():
        return _end(found.values_list("pk", flat=True), actor, at, why)


def end_session(*, sign_in_id: int, actor: Actor, at: datetime, why: str) -> int:
    """End one session; returns how many that were. The caller has checked that ``actor`` may."""
    with transaction.atomic():
        return _end([sign_in_id], actor, at, why)


def _end(which: Iterable[int], actor: Actor, at: datetime, why: str) -> int:
    """Called in a transaction."""
    rows = locked(SignIn.objects.filter(pk__in=list(which)))
    entries = [ended(subject, len(own), actor=actor, why=why) for subject, own in by_subject(rows).items()]
    delete_locked(rows, at=at)
    audit.record_all(entries, at=at)
    return len(rows)


def locked(sign_ins: QuerySet[SignIn]) -> list[SignIn]:
    """In order, so that two who end the same do not block one another."""
    return list(sign_ins.select_for_update(of=("self",)).select_related("subject").order_by("pk"))


def by_subject(rows: Iterable[SignIn]) -> dict[Subject, list[SignIn]]:
    """In the order of the subjects' keys."""
    found: defaultdict[Subject, list[SignIn]] = defaultdict(list)
    for row in sorted(rows, key=lambda one: (one.subject.key, one.pk)):
        found[row.subject].append(row)
    return dict(found)


def ended(subject: Subject, count: int, *, actor: Actor, why: str) -> audit.Entry:
    return entry(subject, "identity.session.ended", actor=actor, after={"why": why, "sessions": count})


def delete_locked(rows: Sequence[SignIn], *, at: datetime) -> None:
    """End the sessions themselves, and give their refresh tokens back. What goes on the record is the caller's."""
    release([one.pk for one in rows], at=at)
    Session.objects.filter(session_key__in=[one.session_key for one in rows]).delete()
    SignIn.objects.filter(pk__in=[one.pk for one in rows]).delete()


def sign_out_everywhere(*, subject_key: str, actor: Actor, at: datetime) -> int:
    """A person's own button, and security's. Edge tokens that were given out until now are turned away too."""
    policies.require_can_end_sessions(actor, subject_key)
    why = "signed out everywhere" if actor.id == subject_key else "ended for them"
    with transaction.atomic():
        subject = get_locked(subject_key)
        deny_tokens([subject], at=at)
        note(subject, TOKENS_DENIED, actor=actor, at=at, after={"why": why}, urgent=True)
        return end_sessions(subject_key=subject_key, actor=actor, at=at, why=why)


def end_by_logout_token(*, provider: Provider, leaving: Leaving, at: datetime) -> int:
    """A provider says that somebody signed out there: those sessions end, and nothing else does.

    An ordinary sign-out looks the same as a forced one, so nobody is suspended. Raises TokenSpent the second time.
    """
    found = SignIn.objects.filter(provider=provider)
    if leaving.sub:
        found = found.filter(sub=leaving.sub)
    if leaving.sid:
        found = found.filter(sid=leaving.sid)
    actor = policies.provider_actor(provider)
    with transaction.atomic():
        spend_token(issuer=provider.issuer, jti=leaving.jti, good_until=leaving.good_until)
        person = found.select_related("subject").first()
        ended = _end(found.values_list("pk", flat=True), actor, at, "signed out at the provider")
        note_heard(
            provider=provider,
            channel=SignalChannel.LOGOUT,
            identifier=leaving.jti,
            kind="signed out",
            outcome=SignalOutcome.SESSIONS_ENDED if ended else SignalOutcome.NOBODY,
            subject=person.subject if person else None,
            sub=leaving.sub,
            sessions=ended,
            at=at,
        )
        return ended


def spend_token(*, issuer: str, jti: str, good_until: datetime) -> None:
    """Note that the token ``jti`` of ``issuer`` is used up; raises TokenSpent when it is already."""
    try:
        with transaction.atomic():
            hashed = hashlib.sha256(jti.encode()).hexdigest()
            SpentToken.objects.create(issuer=issuer, jti_hash=hashed, good_until=good_until)
    except IntegrityError as error:
        raise TokenSpent from error


def forget_ended(*, at: datetime) -> int:
    """Take away what is remembered of sessions that ran out, and of tokens that would be refused anyway.

    Not of the youngest: a session's own row is written a moment after ours.
    """
    alive = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=at)
    SpentToken.objects.filter(good_until__lte=at).delete()
    with transaction.atomic():
        over = list(SignIn.objects.filter(~Exists(alive), started_at__lt=at - SETTLED).values_list("pk", flat=True))
        release(over, at=at)
        return SignIn.objects.filter(pk__in=over).delete()[0]
