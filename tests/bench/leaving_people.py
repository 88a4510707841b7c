"""Who leaves in the benchmark: people of a running demo, put into its own database by the services.

Imported once Django points at that database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import Count, QuerySet

from apps.access import services as access
from apps.access.models import Grant, GrantDoor
from apps.audit.actors import SYSTEM
from apps.identity import services as identity
from apps.identity.models import Provider, ReceivedSignal, Subject
from apps.outbox.models import Message

SLUG, ISSUER = "bench", "https://id.bench.test"
HELD = (
    ("currency", "person:ben"),
    ("ads", "person:eva"),
    ("products", "person:eva"),
    ("shipping", "person:dan"),
    ("cart", "person:eva"),
)
"""Services whose owner alone decides, and that owner."""


def now() -> datetime:
    return datetime.now(UTC)


def ensure_provider() -> str:
    """The directory that will tell; returns the secret of its hook."""
    Provider.objects.create(
        slug=SLUG, name="Bench", issuer=ISSUER, client_id="bench", algorithms=["RS256"], created_at=now()
    )
    return identity.issue_hook_secret(provider_slug=SLUG, actor=SYSTEM, at=now()).plain


def make(prefix: str, count: int) -> list[str]:
    """People without anything; the directory calls them as we do, without the kind."""
    names = [f"{prefix}{number:04}" for number in range(count)]
    for name in names:
        identity.upsert_subject(key=f"person:{name}", name=name, actor=SYSTEM, at=now())
        identity.link_login(issuer=ISSUER, sub=name, subject_key=f"person:{name}", actor=SYSTEM, at=now())
    return names


def tokens(names: Sequence[str]) -> dict[str, str]:
    return {
        name: identity.issue_api_token(
            subject_key=f"person:{name}",
            name="bench",
            scopes=["read", "write", "edge"],
            expires_at=now() + timedelta(days=1),
            actor=SYSTEM,
            at=now(),
        ).plain
        for name in names
    }


def open_grants(names: Sequence[str], routes: Mapping[str, str]) -> list[str]:
    """A grant of two hours each, at both doors, asked for and approved; returns the services, in order."""
    services = []
    for (service, owner), name in zip(_in_turn(), names, strict=False):
        who = Subject.objects.get(key=f"person:{name}")
        asked = access.open_request(
            actor=who,
            subject_key=who.key,
            service_slug=service,
            route_keys=[routes[service]],
            duration=7200,
            reason="How long does leaving take?",
            at=now(),
        )
        access.review(public_id=asked.public_id, actor=Subject.objects.get(key=owner), verdict="approve", at=now())
        services.append(service)
    return services


def _in_turn() -> Iterator[tuple[str, str]]:
    while True:
        yield from HELD


def open_at_both(prefix: str) -> int:
    """Grants that both doors hold. They need not be proven: a thousand probes take longer than leaving."""
    doors = GrantDoor.objects.filter(grant__in=_grants(prefix), state__in=["open", "proven"])
    return doors.values("grant").annotate(held=Count("id")).filter(held=2).count()


def doors_not_closed(prefix: str) -> int:
    return GrantDoor.objects.filter(grant__in=_grants(prefix)).exclude(state="closed").count()


def active_people(prefix: str) -> int:
    return Subject.objects.filter(key__startswith=f"person:{prefix}", state="active").count()


def not_ended(prefix: str) -> int:
    return _grants(prefix).filter(state__in=["pending", "active"]).count()


def _grants(prefix: str) -> QuerySet[Grant]:
    return Grant.objects.filter(subject__key__startswith=f"person:{prefix}")


def signals(prefix: str) -> dict[str, int]:
    """How the words about them ended, by outcome."""
    counts: dict[str, int] = {}
    for outcome in ReceivedSignal.objects.filter(sub__startswith=prefix).values_list("outcome", flat=True):
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def given_up() -> int:
    return Message.objects.filter(state="dead").count()
