"""A delivery that names very many people: done together, each on the record, and nobody holds up the others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from apps.audit import services as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import handlers, services
from apps.identity.models import ApiToken, Login, ReceivedSignal, SignIn, Subject
from apps.outbox.models import Message
from apps.outbox.registry import News
from tests.factories import identity
from tests.identity.providers.provider import Provider as Directory
from tests.identity.signals.world import World, deliver, known, log_event, now, signed_in, world
from tests.running import wait_until

GONE = "user.lifecycle.deactivate"


def people(there: World, count: int, *, prefix: str = "p") -> list[Subject]:
    """Each is signed in and has an API token and an agent with one."""
    made = [known(identity.person(f"{prefix}{n:02}"), f"{prefix}{n:02}", there.directory.issuer) for n in range(count)]
    for one in made:
        signed_in(one)
        identity.api_token(one)
        identity.api_token(identity.agent(f"bot-{one.key[7:]}", owner=one))
    return made


def tell(there: World, subjects: list[Subject]) -> list[News]:
    """One delivery; the news that will be handled."""
    there.hook(*(log_event(GONE, sub=one.key[7:]) for one in subjects))
    waiting = ReceivedSignal.objects.filter(outcome="waiting").order_by("pk")
    return [News(str(pk), {}, urgent=True) for pk in waiting.values_list("pk", flat=True)]


@pytest.mark.django_db
class TestMany:
    @pytest.fixture
    def there(self, directory: Directory) -> World:
        return world(directory)

    def test_each_is_suspended_signed_out_and_on_the_record(self, there: World) -> None:
        gone = people(there, 12)
        handlers.signals_received(news=tell(there, gone), at=now())
        assert set(Subject.objects.filter(key__startswith="person:p").values_list("state", flat=True)) == {"suspended"}
        assert not SignIn.objects.filter(subject__in=gone).exists()
        assert not ApiToken.objects.filter(revoked_at=None).exists()
        for one in gone:
            told = Event.objects.filter(target_id=one.key, actor_id="provider:okta").order_by("seq")
            assert list(told.values_list("action", flat=True)) == [
                "identity.subject.suspended",
                "identity.api_token.all_revoked",
                "identity.session.ended",
            ]
        counts = ReceivedSignal.objects.values_list("outcome", "sessions", "tokens")
        assert set(counts) == {("left", 1, 2)}
        assert audit.verify().ok

    def test_twelve_cost_as_many_statements_as_two(self, there: World) -> None:
        def cost(gone: list[Subject]) -> int:
            news = tell(there, gone)
            with CaptureQueriesContext(connection) as captured:
                handlers.signals_received(news=news, at=now())
            return len(captured)

        few, many = people(there, 2, prefix="few"), people(there, 12, prefix="many")
        assert cost(few) == cost(many)

    def test_one_who_cannot_be_suspended_keeps_none_of_the_others(self, there: World) -> None:
        """A sign-in that leads to a team is nobody's; whatever brought it about, it must not protect other people."""
        gone = people(there, 3)
        known(identity.person("odd"), "odd", there.directory.issuer)
        Login.objects.filter(sub="odd").update(subject=identity.team("odd"))
        there.hook(*(log_event(GONE, sub=sub) for sub in ("p00", "odd", "p01", "p02")))
        deliver()
        for one in gone:
            one.refresh_from_db()
            assert one.state == "suspended"
        assert list(ReceivedSignal.objects.filter(outcome="waiting").values_list("sub", flat=True)) == ["odd"]
        (failed,) = Message.objects.filter(topic="identity.signal.received", state="pending")
        assert failed.last_error == "InvalidSubject: A team cannot be suspended; suspend its members."

    def test_what_follows_is_urgent_and_what_only_informs_is_not(self, there: World) -> None:
        handlers.signals_received(news=tell(there, people(there, 1)), at=now())
        services.upsert_subject(key=there.ada.key, name="Ada L.", actor=SYSTEM, at=now())
        urgent = {
            one.key: one.is_urgent for one in Message.objects.filter(topic="identity.subject.changed").order_by("pk")
        }
        assert (urgent["person:p00"], urgent["agent:bot-p00"], urgent[there.ada.key]) == (True, True, False)


@pytest.mark.django_db(transaction=True)
def test_an_agent_that_changes_hands_while_both_hands_leave_locks_up_nobody(
    transactional_db: None, directory: Directory
) -> None:
    """Two connections meet at the new owner: who leaves is first in the queue for it, the agent's change second.

    Had the change locked the agent before its owner, each would now hold what the other waits for.
    """
    there = world(directory)
    old, new = (known(identity.person(name), name, directory.issuer) for name in ("old", "young"))
    bot = identity.agent("bot", owner=old)
    news = tell(there, [old, new])
    with _another_session() as holder, ThreadPoolExecutor(2) as pool:
        holder.execute("SELECT 1 FROM identity_subject WHERE key = %s FOR UPDATE", [new.key])
        leaving = pool.submit(_on_its_own, lambda: handlers.signals_received(news=news, at=now()))
        _wait_for_waiting(1)
        changing = pool.submit(_on_its_own, lambda: _give(bot, new))
        _wait_for_waiting(2)
        holder.rollback()
        for one in (leaving, changing):
            one.result(20)
    bot.refresh_from_db()
    assert (bot.owner, bot.is_active) == (new, False)
    assert set(Subject.objects.filter(pk__in=[old.pk, new.pk]).values_list("state", flat=True)) == {"suspended"}


def _give(agent: Subject, owner: Subject) -> None:
    services.upsert_subject(key=agent.key, name=agent.name, owner_key=owner.key, actor=SYSTEM, at=now())


def _on_its_own(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connections.close_all()


def _another_session() -> psycopg.Connection[tuple[int]]:
    at = connection.settings_dict
    return psycopg.connect(host=at["HOST"], port=at["PORT"], user=at["USER"], dbname=at["NAME"])


def _wait_for_waiting(count: int) -> None:
    def waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
                " AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
            )
            return bool(cursor.fetchone() == (count,))

    wait_until(waiting, what=f"{count} sessions that wait for a lock")
