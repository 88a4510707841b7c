"""Server-sent events that say only "look again". The page then asks for its own fragment as anybody would."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256

from django.http import HttpRequest, StreamingHttpResponse

from apps.outbox import nudge

POLL_SECONDS = 1.0
QUIET_SECONDS = 15.0
# A stream ends now and then: the browser comes back by itself, and is asked anew who it is.
LIFE_SECONDS = 600.0

HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",  # compressed, a poke would wait in a buffer for the next
}


def mark_of(*facts: object) -> str:
    """What a page shows, as one short name: two looks that give the same name show the same."""
    return sha256(repr(facts).encode()).hexdigest()[:16]


def answer(request: HttpRequest, channel: str, look: Callable[[], Awaitable[str]]) -> StreamingHttpResponse:
    """A stream of pokes. ``look`` names what there is to see now; the page says in ``seen`` what it shows already."""
    seen = request.headers.get("Last-Event-ID") or request.GET.get("seen", "")
    return StreamingHttpResponse(_pokes(channel, look, seen), content_type="text/event-stream", headers=HEADERS)


async def _pokes(channel: str, look: Callable[[], Awaitable[str]], seen: str) -> AsyncIterator[bytes]:
    """A nudge makes it look at once; where that got lost, it looks within a second."""
    ends, spoke = time.monotonic() + LIFE_SECONDS, time.monotonic()
    yield b"retry: 1500\n\n"
    async with nudge.listen_async(channel) as ear:
        while time.monotonic() < ends:
            now = await look()
            if now != seen:
                seen, spoke = now, time.monotonic()
                yield f"id: {now}\nevent: poke\ndata: 1\n\n".encode()
            elif time.monotonic() - spoke > QUIET_SECONDS:
                spoke = time.monotonic()
                yield b": still here\n\n"
            await ear.wait(POLL_SECONDS)
