"""Taking in what the doors report."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import F, Q

from apps.access.services.uses import note_uses
from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.catalog import selectors as catalog
from apps.catalog.selectors import EdgeAddress
from apps.identity.proofs import limits
from apps.identity.vault import hash_of
from apps.outbox import nudge
from apps.telemetry.errors import BatchTooLarge, UnknownSource, UnknownSourceName, UnreadableBatch
from apps.telemetry.events import Event, TooLarge, Unreadable, read_batch
from apps.telemetry.joining import Doors, calls_of_agents, columns, join, uses_of
from apps.telemetry.models import POINTS, Call, Feed, TelemetrySource

CHANNEL = "calls"
KEPT_FOR = timedelta(days=30)
SEEN_NOTED_EVERY = timedelta(seconds=30)
_PREFIX = "spt_"
_COLUMNS = (
    "rid uuid, first_at timestamptz, subject text, service text, method text, path text, route text, host text, "
    "verdict text, reason text, status smallint, ms float8, probe boolean, grants text[], doors jsonb"
)
_NAMES = [column.strip().split(" ")[0] for column in _COLUMNS.split(",")]


@dataclass(frozen=True, slots=True)
class Ingested:
    accepted: int
    rejected: int


def register_source(*, name: str, actor: Actor, at: datetime, points: Collection[str] = POINTS) -> str:
    """A log shipper's token, shown once. Registering a name again gives it a new token and ends the old one."""
    plain = _PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        values = {"token_hash": hash_of(plain), "points": sorted(set(points)), "created_at": at, "revoked_at": None}
        TelemetrySource.objects.update_or_create(name=name, defaults=values)
        _record_source("telemetry.source.registered", name, actor, at, points=sorted(set(points)))
    return plain


def revoke_source(*, name: str, actor: Actor, at: datetime) -> None:
    """Nothing more is taken from it. Quiet when it is revoked already. Raises UnknownSourceName."""
    with transaction.atomic():
        if not TelemetrySource.objects.filter(name=name).exists():
            raise UnknownSourceName
        if TelemetrySource.objects.filter(name=name, revoked_at=None).update(revoked_at=at):
            _record_source("telemetry.source.revoked", name, actor, at)


def _record_source(action: str, name: str, actor: Actor, at: datetime, **after: object) -> None:
    audit.record(
        action=action,
        actor=actor,
        target_type="telemetry.source",
        target_id=name,
        target_name=name,
        after=after or None,
        at=at,
    )


def authenticate_source(plain: str, *, at: datetime) -> TelemetrySource:
    """The source behind a token; raises UnknownSource."""
    source = TelemetrySource.objects.filter(token_hash=hash_of(plain), revoked_at=None).first()
    if source is None:
        raise UnknownSource
    if source.last_seen_at is None or source.last_seen_at <= at - SEEN_NOTED_EVERY:
        stale = Q(last_seen_at=None) | Q(last_seen_at__lte=at - SEEN_NOTED_EVERY)
        TelemetrySource.objects.filter(stale, pk=source.pk).update(last_seen_at=at)
    return source


def ingest(*, token: str, body: bytes, at: datetime) -> Ingested:
    """Take in a batch. Sending it again changes nothing. Raises UnknownSource, BatchTooLarge, UnreadableBatch."""
    source = authenticate_source(token, at=at)
    try:
        batch = read_batch(body, points=source.points, at=at)
    except TooLarge as error:
        raise BatchTooLarge(str(error)) from error
    except Unreadable as error:
        raise UnreadableBatch(str(error)) from error
    limits.enforce(store(batch.events), at=at)
    return Ingested(len(batch.events), batch.rejected)


def store(events: Collection[Event]) -> frozenset[str]:
    """Join the events to their calls and tell whoever watches. Rows are taken in the order of their request ids.

    Returns the agents whose calls were counted.
    """
    by_call: dict[str, list[Event]] = defaultdict(list)
    for event in _with_service_paths(events):
        by_call[event.rid].append(event)
    if not by_call:
        return frozenset()
    with transaction.atomic():
        calls = {rid: join({}, said) for rid, said in sorted(by_call.items())}
        changed = _insert(calls)
        counted = calls_of_agents(calls[rid] for rid in changed)
        limits.count_calls(counted)
        changed |= _update({rid: said for rid, said in by_call.items() if rid not in changed})
        if changed:
            note_uses(uses_of(events))
            _move_feed()
    return frozenset(key for key, _ in counted)


def _with_service_paths(events: Collection[Event]) -> Iterable[Event]:
    """The edge reports the whole path; what counts is the path below the service's base path."""
    if not any(event.point == "edge" for event in events):
        return events
    addresses = catalog.list_edge_addresses()
    return [_below_base(event, addresses) if event.point == "edge" else event for event in events]


def _below_base(event: Event, addresses: Iterable[EdgeAddress]) -> Event:
    host = event.host.partition(":")[0].lower()
    for address in addresses:
        inside = event.path == address.base_path or event.path.startswith(address.base_path + "/")
        if address.host == host and inside:
            service = event.service or address.service
            if service == address.service:
                return replace(event, service=service, path=event.path[len(address.base_path) :] or "/")
    return event


def _rows(calls: Mapping[str, Doors]) -> str:
    return orjson.dumps([{"rid": rid, **columns(doors)} for rid, doors in calls.items()]).decode()


def _insert(calls: Mapping[str, Doors]) -> set[str]:
    """Request ids that were new. Others exist already, perhaps since a moment ago in another transaction."""
    names = ", ".join(_NAMES)
    statement = (
        f"INSERT INTO {Call._meta.db_table} ({names}) "  # noqa: S608
        f"SELECT {names} FROM jsonb_to_recordset(%s::jsonb) AS t({_COLUMNS}) "
        "ORDER BY rid ON CONFLICT (rid) DO NOTHING RETURNING rid"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [_rows(calls)])
        return {row[0].hex for row in cursor.fetchall()}


def _update(said: Mapping[str, list[Event]]) -> set[str]:
    """Request ids whose calls say more now than before. Locks their rows."""
    if not said:
        return set()
    rows = Call.objects.select_for_update().filter(rid__in=[UUID(rid) for rid in said]).order_by("rid")
    changed: dict[str, Doors] = {}
    for rid, doors in rows.values_list("rid", "doors"):
        joined = join(doors, said[rid.hex])
        if joined != doors:
            changed[rid.hex] = joined
    if changed:
        _write(changed)
    return set(changed)


def _write(calls: Mapping[str, Doors]) -> None:
    assignments = ", ".join(f"{name} = t.{name}" for name in _NAMES if name != "rid")
    statement = (
        f"UPDATE {Call._meta.db_table} AS c SET {assignments} "  # noqa: S608
        f"FROM jsonb_to_recordset(%s::jsonb) AS t({_COLUMNS}) WHERE c.rid = t.rid"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [_rows(calls)])


def _move_feed() -> None:
    """Last in the transaction: whoever counts up holds the row until the commit, so positions appear in order."""
    feed = Feed.objects.filter(pk=1)
    if not feed.update(position=F("position") + 1):
        Feed.objects.bulk_create([Feed()], ignore_conflicts=True)
        feed.update(position=F("position") + 1)
    transaction.on_commit(_tell, robust=True)


def _tell() -> None:
    nudge.publish(CHANNEL)


def prune(*, at: datetime, keep: timedelta = KEPT_FOR, limit: int = 20_000) -> int:
    """Forget calls older than ``keep``, at most ``limit`` at a time; returns how many."""
    old = Call.objects.filter(first_at__lt=at - keep).order_by("first_at").values("pk")[:limit]
    deleted, _ = Call.objects.filter(pk__in=old).delete()
    return deleted
