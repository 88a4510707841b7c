"""The steps a worker takes until Akamai's stream is as it should be. Level-triggered: each begins from what is there.

A worker may die between a call and the row: the call is then made again, which makes a version more and nothing worse.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

from django.db import transaction

from apps.audit.actors import SYSTEM
from apps.identity import vault
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.property import NoProperty, Property, PropertyDriver
from apps.rollout.drivers.akamai.stream import (
    ACTIVATED,
    DEACTIVATED,
    INACTIVE,
    MOVING,
    ForeignStream,
    Stream,
    StreamDriver,
    StreamWish,
)
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import EdgeStream, StreamKey, Target
from apps.rollout.services.akamai import adopting_streams, streaming
from apps.rollout.services.akamai.adopting_streams import NotToAdopt
from apps.rollout.services.driving import akamai_api
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.putting_off import claim, put_off, settled

POLL, LOOK = timedelta(seconds=10), timedelta(minutes=5)
OVERLAP = timedelta(hours=1)
"""So long an older secret is believed after Akamai's stream is active with the newer: deliveries may still be on their
way, and are tried again."""
Clock = Callable[[], datetime]


def due(at: datetime) -> list[int]:
    return list(EdgeStream.objects.filter(retry_at__lte=at).order_by("pk").values_list("pk", flat=True))


def run(*, stream_id: int, clock: Clock) -> bool:
    """Take the step that is due. False when there is none, or somebody else is at it."""
    stream = claim(EdgeStream.objects.select_related("target"), stream_id, clock())
    if stream is None:
        return False
    lease = stream.retry_at
    try:
        with closing(akamai_api(stream.target)) as api, as_documented():
            _step(stream, StreamDriver(api), PropertyDriver(api), clock)
    except VendorError as error:
        words = error.text if isinstance(error, NoProperty | ForeignStream | NotToAdopt) else ""
        put_off(stream, error, clock(), words=f"{stream.hostname}: {words}." if words else "")
    _save(stream, lease, clock())
    return True


def _step(stream: EdgeStream, driver: StreamDriver, properties: PropertyDriver, clock: Clock) -> None:
    keys = streaming.believed(stream)
    if stream.adopting is not None and stream.wanted:
        wish = _wish(stream, keys[0], properties.find(stream.hostname))
        ours = adopting_streams.step(stream, driver, wish, keys[0].hash, clock())
        if ours is not None:
            _take(stream, ours)
            settled(stream, clock() + POLL)
        return
    known = driver.get(stream.stream_id) if stream.stream_id is not None else None
    found = known or driver.find(name_of(stream.target))
    if found is None:
        if stream.wanted:
            _take(stream, driver.create(_wish(stream, keys[0], properties.find(stream.hostname))), keys[0])
        stream.retry_at = clock() + (POLL if stream.wanted else LOOK)
        return
    _take(stream, found)
    if found.status in MOVING:
        settled(stream, clock() + POLL)
    elif not stream.wanted:
        _quiet(stream, found, driver, clock())
    else:
        _deliver(stream, found, (driver, properties), keys, clock())


def _quiet(stream: EdgeStream, found: Stream, driver: StreamDriver, at: datetime) -> None:
    if found.status == ACTIVATED:
        _take(stream, driver.deactivate(found.id))
    settled(stream, at + (POLL if stream.status in MOVING else LOOK))


def _deliver(
    stream: EdgeStream,
    found: Stream,
    drivers: tuple[StreamDriver, PropertyDriver],
    keys: list[StreamKey],
    at: datetime,
) -> None:
    driver, properties = drivers
    wish = _wish(stream, keys[0], properties.find(stream.hostname))
    if stream.sent_key != keys[0].hash or not found.serves(wish):
        _take(stream, driver.replace(found.id, wish), keys[0])
    elif found.status in (INACTIVE, DEACTIVATED):
        _take(stream, driver.activate(found.id))
    else:
        _turn_over(keys, at)
    settled(stream, at + (POLL if stream.status in MOVING else LOOK))


def _turn_over(keys: list[StreamKey], at: datetime) -> None:
    """Akamai's stream is active with the newest secret: the others end when nothing can be on its way with them."""
    newest, older = keys[0], keys[1:]
    if newest.active_at is None:
        newest.active_at = at
        newest.save(update_fields=["active_at"])
    if newest.active_at + OVERLAP <= at:
        streaming.end_keys(older, at)


def _take(stream: EdgeStream, found: Stream, sent: StreamKey | None = None) -> None:
    stream.stream_id, stream.status = found.id, found.status
    stream.found = {"name": found.name, "version": found.version, "properties": list(found.properties)}
    if sent is not None:
        stream.sent_key = sent.hash


def name_of(target: Target) -> str:
    """Of its stream; unique in the account."""
    return f"sallyport-{target.slug}"


def _wish(stream: EdgeStream, key: StreamKey, found: Property) -> StreamWish:
    return wish_of(stream, found, vault.unseal(key.secret_sealed).decode())


def wish_of(stream: EdgeStream, found: Property, password: str) -> StreamWish:
    return StreamWish(
        name=name_of(stream.target),
        group_id=found.group,
        contract_id=found.contract,
        property_id=found.number,
        emails=(stream.email,),
        endpoint=streaming.endpoint_of(stream),
        user=stream.target.slug,
        password=password,
    )


KEPT = ("stream_id", "status", "found", "sent_key", "error", "attempts")
ADOPTION = ("adopting", "candidate", "agreed_version")


def _save(stream: EdgeStream, lease: datetime, at: datetime) -> None:
    """What a person asked for meanwhile stays: only what Akamai said is written, and it is looked at again at once."""
    with transaction.atomic():
        rows = EdgeStream.objects.select_for_update(of=("self",)).select_related("target")
        row = rows.filter(pk=stream.pk).first()
        if row is None:  # its target was taken out of Akamai meanwhile
            return
        before = row.status
        alone = row.retry_at == lease
        for field in (*KEPT, *(ADOPTION if alone else ())):
            setattr(row, field, getattr(stream, field))
        row.checked_at = at
        row.retry_at = stream.retry_at if alone else at
        _note_status(row, before, at)
        row.save()
        tell_pages()


def _note_status(row: EdgeStream, before: str, at: datetime) -> None:
    if row.status == ACTIVATED:
        row.active_since = row.active_since or at
    elif row.status not in MOVING:
        row.active_since = None
    if row.status != before and row.status in (ACTIVATED, DEACTIVATED):
        record_target(f"stream.{row.status.lower()}", row.target, actor=SYSTEM, at=at, after={"stream": row.stream_id})
