from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks

from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.audit.models import Event
from apps.outbox import nudge, registry, selectors, services
from apps.outbox.models import Message, State
from tests.outbox.topics import AT, Ears, handled, put
from tests.ports import free_port

ADA = Actor(id="person:ada", name="Ada")
SECOND = timedelta(seconds=1)


@pytest.mark.django_db(transaction=True)
def test_enqueue_refuses_outside_a_transaction() -> None:
    with pytest.raises(services.NotInTransaction):
        services.enqueue(topic="test.heard", key="k", at=AT)
    assert Message.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_many_are_written_in_one_statement_and_run_in_their_order() -> None:
    ears = Ears()
    with pytest.raises(services.NotInTransaction):
        services.enqueue_many(topic="test.heard", payloads={"a": {}}, at=AT)
    with handled("test.heard", ears):
        with transaction.atomic(), CaptureQueriesContext(connection) as asked:
            services.enqueue_many(topic="test.heard", payloads={"c": {}, "a": {"n": 1}, "b": {}}, at=AT)
        assert services.drain(at=AT + SECOND, limit=10) == services.Drained(done=3)
    assert len([query for query in asked.captured_queries if "INSERT" in query["sql"]]) == 1
    assert [(key, payload) for key, payload, _ in ears.heard] == [("c", {}), ("a", {"n": 1}), ("b", {})]


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_change_leaves_no_message() -> None:
    with handled("test.heard", Ears()), pytest.raises(ZeroDivisionError), transaction.atomic():
        services.enqueue(topic="test.heard", key="k", at=AT)
        raise ZeroDivisionError
    assert Message.objects.count() == 0


@pytest.mark.django_db
def test_a_topic_nobody_handles_is_kept_as_done() -> None:
    message = put(topic="test.unheard")
    assert (message.state, message.done_at) == (State.DONE, AT)
    assert services.drain(at=AT, limit=10).handled == 0


@pytest.mark.django_db
def test_a_topic_another_release_enqueued_waits_for_a_worker_that_knows_it() -> None:
    with handled("test.newer", Ears()):
        message = put(topic="test.newer")
    assert services.drain(at=AT + SECOND, limit=10).handled == 0
    message.refresh_from_db()
    assert (message.state, message.attempts) == (State.PENDING, 0)


@pytest.mark.django_db
def test_the_handler_gets_key_payload_and_moment_and_the_message_is_done() -> None:
    ears = Ears()
    with handled("test.heard", ears):
        message = put("g_1", service="payments", points=("edge", "mesh"))
        assert services.drain(at=AT + SECOND, limit=10) == services.Drained(done=1)
    assert ears.heard == [("g_1", {"service": "payments", "points": ["edge", "mesh"]}, AT + SECOND)]
    message.refresh_from_db()
    assert (message.state, message.attempts, message.done_at) == (State.DONE, 1, AT + SECOND)
    assert message.lease_until is None


@pytest.mark.django_db
def test_nothing_runs_before_its_time_and_nothing_twice() -> None:
    ears = Ears()
    with handled("test.heard", ears):
        put("later", at=AT + SECOND)
        assert services.drain(at=AT, limit=10).handled == 0
        assert services.drain(at=AT + SECOND, limit=10).handled == 1
        assert services.drain(at=AT + SECOND * 99, limit=10).handled == 0
    assert ears.keys == ["later"]


@pytest.mark.django_db
def test_messages_run_in_the_order_they_were_written() -> None:
    ears = Ears()
    with handled("test.heard", ears):
        for key in "abcab":
            put(key)
        services.drain(at=AT, limit=10)
    assert ears.keys == list("abcab")


@pytest.mark.django_db
def test_a_failing_handler_blocks_nobody() -> None:
    ears = Ears(failing=lambda key: key == "bad")
    with handled("test.heard", ears):
        bad = put("bad")
        put("good")
        assert services.drain(at=AT, limit=10) == services.Drained(done=1, failed=1)
    bad.refresh_from_db()
    assert (bad.state, bad.attempts, bad.lease_until) == (State.PENDING, 1, None)
    assert bad.last_error == "ValueError: bad is not welcome"
    assert bad.available_at == AT + services.delay(attempts=1, spread=bad.pk)
    assert ears.keys == ["bad", "good"]


@pytest.mark.django_db
def test_newer_news_about_a_key_pass_a_message_that_backs_off() -> None:
    failing = {"grant"}
    ears = Ears(failing=lambda key: key in failing)
    with handled("test.heard", ears):
        put("grant", number=1)
        services.drain(at=AT, limit=1)
        failing.clear()
        put("grant", number=2)
        assert services.drain(at=AT, limit=1).done == 1
    assert [payload["number"] for _, payload, _ in ears.heard] == [1, 2]


@pytest.mark.django_db
def test_what_a_failing_handler_wrote_is_undone() -> None:
    def write_then_fail(*, key: str, payload: dict[str, object], at: datetime) -> None:
        put("from the handler", topic="test.unheard")
        raise ValueError

    with handled("test.heard", write_then_fail):
        put()
        assert services.drain(at=AT, limit=1).failed == 1
    assert not Message.objects.filter(topic="test.unheard").exists()


@pytest.mark.django_db
def test_a_handler_that_breaks_its_transaction_is_only_a_failure() -> None:
    def divide(*, key: str, payload: dict[str, object], at: datetime) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")

    with handled("test.heard", divide):
        message = put()
        assert services.drain(at=AT, limit=1).failed == 1
    message.refresh_from_db()
    assert message.last_error.startswith("DataError: division by zero")


@pytest.mark.django_db
def test_after_too_many_failures_a_message_is_given_up_and_a_person_can_retry_it() -> None:
    ears = Ears(failing=lambda _: True)
    with handled("test.heard", ears):
        message = put()
        at = AT
        for _ in range(services.MAX_ATTEMPTS):
            assert services.drain(at=at, limit=5).failed == 1
            at += services.LONGEST_DELAY * 2
        assert services.drain(at=at, limit=5).handled == 0
        message.refresh_from_db()
        assert (message.state, message.attempts) == (State.DEAD, services.MAX_ATTEMPTS)
        assert list(selectors.list_dead()) == [message]

        services.retry(message_id=message.pk, actor=ADA, at=at)
        ears.failing = lambda _: False
        assert services.drain(at=at, limit=5).done == 1
    event = Event.objects.get()
    assert (event.action, event.actor_id, event.target_id) == (
        "outbox.message.retried",
        "person:ada",
        str(message.pk),
    )
    assert event.before == {"state": "dead", "attempts": 10, "last_error": "ValueError: k is not welcome"}


@pytest.mark.django_db
def test_only_the_dead_are_retried() -> None:
    with handled("test.heard", Ears()):
        message = put()
    with pytest.raises(services.NotDead):
        services.retry(message_id=message.pk, actor=ADA, at=AT)
    with pytest.raises(NotFound):
        services.retry(message_id=message.pk + 1, actor=ADA, at=AT)
    assert Event.objects.count() == 0


def test_the_wait_doubles_up_to_a_limit_and_is_spread() -> None:
    waits = [services.delay(attempts=number, spread=0).total_seconds() for number in range(1, 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    spread = [services.delay(attempts=1, spread=number).total_seconds() for number in range(200)]
    assert 1 <= min(spread) < max(spread) < 1.25
    assert len(set(spread)) > 100


@pytest.mark.django_db
def test_a_leased_message_is_left_alone_until_the_lease_runs_out() -> None:
    """As after a kill between the claim and the handler."""
    ears = Ears()
    with handled("test.heard", ears, lease_seconds=10):
        message = put()
        services._claim(AT)
        assert services.drain(at=AT + SECOND * 9, limit=5).handled == 0
        assert services.drain(at=AT + SECOND * 10, limit=5).done == 1
    message.refresh_from_db()
    assert message.attempts == 2


@pytest.mark.django_db
def test_a_key_waits_while_an_older_message_of_it_is_leased_and_other_keys_do_not() -> None:
    ears = Ears()
    with handled("test.heard", ears):
        for key in ("a", "a", "b"):
            put(key)
        services._claim(AT)
        assert services.drain(at=AT, limit=5).done == 1
        assert ears.keys == ["b"]
        assert services.drain(at=AT + SECOND * 10, limit=5).done == 2
    assert ears.keys == ["b", "a", "a"]


@pytest.mark.django_db
def test_a_drain_that_lost_its_lease_overwrites_nothing() -> None:
    with handled("test.heard", Ears()):
        message = put()
        (slow,) = services._claim(AT)
        assert services.drain(at=AT + SECOND * 10, limit=1).done == 1
        services._note_failure(slow, ValueError("too late"), AT + SECOND * 11)
        services._mark_done([slow], AT + SECOND * 11)
    message.refresh_from_db()
    assert (message.state, message.done_at, message.last_error) == (State.DONE, AT + SECOND * 10, "")


@pytest.mark.django_db
def test_a_handler_may_ask_to_run_outside_a_transaction() -> None:
    savepoints: list[int] = []

    def look(*, key: str, payload: dict[str, object], at: datetime) -> None:
        savepoints.append(len(connection.savepoint_ids))

    depth = len(connection.savepoint_ids)
    with handled("test.heard", look), handled("test.network", look, atomic=False, lease_seconds=60):
        put()
        services.drain(at=AT, limit=1)
        message = put(topic="test.network")
        services.drain(at=AT, limit=1)
    assert savepoints == [depth + 1, depth]
    message.refresh_from_db()
    assert message.state == State.DONE


@pytest.mark.django_db
def test_the_claim_skips_locked_rows_and_the_handler_runs_under_the_lock() -> None:
    with handled("test.heard", Ears()):
        put()
        with CaptureQueriesContext(connection) as queries:
            services.drain(at=AT, limit=1)
    statements = [query["sql"] for query in queries if "outbox_message" in query["sql"]]
    assert "FOR UPDATE SKIP LOCKED" in statements[0]
    assert "FOR UPDATE" in statements[1]
    assert statements[2].startswith("UPDATE")
    assert len(statements) == 3


@pytest.mark.django_db
def test_old_done_messages_are_forgotten_and_no_others() -> None:
    with handled("test.heard", Ears()):
        waiting = put("waiting", at=AT + services.KEEP_DONE * 3)
        old, young = put("old"), put("young")
        services.drain(at=AT, limit=1)
        services.drain(at=AT + SECOND, limit=1)
    assert services.prune(at=AT + services.KEEP_DONE + SECOND) == 1
    assert set(Message.objects.all()) == {waiting, young}
    assert old not in Message.objects.all()


@pytest.mark.django_db
def test_health_counts_what_waits_and_what_is_dead() -> None:
    assert selectors.get_health(at=AT) == selectors.Health(0, 0, None)
    with handled("test.heard", Ears(failing=lambda key: key == "bad")):
        put("good", at=AT - SECOND)
        put("bad")
        Message.objects.create(
            topic="test.heard", key="dead", state=State.DEAD, created_at=AT, available_at=AT, attempts=10
        )
        assert selectors.get_health(at=AT) == selectors.Health(2, 1, AT - SECOND)
        services.drain(at=AT, limit=5)
    assert selectors.get_health(at=AT) == selectors.Health(1, 1, None)
    assert [message.key for message in selectors.list_failing()] == ["bad"]


def test_a_topic_has_one_handler() -> None:
    with handled("test.heard", Ears()), pytest.raises(registry.DuplicateHandler):
        registry.handles("test.heard")(Ears(failing=lambda _: True))


def test_an_unknown_topic_has_none() -> None:
    with pytest.raises(registry.UnknownTopic):
        registry.find("test.unheard")


@pytest.mark.django_db
def test_one_poke_for_a_transaction_however_much_it_writes(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with handled("test.heard", Ears()), django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        for number in range(50):
            put(str(number))
        put("nobody", topic="test.unheard")
    assert callbacks == [services.poke]


@pytest.mark.django_db(transaction=True)
def test_a_commit_wakes_who_listens() -> None:
    with handled("test.heard", Ears()), nudge.listen(services.CHANNEL) as ear:
        put()
        assert ear.wait(2)


@pytest.mark.django_db(transaction=True)
def test_a_commit_succeeds_at_once_when_the_broker_is_down(settings: LazySettings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    started = time.monotonic()
    with handled("test.heard", Ears()):
        for _ in range(5):
            put()
    assert time.monotonic() - started < 2
    assert Message.objects.filter(state=State.PENDING).count() == 5
