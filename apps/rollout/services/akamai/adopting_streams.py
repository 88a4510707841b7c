"""Making somebody's stream ours, by its number: it is looked at, a person agrees to what was found, then it is changed.

A stream becomes ours as a whole: name, destination, fields. So one that delivers for other properties as well is never
taken: their lines would stop.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.rollout.drivers.akamai.stream import MOVING, STREAMS, Stream, StreamDriver, StreamWish
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import EdgeStream
from apps.rollout.services.akamai.streaming import due_now, locked, tell

POLL, LOOK = timedelta(seconds=10), timedelta(minutes=5)


class NothingToAdopt(Refusal):
    code = "nothing_to_adopt"
    default_message = "There is no stream here that waits to be adopted, or it has changed meanwhile. Look at it again."


class NotToAdopt(VendorError):
    """The stream of that number cannot become ours; the words say why."""


def agree(*, slug: str, version: int, actor: Actor, at: datetime) -> EdgeStream:
    """Agree to the stream that was found, in the version that was shown."""
    with transaction.atomic():
        stream = locked(slug)
        if stream.adopting is None or stream.candidate.get("version") != version:
            raise NothingToAdopt
        stream.agreed_version = version
        due_now(stream, at)
        tell(stream, "stream.adoption_agreed", actor, at, number=stream.adopting, was=stream.candidate)
    return stream


def step(stream: EdgeStream, driver: StreamDriver, wish: StreamWish, key_hash: str, at: datetime) -> Stream | None:
    """The stream once it is ours; None while something is waited for. Raises NotToAdopt.

    ``key_hash`` is that of the secret in the wish.
    """
    number = stream.adopting or 0
    found = driver.get(number)
    if found is None:
        raise NotToAdopt(f"{STREAMS}/{number}", 404, f"there is no stream {number}")
    if found.name == wish.name:
        stream.adopting, stream.candidate = None, {}
        return found
    _require_adoptable(found, wish)
    stream.candidate = {
        "name": found.name,
        "version": found.version,
        "status": found.status,
        "endpoint": found.endpoint or "",
        "field_count": len(found.fields),
    }
    stream.attempts, stream.error = 0, ""
    if found.status in MOVING or stream.agreed_version != found.version:
        stream.retry_at = at + (POLL if found.status in MOVING else LOOK)
        return None
    made = driver.replace(found.id, wish)
    stream.adopting, stream.candidate, stream.sent_key = None, {}, key_hash
    return made


def _require_adoptable(found: Stream, wish: StreamWish) -> None:
    others = [number for number in found.properties if number != wish.property_id]
    if wish.property_id not in found.properties:
        raise NotToAdopt(f"{STREAMS}/{found.id}", 409, f"stream {found.id} is not of the property of this host")
    if others:
        words = f"stream {found.id} delivers for {len(others)} more properties, whose lines would stop"
        raise NotToAdopt(f"{STREAMS}/{found.id}", 409, words)
