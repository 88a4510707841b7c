"""Asking a provider again about somebody who is signed in: the session goes on, or ends with a reason.

A provider that rotates takes each refresh token once and, when one is used twice, believes it stolen. So the row is
locked before the provider is asked, and what it answers is kept in the same transaction. A process that is killed
between the answer and the commit has lost the new token: the old one is used up, and the next try ends the session.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from apps.identity import policies
from apps.identity.errors import ForeignAccount
from apps.identity.mapping.claims import set_claimed_groups
from apps.identity.models import RefreshToken, SignalChannel, SignalOutcome, SignIn
from apps.identity.providers import renewing
from apps.identity.providers.client_auth import refresh_token_in
from apps.identity.providers.outgoing import Unreachable
from apps.identity.services.heard import note_heard
from apps.identity.services.sessions import end_session
from apps.identity.vault import WrongSecretsKey, seal, unseal
from apps.identity.verification import KeysUnreachable, TokenRefused

log = logging.getLogger(__name__)

MOST = 500
NOT_GOOD = "{name} does not let it go on: access was revoked or the account deactivated there, or a token used twice."
NOT_THEIRS = "{name} answered about somebody else, or not as it must."


class Outcome(StrEnum):
    """``SILENT``: the provider could not be asked, and the session goes on. ``NOTHING``: it was not due any more."""

    NOTHING = "nothing"
    ASKED = "asked"
    SILENT = "silent"
    ENDED = "ended"


def _due(at: datetime) -> QuerySet[RefreshToken]:
    """Of sessions that were used since the last try. Whoever does nothing is asked about when they come back."""
    return RefreshToken.objects.filter(due_at__lte=at, sign_in__used_at__gt=F("tried_at"), provider__enabled=True)


def list_due(*, at: datetime) -> list[tuple[int, int]]:
    """Tokens to ask with, the longest due first, each with its provider."""
    return list(_due(at).order_by("due_at", "pk").values_list("pk", "provider_id")[:MOST])


def ask_again(*, token_id: int, at: datetime) -> Outcome:
    """Ask about one session. Holds its token's row while the provider answers, which takes five seconds at most."""
    with transaction.atomic():
        rows = _due(at).select_for_update(of=("self",), skip_locked=True)
        held = rows.select_related("provider", "sign_in__subject").filter(pk=token_id).first()
        if held is None:
            return Outcome.NOTHING
        try:
            answer = renewing.renew(held.provider, unseal(held.token_sealed).decode(), at=at)
        except renewing.NotGood:
            return _end(held, "invalid_grant", NOT_GOOD, at)
        except (Unreachable, WrongSecretsKey) as error:
            log.warning("%s cannot be asked again: %s", held.provider.slug, error)
            return _note_silence(held, at)
        _keep(held, answer, at)
    return _follow(held, answer, at)


def _keep(held: RefreshToken, answer: Mapping[str, Any], at: datetime) -> None:
    rotated = refresh_token_in(answer)
    if rotated:
        held.token_sealed = seal(rotated.encode())
    held.asked_at, held.silent_since = at, None
    _next(held, at)


def _note_silence(held: RefreshToken, at: datetime) -> Outcome:
    held.silent_since = held.silent_since or at
    _next(held, at)
    return Outcome.SILENT


def _next(held: RefreshToken, at: datetime) -> None:
    held.tried_at, held.due_at = at, at + timedelta(minutes=max(held.provider.ask_again_minutes, 1))
    held.save(update_fields=["token_sealed", "asked_at", "silent_since", "tried_at", "due_at"])


def _follow(held: RefreshToken, answer: Mapping[str, Any], at: datetime) -> Outcome:
    """What the new ID token says counts as it does at a sign-in. The new refresh token is safe by now."""
    sign_in = _session_of(held)
    try:
        first = unseal(sign_in.id_token_sealed).decode()
        proved = renewing.check(held.provider, answer, first=first, at=at)
    except (KeysUnreachable, Unreachable, WrongSecretsKey) as error:
        log.warning("What %s answered cannot be checked: %s", held.provider.slug, error)
        return Outcome.ASKED
    except (TokenRefused, ForeignAccount) as error:
        log.warning("What %s answered is refused: %s", held.provider.slug, error)
        with transaction.atomic():
            return _end(held, "another identity", NOT_THEIRS, at)
    if proved is not None:
        names = proved.groups.known
        set_claimed_groups(provider=held.provider, subject=sign_in.subject, names=names, at=at)
    return Outcome.ASKED


def _session_of(held: RefreshToken) -> SignIn:
    """Those that are due have one."""
    if held.sign_in is None:
        raise RuntimeError(f"{held} is of no session.")
    return held.sign_in


def _end(held: RefreshToken, kind: str, words: str, at: datetime) -> Outcome:
    """Called in a transaction."""
    provider, sign_in = held.provider, _session_of(held)
    if kind == "invalid_grant":
        held.delete()
    actor = policies.provider_actor(provider)
    ended = end_session(sign_in_id=sign_in.pk, actor=actor, at=at, why=words.format(name=provider.name))
    note_heard(
        provider=provider,
        channel=SignalChannel.REFRESH,
        identifier=f"session {sign_in.pk}",
        kind=kind,
        outcome=SignalOutcome.SESSIONS_ENDED,
        subject=sign_in.subject,
        sub=sign_in.sub,
        sessions=ended,
        at=at,
    )
    return Outcome.ENDED
