"""A tap on the shoulder over Valkey pub/sub: "look again". It may get lost, so whoever waits also polls.

Nothing here raises when Valkey is down, and nobody waits for a dead Valkey longer than a moment. To miss nothing,
open the ear first, then look, then wait:

    with nudge.listen("bundles") as ear:
        if not anything_new():
            ear.wait(25)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

PREFIX = "sallyport:"
ANSWER_SECONDS = 0.5
REST_SECONDS = 2.0
_DOWN = (redis.RedisError, OSError, asyncio.TimeoutError)


class _Breaker:
    """After a failure, rest a while: no page should wait for a broker that is down."""

    def __init__(self) -> None:
        self._rests_until = 0.0

    @property
    def resting(self) -> bool:
        return time.monotonic() < self._rests_until

    def trip(self, error: BaseException) -> None:
        if not self.resting:
            log.warning("Valkey does not answer (%s); going on without nudges.", type(error).__name__)
        self._rests_until = time.monotonic() + REST_SECONDS

    def reset(self) -> None:
        self._rests_until = 0.0


_breaker = _Breaker()


def forget_failures() -> None:
    """Try Valkey again at once, however lately it failed."""
    _breaker.reset()


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 1)
    )


def publish(channel: str) -> bool:
    """Tell whoever listens on ``channel`` to look again. False when Valkey could not be told."""
    if _breaker.resting:
        return False
    try:
        _client(settings.REDIS_URL).publish(PREFIX + channel, b"")
    except _DOWN as error:
        _breaker.trip(error)
        return False
    return True


class Ear:
    """A subscription that was in force before ``listen`` gave it out; a deaf one when Valkey is down."""

    def __init__(self, pubsub: Any | None) -> None:
        self._pubsub = pubsub

    def wait(self, timeout: float) -> bool:
        """True when nudged, False when ``timeout`` seconds went by, or sooner when deaf (then poll)."""
        if self._pubsub is None:
            time.sleep(min(timeout, REST_SECONDS))
            return False
        try:
            return _heard(self._pubsub, time.monotonic() + timeout)
        except _DOWN as error:
            _breaker.trip(error)
            self._pubsub = None
            return False


def _heard(pubsub: Any, deadline: float) -> bool:
    while (left := deadline - time.monotonic()) > 0:
        message = pubsub.get_message(timeout=left)
        if message is not None and message["type"] == "message":
            return True
    return False


@contextmanager
def listen(channel: str) -> Iterator[Ear]:
    """Listen on ``channel`` until the block ends."""
    pubsub = _client(settings.REDIS_URL).pubsub()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    try:
        yield Ear(_subscribed(pubsub, channel))
    finally:
        with suppress(*_DOWN):
            pubsub.close()


def _subscribed(pubsub: Any, channel: str) -> Any | None:
    if _breaker.resting:
        return None
    try:
        pubsub.subscribe(PREFIX + channel)
        confirmed = pubsub.get_message(timeout=ANSWER_SECONDS)
    except _DOWN as error:
        _breaker.trip(error)
        return None
    return pubsub if confirmed else None


def wait(channel: str, timeout: float) -> bool:
    """Wait for one nudge. What was published before this call is not heard; use ``listen`` when that matters."""
    with listen(channel) as ear:
        return ear.wait(timeout)


class AsyncEar:
    """As ``Ear``, for the event loop."""

    def __init__(self, pubsub: Any | None) -> None:
        self._pubsub = pubsub

    async def wait(self, timeout: float) -> bool:
        if self._pubsub is None:
            await asyncio.sleep(min(timeout, REST_SECONDS))
            return False
        try:
            return await _heard_async(self._pubsub, time.monotonic() + timeout)
        except _DOWN as error:
            _breaker.trip(error)
            self._pubsub = None
            return False


async def _heard_async(pubsub: Any, deadline: float) -> bool:
    while (left := deadline - time.monotonic()) > 0:
        message = await pubsub.get_message(timeout=left)
        if message is not None and message["type"] == "message":
            return True
    return False


@asynccontextmanager
async def listen_async(channel: str) -> AsyncIterator[AsyncEar]:
    """As ``listen``, for the event loop. Each listener has its own connection, bound to the running loop."""
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS
    )
    pubsub = client.pubsub()
    try:
        yield AsyncEar(await _subscribed_async(pubsub, channel))
    finally:
        with suppress(*_DOWN):
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await client.aclose()


async def _subscribed_async(pubsub: Any, channel: str) -> Any | None:
    if _breaker.resting:
        return None
    try:
        await pubsub.subscribe(PREFIX + channel)
        confirmed = await pubsub.get_message(timeout=ANSWER_SECONDS)
    except _DOWN as error:
        _breaker.trip(error)
        return None
    return pubsub if confirmed else None
