"""Deliveries, handlers and people's own clicks cross each other: nothing happens twice, and nothing waits for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import handlers, services
from apps.identity.models import ReceivedSignal, Subject
from apps.outbox.models import Message
from apps.outbox.registry import News
from tests.access.concurrency import together
from tests.factories import identity
from tests.identity.providers.provider import Provider as Directory
from tests.identity.signals.world import World, log_event, now, recorded, world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def there(transactional_db: None, directory: Directory) -> World:
    return world(directory)


def apart(there: World) -> World:
    """With a client of its own."""
    return replace(there, client=Client())


def test_one_delivery_by_four_senders_is_one_signal(there: World) -> None:
    events = [log_event("user.lifecycle.deactivate") for _ in range(5)]
    answers = together(*[lambda: apart(there).hook(*events).status_code for _ in range(4)])
    assert Counter(answers) == {204: 4}
    assert ReceivedSignal.objects.count() == 5
    keys = set(Message.objects.filter(topic="identity.signal.received").values_list("key", flat=True))
    assert keys == {str(pk) for pk in ReceivedSignal.objects.values_list("pk", flat=True)}


def test_one_revocation_by_four_senders_is_done_once(there: World) -> None:
    token = there.revocation_token()
    answers = together(*[lambda: apart(there).revoke(token=token).status_code for _ in range(4)])
    assert Counter(answers) == {204: 1, 401: 3}


def test_one_signal_in_four_hands_is_acted_on_once(there: World) -> None:
    identity.api_token(there.ada)
    there.hook(log_event("user.lifecycle.deactivate"))
    key = str(there.signal().pk)
    together(*[lambda: handlers.signals_received(news=[News(key, {})], at=now()) for _ in range(4)])
    assert recorded("identity.subject.suspended") == ["identity.subject.suspended"]
    assert recorded("identity.api_token.all") == ["identity.api_token.all_revoked"]


def test_leaving_while_tokens_are_made_and_revoked_leaves_none_behind_and_locks_up_nobody(there: World) -> None:
    bot = identity.agent("bot", owner=there.ada)
    tokens = [identity.api_token(one)[0] for one in (there.ada, bot) for _ in range(3)]

    def leave() -> None:
        services.leave(subject_key=there.ada.key, actor=SYSTEM, at=now(), why="")

    def make(subject: Subject) -> Callable[[], object]:
        return lambda: identity.api_token(subject)

    def revoke(token_id: int) -> Callable[[], object]:
        return lambda: services.revoke_api_token(token_id=token_id, actor=SYSTEM, at=now())

    doings = [leave, leave, *(revoke(one.pk) for one in tokens), make(there.ada), make(bot)]
    together(*doings)
    assert not there.ada.api_tokens.filter(revoked_at=None).exists()
    assert not bot.api_tokens.filter(revoked_at=None).exists()
    assert Event.objects.filter(action="identity.subject.suspended").count() == 1
