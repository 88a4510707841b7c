"""Keys by which we prove ourselves to a provider: made here, published, changed over without a gap, and erased."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from joserfc.jwk import RSAKey

from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.errors import LastClientKey, TooManySecrets
from apps.identity.models import ClientAuth, ClientKey, Provider
from apps.identity.providers.client_auth import live_keys
from apps.identity.services.provider_record import note_provider
from apps.identity.services.provider_secrets import lock_provider
from apps.identity.vault import seal

BITS = 2048
AT_ONCE = 2
LEAD = timedelta(days=1)
"""A new key is published so long before it signs, and an old one so long after it did: whoever keeps copies of ours may
be that late, and where keys are pasted somebody has to do it."""


def make_client_key(*, provider_slug: str, actor: Actor, at: datetime) -> ClientKey:
    """A new key, published at once. The first one signs at once, a later one after a day; the older one goes after two.

    Raises TooManySecrets while two are there.
    """
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = lock_provider(provider_slug)
        present = live_keys(provider, at=at)
        if len(present) >= AT_ONCE:
            raise TooManySecrets("Two keys are there already; take one away, or wait until the older one is gone.")
        key = _create(provider, at, signs_from=at + LEAD if present else at)
        ClientKey.objects.filter(pk__in=[one.pk for one in present]).update(ends_at=key.signs_from + LEAD)
        _record("made", provider, key, actor, at)
    return key


def ensure_client_key(provider: Provider, *, actor: Actor, at: datetime) -> None:
    """The first key of a provider that is to be proved to by one. Part of setting it up, in its transaction."""
    if not live_keys(provider, at=at):
        _record("made", provider, _create(provider, at, signs_from=at), actor, at)


def _create(provider: Provider, at: datetime, *, signs_from: datetime) -> ClientKey:
    made = RSAKey.generate_key(BITS)
    kid = made.thumbprint()
    public = {**made.as_dict(private=False), "kid": kid, "use": "sig", "alg": "RS256"}
    sealed = seal(made.as_pem(private=True))
    return ClientKey.objects.create(
        provider=provider, kid=kid, public_jwk=public, private_sealed=sealed, created_at=at, signs_from=signs_from
    )


def take_client_key_away(*, provider_slug: str, key_id: int, actor: Actor, at: datetime) -> None:
    """At once, as after a leak: it is published no longer, and the other one signs. Raises LastClientKey."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = lock_provider(provider_slug)
        key = ClientKey.objects.filter(provider=provider, pk=key_id).first()
        if key is None:
            raise NotFound
        if provider.client_auth == ClientAuth.PRIVATE_KEY and live_keys(provider, at=at) == [key]:
            raise LastClientKey
        key.delete()
        ClientKey.objects.filter(provider=provider, ends_at__gt=at).update(ends_at=None)
        _record("taken_away", provider, key, actor, at)


def forget_client_keys(*, at: datetime) -> int:
    """Those that were followed by a newer one, private halves and all."""
    return ClientKey.objects.filter(ends_at__lte=at).delete()[0]


def _record(verb: str, provider: Provider, key: ClientKey, actor: Actor, at: datetime) -> None:
    after = {"kid": key.kid, "signs_from": key.signs_from}
    note_provider(provider, f"identity.client_key.{verb}", actor=actor, at=at, after=after)
