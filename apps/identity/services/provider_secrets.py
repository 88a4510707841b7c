"""Secrets that a provider shows us when it calls: made by an administrator, shown once, kept as hashes.

Two of a channel may be good at once, so that one can be changed for another without a gap.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.errors import InvalidProviderSecret, InvalidToken, TooManySecrets
from apps.identity.models import Channel, Provider, ProviderSecret
from apps.identity.services.provider_record import note_provider
from apps.identity.vault import hash_of

PREFIX = "sps_"
SHOWN = 10
AT_ONCE = 2
LONGEST = timedelta(days=731)
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """``plain`` exists only here: show it once."""

    secret: ProviderSecret
    plain: str = field(repr=False)


def issue_provider_secret(
    *, provider_slug: str, channel: str, expires_at: datetime, actor: Actor, at: datetime
) -> IssuedSecret:
    """A new secret for ``channel``. Locks the provider, so that two at a time cannot both be the second."""
    policies.require_can_administer(actor)
    if channel not in Channel.values or not at < expires_at <= at + LONGEST:
        raise InvalidProviderSecret(fields={"expires_at": [f"Choose a moment within the next {LONGEST.days} days."]})
    plain = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        provider = lock_provider(provider_slug)
        if _live(at).filter(provider=provider, channel=channel).count() >= AT_ONCE:
            raise TooManySecrets
        secret = ProviderSecret.objects.create(
            provider=provider,
            channel=channel,
            prefix=plain[:SHOWN],
            hash=hash_of(plain),
            created_at=at,
            expires_at=expires_at,
        )
        _record("issued", secret, actor, at)
    return IssuedSecret(secret, plain)


def revoke_provider_secret(*, secret_id: int, actor: Actor, at: datetime) -> ProviderSecret:
    """Revoking twice is revoking once."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        rows = ProviderSecret.objects.select_for_update(of=("self",)).select_related("provider")
        secret = rows.filter(pk=secret_id).first()
        if secret is None:
            raise NotFound
        if secret.revoked_at is None:
            secret.revoked_at = at
            secret.save(update_fields=["revoked_at"])
            _record("revoked", secret, actor, at)
    return secret


def authenticate_provider(plain: str, *, channel: str, at: datetime) -> Provider:
    """The enabled provider whose live secret ``plain`` is; raises InvalidToken, which says no more than that.

    One query, and one write a minute to note its use. The comparison is the database's, of hashes: what could be
    learnt from its timing is a part of a hash, and not of a secret.
    """
    secret = (
        _live(at)
        .select_related("provider")
        .filter(hash=hash_of(plain), channel=channel, provider__enabled=True)
        .first()
    )
    if secret is None:
        raise InvalidToken("The token is unknown, expired or revoked.")
    if secret.last_used_at is None or secret.last_used_at <= at - USE_NOTED_EVERY:
        unnoted = Q(last_used_at=None) | Q(last_used_at__lte=at - USE_NOTED_EVERY)
        ProviderSecret.objects.filter(unnoted, pk=secret.pk).update(last_used_at=at)
    return secret.provider


def lock_provider(slug: str) -> Provider:
    """Everything a directory tells us is written one after the other. Not in the way of rows that refer to it."""
    provider = Provider.objects.select_for_update(no_key=True).filter(slug=slug).first()
    if provider is None:
        raise NotFound
    return provider


def _live(at: datetime) -> QuerySet[ProviderSecret]:
    return ProviderSecret.objects.filter(revoked_at=None, expires_at__gt=at)


def _record(verb: str, secret: ProviderSecret, actor: Actor, at: datetime) -> None:
    after = {"channel": secret.channel, "prefix": secret.prefix, "expires_at": secret.expires_at}
    note_provider(secret.provider, f"identity.provider_secret.{verb}", actor=actor, at=at, after=after)
