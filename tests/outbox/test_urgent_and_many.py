"""What closes doors goes first without keeping the rest for ever, and a handler may take many messages at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.outbox import registry, services
from apps.outbox.models import Message, State
from apps.outbox.registry import News
from apps.outbox.services import HEAD_START
from tests.outbox.test_services import SECOND
from tests.outbox.topics import AT, Ears, handled, put

pytestmark = pytest.mark.django_db


def put_urgent(key: str, *, topic: str = "test.heard", at: datetime = AT) -> Message:
    with transaction.atomic():
        return services.enqueue(topic=topic, key=key, at=at, urgent=True)


@dataclass
class Crowd:
    """Remembers the keys of each call; whoever is in ``unwelcome`` makes the whole call fail."""

    unwelcome: frozenset[str] = frozenset()
    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, *, news: Sequence[News], at: datetime) -> None:
        self.calls.append([one.key for one in news])
        for one in news:
            put(one.key, topic="test.unheard", at=at)
            if one.key in self.unwelcome:
                raise ValueError(one.key)


@contextmanager
def handled_together(handler: registry.ManyHandler, *, most: int, topic: str = "test.crowd") -> Iterator[None]:
    registry.handles_many(topic, most=most, lease_seconds=10)(handler)
    try:
        yield
    finally:
        registry.forget(topic)


class TestUrgent:
    def test_goes_before_what_was_written_before_it(self) -> None:
        ears = Ears()
        with handled("test.heard", ears):
            for key in "abc":
                put(key)
            put_urgent("closing", at=AT + SECOND)
            services.drain(at=AT + SECOND, limit=10)
        assert ears.keys == ["closing", "a", "b", "c"]

    def test_whatever_its_topic(self) -> None:
        ears, others = Ears(), Ears()
        with handled("test.heard", ears), handled("test.other", others):
            put("opening")
            put_urgent("closing", topic="test.other")
            services.drain(at=AT, limit=1)
        assert (ears.keys, others.keys) == ([], ["closing"])

    def test_does_not_starve_what_has_waited_longer_than_its_head_start(self) -> None:
        ears = Ears()
        with handled("test.heard", ears):
            put("old", at=AT)
            put("young", at=AT + SECOND * 2)
            put_urgent("closing", at=AT + SECOND + HEAD_START)
            services.drain(at=AT + SECOND + HEAD_START, limit=10)
        assert ears.keys == ["old", "closing", "young"]

    def test_news_about_a_key_do_not_wait_for_older_ones_that_are_not(self) -> None:
        ears = Ears()
        with handled("test.heard", ears):
            put("other")
            put("grant", number=1)
            with transaction.atomic():
                services.enqueue(topic="test.heard", key="grant", payload={"number": 2}, at=AT, urgent=True)
            services.drain(at=AT, limit=10)
        assert [(key, payload.get("number")) for key, payload, _ in ears.heard] == [
            ("grant", 2),
            ("other", None),
            ("grant", 1),
        ]

    def test_one_key_is_still_never_in_two_hands(self) -> None:
        with handled("test.heard", Ears()):
            put("grant")
            put_urgent("grant")
            (held,) = services._claim(AT)
            assert held.is_urgent
            assert services._claim(AT) == []

    def test_keeps_its_head_start_when_it_failed_and_when_a_person_retries_it(self) -> None:
        with handled("test.heard", Ears(failing=lambda _: True)):
            message = put_urgent("closing")
            services.drain(at=AT, limit=1)
        message.refresh_from_db()
        assert message.available_at - message.turn_at == HEAD_START


class TestMany:
    def test_are_handled_in_one_call_and_one_transaction(self) -> None:
        crowd = Crowd()
        with handled_together(crowd, most=3):
            for key in "abcd":
                put(key, topic="test.crowd")
            assert services.drain(at=AT, limit=1) == services.Drained(done=3)
            assert services.drain(at=AT, limit=1) == services.Drained(done=1)
        assert crowd.calls == [["a", "b", "c"], ["d"]]
        assert not Message.objects.exclude(state=State.DONE).exists()

    def test_one_that_fails_keeps_none_of_the_others(self) -> None:
        crowd = Crowd(unwelcome=frozenset("b"))
        with handled_together(crowd, most=3):
            for key in "abc":
                put(key, topic="test.crowd")
            assert services.drain(at=AT, limit=1) == services.Drained(done=2, failed=1)
        assert crowd.calls == [["a", "b", "c"], ["a"], ["b"], ["c"]]
        written = Message.objects.filter(topic="test.unheard").values_list("key", flat=True)
        assert sorted(written) == ["a", "c"], "what the failed calls wrote is undone"
        (failed,) = Message.objects.filter(state=State.PENDING)
        assert (failed.key, failed.attempts, failed.last_error) == ("b", 1, "ValueError: b")

    def test_hold_no_key_twice_and_no_other_topic(self) -> None:
        crowd, ears = Crowd(), Ears()
        with handled_together(crowd, most=10), handled("test.heard", ears):
            for key in ("a", "b", "a"):
                put(key, topic="test.crowd")
            put("other")
            services.drain(at=AT, limit=1)
            assert crowd.calls == [["a", "b"]]
            services.drain(at=AT, limit=10)
        assert (crowd.calls, ears.keys) == ([["a", "b"], ["a"]], ["other"])

    def test_that_were_claimed_by_a_process_that_died_run_when_the_lease_is_over(self) -> None:
        crowd = Crowd()
        with handled_together(crowd, most=10):
            for key in "ab":
                put(key, topic="test.crowd")
            assert len(services._claim(AT)) == 2
            assert services.drain(at=AT + SECOND * 9, limit=5).handled == 0
            assert services.drain(at=AT + SECOND * 10, limit=5).done == 2
        assert crowd.calls == [["a", "b"]]

    def test_know_which_of_them_are_urgent(self) -> None:
        heard: list[News] = []

        def listen(*, news: Sequence[News], at: datetime) -> None:
            heard.extend(news)

        with handled_together(listen, most=10):
            put("a", topic="test.crowd")
            put_urgent("b", topic="test.crowd")
            services.drain(at=AT, limit=1)
        assert [(one.key, one.urgent) for one in heard] == [("b", True), ("a", False)]

    def test_cost_the_same_statements_as_few(self) -> None:
        def statements(keys: str) -> int:
            for key in keys:
                put(key, topic="test.crowd")
            with CaptureQueriesContext(connection) as captured:
                services.drain(at=AT, limit=1)
            return len(captured)

        with handled_together(lambda *, news, at: None, most=50):
            assert statements("ab") == statements("abcdefghijkl") == 6
