"""Drains killed with SIGKILL wherever they happen to be: nothing is lost, and database effects happen once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.audit import services as audit
from apps.audit.models import Event
from apps.outbox.models import Message, State
from tests.outbox.topics import Ears, handled, put

KILLS, ROUND, KEYS = 3, 40, 12
MESSAGES = KILLS * ROUND


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_drain_loses_nothing_and_repeats_nothing_it_committed(
    console_environment: dict[str, str], tmp_path: Path
) -> None:
    dice = random.Random(20260302)
    lines = tmp_path / "lines"
    drains = [_start(lines, console_environment) for _ in range(2)]
    try:
        for kill in range(KILLS):
            victim = kill % 2
            _fill(kill * ROUND)
            time.sleep(dice.uniform(0.02, 0.25))
            assert Message.objects.filter(state=State.PENDING).exists(), "there is nothing left to interrupt"
            drains[victim].kill()
            drains[victim].wait(10)
            drains[victim] = _start(lines, console_environment)
        _wait_until(lambda: not Message.objects.filter(state=State.PENDING).exists(), seconds=60)
    finally:
        for drain in drains:
            drain.kill()
            drain.wait(10)
    numbers = [str(number) for number in range(MESSAGES)]
    assert Message.objects.filter(state=State.DONE).count() == 2 * MESSAGES
    recorded = Counter(Event.objects.filter(action="test.recorded").values_list("target_id", flat=True))
    assert recorded == Counter(numbers), "each effect in the database exactly once"
    appended = Counter(lines.read_text().split())
    assert appended.keys() == set(numbers), "each effect outside at least once"
    assert appended.total() - MESSAGES <= KILLS, "and again only where a kill came between"
    assert audit.verify().ok


def _fill(first: int) -> None:
    """Registered here too, as in the web process, or the messages would count as nobody's."""
    with handled("test.recorded", Ears()), handled("test.appended", Ears()):
        for number in range(first, first + ROUND):
            for topic in ("test.recorded", "test.appended"):
                put(f"k{number % KEYS}", topic=topic, at=datetime.now(UTC), number=number)


def _start(lines: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A drain that is already working, so that a kill hits work and not the start."""
    drain = subprocess.Popen([sys.executable, "-m", "tests.outbox.killable", str(lines)], env=environment)
    started = lines.with_name(f"{lines.name}.{drain.pid}")
    _wait_until(started.exists, seconds=60)
    return drain


def _wait_until(true: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to an end"
        time.sleep(0.02)
