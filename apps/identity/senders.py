"""Reading what providers may tell us, and what they told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.audit import selectors as audit
from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity.models import Channel, Provider, ProviderSecret, ReceivedSignal, SignalSource, Subject
from apps.identity.pages import PAGE_SIZE
from apps.identity.policies import PROVIDER

if TYPE_CHECKING:
    from apps.audit.models import Event


def find_provider(slug: str) -> Provider | None:
    """The provider of that name, when its word is taken at all."""
    return Provider.objects.filter(slug=slug, enabled=True).first()


def has_provider(slug: str) -> bool:
    return Provider.objects.filter(slug=slug, enabled=True).exists()


def find_signal_source(slug: str) -> SignalSource | None:
    """Who signs the Shared Signals of the provider of that name, with the provider."""
    found = SignalSource.objects.select_related("provider")
    return found.filter(provider__slug=slug, provider__enabled=True).first()


def get_sender(slug: str) -> Provider:
    """The provider, enabled or not; raises NotFound."""
    found = Provider.objects.filter(slug=slug).first()
    if found is None:
        raise NotFound
    return found


def find_source_of(provider: Provider) -> SignalSource | None:
    return SignalSource.objects.filter(provider=provider).first()


def list_hook_secrets(provider: Provider, *, at: datetime) -> list[ProviderSecret]:
    """Those that are good now, oldest first."""
    mine = ProviderSecret.objects.filter(provider=provider, channel=Channel.EVENT_HOOK)
    return list(mine.filter(revoked_at=None, expires_at__gt=at).order_by("created_at", "pk"))


def list_signals(*, before: int | None = None) -> QuerySet[ReceivedSignal]:
    """Newest first, one more than a page; ``before`` is the key of the last one seen."""
    found = ReceivedSignal.objects.select_related("provider", "subject").order_by("-pk")
    return (found if before is None else found.filter(pk__lt=before))[: PAGE_SIZE + 1]


@dataclass(frozen=True, slots=True)
class Departure:
    """By whose word somebody is suspended, or signed out, and why."""

    by: Actor
    at: datetime
    why: str


def find_departure(subject: Subject) -> Departure | None:
    """Only for somebody who is suspended now. Read from the record, so that every way of leaving is in it."""
    if subject.suspended_at is None:
        return None
    event = audit.find_latest(
        target_type="identity.subject", target_id=subject.key, action="identity.subject.suspended"
    )
    if event is None or not event.actor_id.startswith(f"{PROVIDER}:"):
        return None
    return _departure(event)


def find_last_ended(subject: Subject) -> Departure | None:
    """How the last of somebody's sessions that was ended came to its end. Read from the record."""
    event = audit.find_latest(target_type="identity.subject", target_id=subject.key, action="identity.session.ended")
    return None if event is None else _departure(event)


def _departure(event: Event) -> Departure:
    why = event.after.get("why", "") if isinstance(event.after, dict) else ""
    return Departure(Actor(event.actor_id, event.actor_name), event.at, str(why))
