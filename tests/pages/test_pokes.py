"""A page that watches is told to look again: at once when nudged, within a second when not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast

import pytest
from asgiref.sync import sync_to_async
from django.test import RequestFactory

from apps.access import services
from apps.access.views.events import mark_now, request_events
from apps.audit.errors import NotFound
from apps.identity.models import Subject
from apps.identity.pages import PageRequest
from apps.outbox import pokes
from apps.rollout.views import events as target_events
from apps.rollout.views import mark_now as mark_of_target
from tests.factories import pages

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]


def asking(viewer: Subject, path: str, **headers: str) -> PageRequest:
    request = cast(PageRequest, RequestFactory().get(path, headers=headers))
    request.subject = viewer
    return request


async def next_poke(stream: AsyncIterator[bytes]) -> bytes:
    while True:
        part = await asyncio.wait_for(anext(stream), 4)
        if b"event: poke" in part:
            return part


async def test_an_answer_pokes_those_who_watch() -> None:
    there = await sync_to_async(pages.house)()
    public_id = there.asked.public_id
    seen = await sync_to_async(mark_now)(public_id)
    answer = await request_events(asking(there.shop.ada, f"/x?seen={seen}"), public_id)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Content-Encoding"] == "identity"
    stream = cast(AsyncIterator[bytes], answer.streaming_content)
    assert await anext(stream) == b"retry: 1500\n\n"
    waiting = asyncio.create_task(next_poke(stream))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await sync_to_async(services.review)(
        public_id=public_id, actor=there.shop.ben, verdict="approve", at=datetime.now(UTC)
    )
    now = await sync_to_async(mark_now)(public_id)
    assert (await waiting).startswith(f"id: {now}\n".encode())
    await stream.aclose()  # type: ignore[attr-defined]  # a generator


async def test_a_page_older_than_the_stream_is_told_at_once() -> None:
    there = await sync_to_async(pages.house)()
    request = asking(there.shop.ada, "/x", **{"Last-Event-ID": "older"})
    answer = await request_events(request, there.asked.public_id)
    stream = cast(AsyncIterator[bytes], answer.streaming_content)
    assert b"event: poke" in await next_poke(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # a generator


async def test_those_who_watch_a_target_are_told_of_a_new_revision() -> None:
    there = await sync_to_async(pages.house)()
    seen = await sync_to_async(mark_of_target)(there.target.pk)
    answer = await target_events(asking(there.olga, f"/x?seen={seen}"), "mesh")
    stream = cast(AsyncIterator[bytes], answer.streaming_content)
    waiting = asyncio.create_task(next_poke(stream))
    await asyncio.sleep(0.1)
    await sync_to_async(pages.revise)(there.target, 2, datetime.now(UTC))
    assert b"event: poke" in await waiting
    await stream.aclose()  # type: ignore[attr-defined]  # a generator


async def test_what_one_may_not_see_cannot_be_watched() -> None:
    there = await sync_to_async(pages.house)()
    with pytest.raises(NotFound):
        await request_events(asking(there.shop.dan, "/x"), there.asked.public_id)


async def test_a_quiet_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pokes, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(pokes, "POLL_SECONDS", 0.05)

    async def look() -> str:
        return "same"

    request = RequestFactory().get("/x?seen=same")
    stream = cast(AsyncIterator[bytes], pokes.answer(request, "quiet", look).streaming_content)
    parts = [await asyncio.wait_for(anext(stream), 4) for _ in range(2)]
    assert parts == [b"retry: 1500\n\n", b": still here\n\n"]
    await stream.aclose()  # type: ignore[attr-defined]  # a generator


async def test_a_stream_ends_so_that_its_reader_is_asked_anew_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pokes, "LIFE_SECONDS", 0.2)
    monkeypatch.setattr(pokes, "POLL_SECONDS", 0.05)

    async def look() -> str:
        return "same"

    stream = pokes.answer(RequestFactory().get("/x?seen=same"), "brief", look).streaming_content
    parts = [part async for part in cast(AsyncIterator[bytes], stream)]
    assert parts == [b"retry: 1500\n\n"]
