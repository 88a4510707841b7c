"""Server-sent events: open pages hear that the calls have moved."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient, override_settings

from apps.telemetry import live, services
from tests.factories import identity as people
from tests.telemetry.test_selectors import event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
DEAD_BROKER = "redis://127.0.0.1:1/0"


@pytest_asyncio.fixture(autouse=True)
async def no_connections_left_behind() -> AsyncGenerator[None, None]:
    """The thread in which synchronous code runs outlives a test; its connection would keep the database."""
    yield
    await sync_to_async(connections.close_all)()


async def next_event(stream: AsyncGenerator[bytes, None], *, within: float = 5.0) -> bytes:
    async with asyncio.timeout(within):
        async for chunk in stream:
            if chunk.startswith(b"id:"):
                return chunk
    raise AssertionError("the stream ended")


async def store(number: int) -> None:
    await sync_to_async(services.store)([event(number)])


async def started() -> tuple[AsyncGenerator[bytes, None], bytes]:
    stream = live.pokes(None)
    return stream, await anext(stream)


def watching() -> list[str]:
    names = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    return [name for name in names if "Watch._watch" in name]


async def test_a_call_is_told_within_a_moment() -> None:
    stream, hello = await started()
    assert hello == b"retry: 1000\n\n"
    await asyncio.sleep(0.3)
    await store(1)
    began = asyncio.get_running_loop().time()
    assert await next_event(stream) == b'id: 1\nevent: call\ndata: {"after": 1}\n\n'
    assert asyncio.get_running_loop().time() - began < 2
    await stream.aclose()


async def test_without_a_broker_it_polls() -> None:
    with override_settings(REDIS_URL=DEAD_BROKER):
        stream, _ = await started()
        await store(1)
        assert (await next_event(stream)).startswith(b"id: 1\n")
        await stream.aclose()


async def test_what_happened_while_a_page_was_away_is_told_at_once() -> None:
    await store(1)
    stream = live.pokes(0)
    assert (await next_event(stream, within=1)).startswith(b"id: 1\n")
    await stream.aclose()


async def test_all_listeners_hear_it_and_one_task_watches_for_them() -> None:
    streams = [live.pokes(None) for _ in range(5)]
    for stream in streams:
        await anext(stream)
    assert len(watching()) == 1
    await store(1)
    heard = await asyncio.gather(*(next_event(stream) for stream in streams))
    assert len(set(heard)) == 1
    for stream in streams:
        await stream.aclose()
    assert live.watch().listeners == 0
    async with asyncio.timeout(5):
        while watching():
            await asyncio.sleep(0.05)


async def test_a_stream_ends_in_time_so_that_the_browser_comes_back() -> None:
    chunks = [chunk async for chunk in live.pokes(None, lifetime=0.3)]
    assert chunks == [b"retry: 1000\n\n", b": still here\n\n"]


async def test_the_address_is_for_people_signed_in(async_client: AsyncClient) -> None:
    refused = await async_client.get("/live/stream", headers={"accept": "text/event-stream"})
    assert refused.status_code == 401
    user = await sync_to_async(lambda: people.user(people.person("ada")))()
    await async_client.aforce_login(user)
    answer = await async_client.get("/live/stream", headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream"
    assert re.search("no-store", answer["Cache-Control"])
    chunks = answer.streaming_content
    assert await anext(chunks) == b"retry: 1000\n\n"
    await store(1)
    assert (await next_event(chunks)).startswith(b"id: 1\n")
    await chunks.aclose()


async def test_too_many_listeners_are_sent_away(async_client: AsyncClient) -> None:
    user = await sync_to_async(lambda: people.user(people.person("ada")))()
    await async_client.aforce_login(user)
    live.watch().listeners = live.MOST_LISTENERS
    answer = await async_client.get("/live/stream")
    live.watch().listeners = 0
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
