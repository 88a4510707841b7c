"""Pointing at an identity store of AWS: an administrator's work, and no secret is kept for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import InvalidProvider, UnknownProvider
from apps.identity.models import IdentityCenter, Preset, Provider
from apps.identity.services.provider_record import note_provider
from apps.identity.services.providers import RESERVED, SLUG
from apps.outbox import services as outbox

ASKED = "identity.identity_center.asked"

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}")
STORE = re.compile(r"d-[0-9a-f]{10}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANCE = re.compile(r"ssoins-[0-9a-z]{4,40}")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]{1,120}")


@dataclass(frozen=True, slots=True)
class CenterFacts:
    """What an administrator says about an identity store. ``instance`` and ``store_id`` are on the Settings page of
    IAM Identity Center; ``role`` is taken to read it, and empty means the console's own."""

    name: str
    region: str
    instance: str
    store_id: str
    role: str = ""


def add_identity_center(*, slug: str, facts: CenterFacts, actor: Actor, at: datetime) -> Provider:
    """A directory that is read every quarter of an hour from now on. Raises InvalidProvider.

    Its people are known by the issuer that Identity Center itself names in tokens, and AWS's id of the user.
    """
    policies.require_can_administer(actor)
    _refuse(slug, facts)
    try:
        with transaction.atomic():
            provider = Provider.objects.create(
                slug=slug,
                name=facts.name,
                preset=Preset.AWS_CENTER,
                issuer=f"https://identitycenter.amazonaws.com/{facts.instance}",
                client_id=facts.store_id,
                algorithms=["RS256"],
                enabled=True,
                created_at=at,
            )
            IdentityCenter.objects.create(
                provider=provider, region=facts.region, store_id=facts.store_id, role=facts.role
            )
            after = {"issuer": provider.issuer, "region": facts.region, "store": facts.store_id, "role": facts.role}
            note_provider(provider, "identity.provider.added", actor=actor, at=at, after=after)
    except IntegrityError as error:
        taken = "There is one with this short name, or this identity store."
        raise InvalidProvider(fields={"slug": [taken]}) from error
    return provider


def ask_to_read(*, slug: str, confirmed: bool, actor: Actor, at: datetime) -> None:
    """Have the store read soon. ``confirmed``: also when very many users are gone there. Raises UnknownProvider."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        center = (
            IdentityCenter.objects.select_for_update(of=("self",))
            .select_related("provider")
            .filter(provider__slug=slug)
            .first()
        )
        if center is None:
            raise UnknownProvider
        center.asked_at = at
        center.save(update_fields=["asked_at"])
        if confirmed:
            action, after = "identity.identity_center.loss_confirmed", {"failure": center.failure}
            note_provider(center.provider, action, actor=actor, at=at, after=after)
        outbox.enqueue(topic=ASKED, key=slug, payload={"confirmed": confirmed}, at=at)


def _refuse(slug: str, facts: CenterFacts) -> None:
    wrong: dict[str, list[str]] = {}
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        wrong["slug"] = ["Choose small letters, digits and hyphens, at most 40."]
    if not 0 < len(facts.name.strip()) <= 100:
        wrong["name"] = ["Give it a name of at most 100 letters."]
    if not REGION.fullmatch(facts.region):
        wrong["region"] = ["A region looks like eu-central-1."]
    if not INSTANCE.fullmatch(facts.instance):
        wrong["instance"] = ["The last part of the instance's ARN looks like ssoins-1234567890abcdef."]
    if not STORE.fullmatch(facts.store_id):
        wrong["store_id"] = ["An identity store's id looks like d-1234567890."]
    if facts.role and not ROLE.fullmatch(facts.role):
        wrong["role"] = ["A role's ARN looks like arn:aws:iam::123456789012:role/sallyport."]
    if wrong:
        raise InvalidProvider(fields=wrong)
