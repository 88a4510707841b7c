"""Refresh tokens of sessions: kept sealed while the session lives, and given back to the provider afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from apps.identity.models import Provider, RefreshToken, SignIn
from apps.identity.providers import renewing
from apps.identity.vault import WrongSecretsKey, seal, unseal
from apps.outbox import services as outbox

log = logging.getLogger(__name__)

RELEASED = "identity.refresh_token.released"
USE_NOTED_EVERY = timedelta(minutes=1)
KEPT_AFTERWARDS = timedelta(days=1)


def keep_refresh_token(*, sign_in: SignIn, provider: Provider, token: str, at: datetime) -> None:
    """Bind ``token`` to a session that has just begun. Called in its transaction."""
    if token and provider.ask_again_minutes:
        _write(sign_in, provider, token, at)


def _write(sign_in: SignIn | None, provider: Provider, token: str, at: datetime) -> RefreshToken:
    return RefreshToken.objects.create(
        sign_in=sign_in,
        provider=provider,
        token_sealed=seal(token.encode()),
        due_at=at + timedelta(minutes=provider.ask_again_minutes),
        tried_at=at,
        asked_at=at,
        created_at=at,
    )


def note_use(*, session_key: str, at: datetime) -> None:
    """Somebody does something with the session: only of such ones is the provider asked."""
    stale = Q(used_at=None) | Q(used_at__lte=at - USE_NOTED_EVERY)
    SignIn.objects.filter(stale, session_key=session_key).update(used_at=at)


def release(sign_ins: Iterable[int], *, at: datetime) -> None:
    """These sessions end: their providers are told that the tokens are not needed any more. Called in a transaction.

    Touches no row of a token: one that is just being changed for another must not make whoever signs out wait.
    """
    held = RefreshToken.objects.filter(sign_in__in=list(sign_ins)).values_list("pk", flat=True)
    outbox.enqueue_many(topic=RELEASED, payloads={str(pk): {} for pk in held}, at=at)


def give_back(*, provider: Provider, token: str, at: datetime) -> None:
    """For a token that came for no session, as a trial's does."""
    if token:
        with transaction.atomic():
            held = _write(None, provider, token, at)
            outbox.enqueue(topic=RELEASED, key=str(held.pk), at=at)


def revoke_released(*, token_id: int, at: datetime) -> None:
    """Revoke at the provider (RFC 7009), and forget. Raises Unreachable: then it is tried again."""
    with transaction.atomic():
        rows = RefreshToken.objects.select_for_update(of=("self",)).select_related("provider")
        held = rows.filter(pk=token_id).first()
        if held is None or SignIn.objects.filter(refresh_token=held).exists():
            return
    try:
        renewing.revoke(held.provider, unseal(held.token_sealed).decode(), at=at)
    except WrongSecretsKey:
        log.warning("A refresh token of %s cannot be read, so it is only forgotten.", held.provider.slug)
    RefreshToken.objects.filter(pk=token_id).delete()


def forget_refresh_tokens(*, at: datetime) -> int:
    """Those whose session has gone and whose provider could not be told for a day: they end by themselves."""
    alive = SignIn.objects.filter(pk=OuterRef("sign_in_id"))
    orphans = RefreshToken.objects.filter(~Exists(alive), tried_at__lt=at - KEPT_AFTERWARDS)
    return orphans.delete()[0]
