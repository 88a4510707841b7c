"""Telling open pages that the calls have moved, by server-sent events.

A poke says only that there is something new; the page then fetches what it shows, with its own filters and rights. One
task per process watches the feed for all its listeners, so a hundred open pages cost the database what one costs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from apps.outbox import nudge
from apps.telemetry import selectors
from apps.telemetry.services import CHANNEL

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
LIFETIME_SECONDS = 300.0
"""After this the browser connects again, and is asked again who it is."""

QUIET_SECONDS = 0.2
"""Between two pokes, so that a busy hour does not redraw a page a hundred times a second."""

RELISTEN_SECONDS = 30.0
MOST_LISTENERS = 250


class Watch:
    """The feed's position, kept current for whoever listens in this event loop."""

    def __init__(self) -> None:
        self.position = 0
        self.listeners = 0
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return self.listeners >= MOST_LISTENERS

    @property
    def _is_watching(self) -> bool:
        return self._task is not None and not self._task.done()

    async def join(self) -> None:
        """Call ``leave`` afterwards, come what may."""
        self.listeners += 1
        if not self._is_watching:
            self.position = await _position(self.position)
        if not self._is_watching:
            self._task = asyncio.create_task(self._watch())

    def leave(self) -> None:
        self.listeners -= 1
        if self.listeners == 0 and self._task is not None:
            self._task.cancel()
            self._task = None

    async def moved_from(self, position: int, timeout: float) -> int:  # noqa: ASYNC109, RUF100 - waits, then heartbeat
        """The position once it is another than ``position``, or after ``timeout`` seconds."""
        if self.position == position:
            try:
                await asyncio.wait_for(self._moved.wait(), timeout)
            except TimeoutError:
                return self.position
        return self.position

    async def _watch(self) -> None:
        """Listens afresh now and then: a broker that was down when we began may be back."""
        loop = asyncio.get_running_loop()
        while True:
            async with nudge.listen_async(CHANNEL) as ear:
                until = loop.time() + RELISTEN_SECONDS
                while loop.time() < until:
                    self._move_to(await _position(self.position))
                    await ear.wait(POLL_SECONDS)

    def _move_to(self, position: int) -> None:
        if position != self.position:
            self.position = position
            self._moved.set()
            self._moved = asyncio.Event()


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


def watch() -> Watch:
    return _watches.setdefault(asyncio.get_running_loop(), Watch())


async def _position(otherwise: int) -> int:
    """In a thread of its own, whose connection goes back at once: a stream may stay open for minutes."""
    try:
        return await sync_to_async(_read_position, thread_sensitive=False)()
    except DatabaseError as error:
        log.warning("The feed cannot be read (%s).", type(error).__name__)
        return otherwise


def _read_position() -> int:
    try:
        return selectors.feed_position()
    finally:
        connection.close()


@require_GET
async def stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """``event: call`` with ``{"after": position}`` whenever the calls have moved."""
    if getattr(request, "subject", None) is None:
        return HttpResponse(status=401)
    if watch().is_full:
        return HttpResponse(status=503, headers={"Retry-After": "10"})
    last = request.headers.get("Last-Event-ID", "")
    return StreamingHttpResponse(
        pokes(int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None),
        content_type="text/event-stream",
        # "identity" keeps the compressing middleware, which would hold events back, away.
        headers={"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"},
    )


async def pokes(last: int | None, *, lifetime: float = LIFETIME_SECONDS) -> AsyncGenerator[bytes, None]:
    """The body of the stream. ``last`` is the position a reconnecting page has seen."""
    loop, feed = asyncio.get_running_loop(), watch()
    until = loop.time() + lifetime
    try:
        await feed.join()
        position = feed.position if last is None else last
        yield b"retry: 1000\n\n"
        while (left := until - loop.time()) > 0:
            moved = await feed.moved_from(position, min(HEARTBEAT_SECONDS, left))
            if moved == position:
                yield b": still here\n\n"
                continue
            position = moved
            yield b'id: %d\nevent: call\ndata: {"after": %d}\n\n' % (position, position)
            await asyncio.sleep(QUIET_SECONDS)
    finally:
        feed.leave()
