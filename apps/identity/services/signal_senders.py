"""Who may send signals, and how we know them: secrets of event hooks, and the keys of Shared Signals transmitters."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.models import Channel, Provider, ProviderSecret, SignalSource
from apps.identity.signals.refusals import InvalidSource, TooManySecrets, UnknownSender
from apps.identity.verification import SAFE_ALGORITHMS

PREFIX = "sph_"
SHOWN = 10
LIFE = timedelta(days=366)
AT_ONCE = 2
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class IssuedHookSecret:
    """``plain`` exists only here: show it once."""

    secret: ProviderSecret
    plain: str = field(repr=False)


def issue_hook_secret(*, provider_slug: str, actor: Actor, at: datetime) -> IssuedHookSecret:
    """A new secret for the event hooks of a provider, good for a year. Two may be in use, to change without a gap."""
    policies.require_can_administer(actor)
    plain = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        provider = _locked(provider_slug)
        if _live(at).filter(provider=provider).count() >= AT_ONCE:
            raise TooManySecrets
        secret = ProviderSecret.objects.create(
            provider=provider,
            channel=Channel.EVENT_HOOK,
            prefix=plain[:SHOWN],
            hash=_hash(plain),
            created_at=at,
            expires_at=at + LIFE,
        )
        _record("secret_issued", provider, actor, at, {"secret": secret.pk, "prefix": secret.prefix})
    return IssuedHookSecret(secret, plain)


def revoke_hook_secret(*, provider_slug: str, secret_id: int, actor: Actor, at: datetime) -> None:
    """Revoking twice is revoking once."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = _locked(provider_slug)
        mine = ProviderSecret.objects.filter(provider=provider, channel=Channel.EVENT_HOOK, pk=secret_id)
        secret = mine.select_for_update().first()
        if secret is None:
            raise NotFound
        if secret.revoked_at is None:
            secret.revoked_at = at
            secret.save(update_fields=["revoked_at"])
            _record("secret_revoked", provider, actor, at, {"secret": secret.pk, "prefix": secret.prefix})


def provider_of_hook(*, slug: str, shown: str, at: datetime) -> Provider:
    """The provider that ``shown`` proves. Raises UnknownSender, for whatever reason.

    Found by the hash of what was shown, so that how long it takes says nothing about the secret.
    """
    secret = (
        _live(at)
        .select_related("provider")
        .filter(hash=_hash(shown), provider__slug=slug, provider__enabled=True)
        .first()
    )
    if secret is None:
        raise UnknownSender
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=at - USE_NOTED_EVERY)
    if secret.last_used_at is None or secret.last_used_at <= at - USE_NOTED_EVERY:
        ProviderSecret.objects.filter(unnoted, pk=secret.pk).update(last_used_at=at)
    return secret.provider


def set_signal_source(
    *,
    provider_slug: str,
    issuer: str,
    jwks_uri: str,
    audience: str,
    algorithms: Sequence[str] = ("RS256",),
    actor: Actor,
    at: datetime,
) -> SignalSource:
    """Take Shared Signals of ``issuer`` as the word of a provider. Quiet when it is so already."""
    policies.require_can_administer(actor)
    wanted: dict[str, object] = {
        "issuer": issuer.strip(),
        "jwks_uri": jwks_uri.strip(),
        "audience": audience.strip(),
        "algorithms": list(algorithms),
    }
    _check(wanted)
    with transaction.atomic():
        provider = _locked(provider_slug)
        source = SignalSource.objects.select_for_update().filter(provider=provider).first()
        before = {name: getattr(source, name) for name in wanted} if source else None
        if source is not None and before == wanted:
            return source
        stamps = {"changed_at": at} if source else {"changed_at": at, "created_at": at}
        made, _ = SignalSource.objects.update_or_create(provider=provider, defaults={**wanted, **stamps})
        _record("source_set", provider, actor, at, wanted, before)
    return made


def forget_signal_source(*, provider_slug: str, actor: Actor, at: datetime) -> None:
    """Take no Shared Signals of this provider any more."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = _locked(provider_slug)
        source = SignalSource.objects.select_for_update().filter(provider=provider).first()
        if source is not None:
            _record("source_forgotten", provider, actor, at, None, {"issuer": source.issuer})
            source.delete()


def _check(wanted: Mapping[str, object]) -> None:
    fields: dict[str, list[str]] = {}
    for name, longest in (("issuer", 300), ("audience", 300), ("jwks_uri", 500)):
        value = str(wanted[name])
        if not value or len(value) > longest or not value.isprintable():
            fields[name] = [f"Between 1 and {longest} characters."]
    if not _is_safe_address(str(wanted["jwks_uri"])):
        fields["jwks_uri"] = ["An address that begins with https://."]
    algorithms = wanted["algorithms"]
    if not isinstance(algorithms, list) or not algorithms or not SAFE_ALGORITHMS.issuperset(algorithms):
        fields["algorithms"] = [f"Choose from {', '.join(sorted(SAFE_ALGORITHMS))}."]
    if fields:
        raise InvalidSource(fields=fields)


def _is_safe_address(text: str) -> bool:
    """We fetch keys there, so nobody on the way may change them. A demo may use its own machine."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    schemes = {"https", "http"} if settings.SALLYPORT_DEMO else {"https"}
    return parts.scheme in schemes and bool(parts.hostname)


def _locked(slug: str) -> Provider:
    provider = Provider.objects.select_for_update().filter(slug=slug).first()
    if provider is None:
        raise NotFound
    return provider


def _live(at: datetime) -> QuerySet[ProviderSecret]:
    return ProviderSecret.objects.filter(channel=Channel.EVENT_HOOK, revoked_at=None, expires_at__gt=at)


def _hash(plain: str) -> str:
    """Plain SHA-256 is enough: the secret is 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()


def _record(
    verb: str,
    provider: Provider,
    actor: Actor,
    at: datetime,
    after: Mapping[str, object] | None,
    before: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        action=f"identity.signals.{verb}",
        actor=actor,
        target_type="identity.provider",
        target_id=provider.slug,
        target_name=provider.name,
        before=before,
        after=after,
        at=at,
    )
