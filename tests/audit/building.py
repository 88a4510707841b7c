"""Chains to test with, and ways to break them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from apps.audit import services
from apps.audit.actors import Actor
from apps.audit.models import Event

ADA = Actor(id="person:ada", name="Ada")
BEN = Actor(id="person:ben", name="Ben")
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def chain(length: int) -> list[Event]:
    """``length`` events, a minute apart, by Ada and Ben in turn."""
    return [write(number) for number in range(length)]


def write(number: int = 0, *, action: str = "access.request.opened", actor: Actor | None = None) -> Event:
    with transaction.atomic():
        return services.record(
            action=action,
            actor=actor or (ADA, BEN)[number % 2],
            target_type="access.request",
            target_id=f"req_{number}",
            target_name=f"Request {number}",
            before=None,
            after={"number": number, "nested": {"b": [1, 2.5, "ä"], "a": None}},
            at=START + timedelta(minutes=number),
        )


def break_in(sql: str, *parameters: object) -> int:
    """Run one statement as an intruder who knows about the trigger would; returns how many rows it touched."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('sallyport.audit_unlock', %s, true)", [sql.split()[0].upper()])
        cursor.execute(sql, parameters)
        return cursor.rowcount
