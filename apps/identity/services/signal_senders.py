"""Who may send signals, and how we know them: secrets of event hooks, and the keys of Shared Signals transmitters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import InvalidToken
from apps.identity.models import Channel, Provider, SignalSource
from apps.identity.services.provider_record import note_provider
from apps.identity.services.provider_secrets import (
    IssuedSecret,
    authenticate_provider,
    issue_provider_secret,
    lock_provider,
)
from apps.identity.signals.refusals import InvalidSource, UnknownSender
from apps.identity.verification import SAFE_ALGORITHMS

LIFE = timedelta(days=366)


def issue_hook_secret(*, provider_slug: str, actor: Actor, at: datetime) -> IssuedSecret:
    """A new secret for the event hooks of a provider, good for a year."""
    return issue_provider_secret(
        provider_slug=provider_slug, channel=Channel.EVENT_HOOK, expires_at=at + LIFE, actor=actor, at=at
    )


def provider_of_hook(*, slug: str, shown: str, at: datetime) -> Provider:
    """The provider that ``shown`` proves. Raises UnknownSender, for whatever reason."""
    try:
        provider = authenticate_provider(shown, channel=Channel.EVENT_HOOK, at=at)
    except InvalidToken as refusal:
        raise UnknownSender from refusal
    if provider.slug != slug:
        raise UnknownSender
    return provider


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
        provider = lock_provider(provider_slug)
        source = SignalSource.objects.select_for_update().filter(provider=provider).first()
        before = {name: getattr(source, name) for name in wanted} if source else None
        if source is not None and before == wanted:
            return source
        stamps = {"changed_at": at} if source else {"changed_at": at, "created_at": at}
        made, _ = SignalSource.objects.update_or_create(provider=provider, defaults={**wanted, **stamps})
        note_provider(provider, "identity.signals.source_set", actor=actor, at=at, before=before, after=wanted)
    return made


def forget_signal_source(*, provider_slug: str, actor: Actor, at: datetime) -> None:
    """Take no Shared Signals of this provider any more."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = lock_provider(provider_slug)
        source = SignalSource.objects.select_for_update().filter(provider=provider).first()
        if source is not None:
            gone = {"issuer": source.issuer}
            note_provider(provider, "identity.signals.source_forgotten", actor=actor, at=at, before=gone)
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
