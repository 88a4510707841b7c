from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from django.conf import LazySettings

from apps.outbox import nudge
from tests.ports import free_port
from tests.servers import Stores


@pytest.fixture(autouse=True)
def broker(test_stores: Stores, settings: LazySettings) -> None:
    settings.REDIS_URL = test_stores.redis_url


@pytest.fixture
def no_broker(broker: None, settings: LazySettings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"


def soon(action: Callable[[], object]) -> None:
    threading.Timer(0.1, action).start()


def test_a_nudge_wakes_who_listens() -> None:
    started = time.monotonic()
    with nudge.listen("t.wakes") as ear:
        soon(lambda: nudge.publish("t.wakes"))
        assert ear.wait(5)
    assert time.monotonic() - started < 2


def test_a_nudge_between_looking_and_waiting_is_not_missed() -> None:
    with nudge.listen("t.between") as ear:
        assert nudge.publish("t.between")
        assert ear.wait(2)


def test_an_ear_can_wait_again() -> None:
    with nudge.listen("t.again") as ear:
        for _ in range(3):
            nudge.publish("t.again")
            assert ear.wait(2)
        assert not ear.wait(0.05)


def test_other_channels_are_not_heard() -> None:
    with nudge.listen("t.one") as ear:
        nudge.publish("t.other")
        assert not ear.wait(0.2)


def test_waiting_without_a_nudge_takes_as_long_as_said() -> None:
    started = time.monotonic()
    assert not nudge.wait("t.silence", 0.8)
    assert 0.7 < time.monotonic() - started < 2


def test_the_same_on_the_event_loop() -> None:
    async def listen() -> list[bool]:
        async with nudge.listen_async("t.async") as ear:
            nudge.publish("t.async")
            return [await ear.wait(2), await ear.wait(0.05)]

    assert asyncio.run(listen()) == [True, False]


async def wait_async(channel: str, timeout: float) -> bool:
    async with nudge.listen_async(channel) as ear:
        return await ear.wait(timeout)


def test_without_a_broker_nothing_raises_and_nobody_waits_long(no_broker: None) -> None:
    started = time.monotonic()
    assert not nudge.publish("t.down")
    assert not nudge.publish("t.down")
    assert time.monotonic() - started < 1.5
    assert not nudge.wait("t.down", 0.1)
    assert not asyncio.run(wait_async("t.down", 0.1))


def test_without_a_broker_waiting_does_not_spin(no_broker: None) -> None:
    started = time.monotonic()
    for _ in range(3):
        nudge.wait("t.down", 0.2)
    assert time.monotonic() - started >= 0.6


def test_after_a_rest_the_broker_is_tried_again(no_broker: None, test_stores: Stores, settings: LazySettings) -> None:
    assert not nudge.publish("t.back")
    settings.REDIS_URL = test_stores.redis_url
    assert not nudge.publish("t.back")
    nudge.forget_failures()
    assert nudge.publish("t.back")
