"""Topics that only the tests know, registered for as long as a test wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import transaction

from apps.outbox import registry, services
from apps.outbox.models import Message

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Ears:
    """A handler that remembers what it heard, and fails while ``failing`` says so."""

    failing: Callable[[str], bool] = lambda key: False
    heard: list[tuple[str, dict[str, object], datetime]] = field(default_factory=list)

    def __call__(self, *, key: str, payload: dict[str, object], at: datetime) -> None:
        self.heard.append((key, payload, at))
        if self.failing(key):
            raise ValueError(f"{key} is not welcome")

    @property
    def keys(self) -> list[str]:
        return [key for key, _, _ in self.heard]


@contextmanager
def handled(topic: str, handler: registry.Handler, *, atomic: bool = True, lease_seconds: int = 10) -> Iterator[None]:
    registry.handles(topic, atomic=atomic, lease_seconds=lease_seconds)(handler)
    try:
        yield
    finally:
        registry.forget(topic)


def put(key: str = "k", *, topic: str = "test.heard", at: datetime = AT, **payload: object) -> Message:
    with transaction.atomic():
        return services.enqueue(topic=topic, key=key, payload=payload, at=at)
