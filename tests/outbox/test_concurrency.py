from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import pytest
from django.db import connection

from apps.outbox import services
from apps.outbox.models import Message, State
from tests.outbox.topics import AT, handled, put

DRAINS, MESSAGES, KEYS = 4, 60, 5


class Busy:
    """A handler that takes its time and notices a second one at work on its key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.active: set[str] = set()
        self.handled: list[int] = []
        self.collisions: list[str] = []
        self.most_at_once = 0

    def __call__(self, *, key: str, payload: dict[str, object], at: datetime) -> None:
        with self.lock:
            if key in self.active:
                self.collisions.append(key)
            self.active.add(key)
            self.most_at_once = max(self.most_at_once, len(self.active))
        time.sleep(0.01)
        with self.lock:
            self.active.discard(key)
            self.handled.append(int(str(payload["number"])))


@pytest.mark.django_db(transaction=True)
def test_drains_side_by_side_share_the_work_and_never_a_key() -> None:
    busy = Busy()

    def work(offset: int) -> None:
        """Each drain's clock is a little off, as clocks are."""
        try:
            for step in range(600):
                services.drain(at=AT + timedelta(milliseconds=offset * 40 + step * 20), limit=1)
                if not Message.objects.filter(state=State.PENDING).exists():
                    return
        finally:
            connection.close()

    with handled("test.busy", busy, lease_seconds=60):
        for number in range(MESSAGES):
            put(f"k{number % KEYS}", topic="test.busy", at=AT + timedelta(milliseconds=number), number=number)
        drains = [threading.Thread(target=work, args=(offset,)) for offset in range(DRAINS)]
        for drain in drains:
            drain.start()
        for drain in drains:
            drain.join(60)
    assert busy.collisions == []
    assert sorted(busy.handled) == list(range(MESSAGES)), "every message exactly once"
    assert busy.most_at_once > 1, "they did work side by side"
    assert not Message.objects.exclude(state=State.DONE).exists()
