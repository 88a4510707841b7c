from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from apps.outbox import tasks
from apps.outbox.models import Message, State
from tests.outbox.topics import Ears, handled, put

pytestmark = pytest.mark.django_db


def test_the_relay_empties_the_outbox_without_celery() -> None:
    ears, out = Ears(failing=lambda key: key == "bad"), StringIO()
    with handled("test.heard", ears):
        for key in ("a", "bad", "b"):
            put(key)
        call_command("relay", once=True, stdout=out)
    assert out.getvalue() == "handled 3\n"
    assert ears.keys == ["a", "bad", "b"]


@pytest.mark.parametrize("task", [tasks.drain, tasks.sweep])
def test_a_task_empties_the_outbox_and_may_run_again(task: object) -> None:
    ears = Ears()
    with handled("test.heard", ears):
        put("a")
        put("b")
        for _ in range(2):
            task(sent_by="a newer release")  # type: ignore[operator]
    assert ears.keys == ["a", "b"]
    assert not Message.objects.exclude(state=State.DONE).exists()


def test_pruning_as_a_task() -> None:
    put("long ago", topic="test.unheard")
    tasks.prune()
    assert Message.objects.count() == 0
