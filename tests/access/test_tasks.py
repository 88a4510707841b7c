"""The sweeps read the real clock, so what ended long ago is ended by them and what is young is left alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.access import tasks
from apps.access.models import Examined, StandingPolicy
from tests.factories.access import AT, active_grant, ask, shop

pytestmark = pytest.mark.django_db


def test_the_sweeps_end_what_is_due_and_nothing_else() -> None:
    there = shop()
    now = datetime.now(UTC)
    old_grant, young_grant = active_grant(there.ada, there.ben, at=AT), active_grant(there.bot, there.ben, at=now)
    old_ask, young_ask = ask(there.ada, routes=("list",), at=AT), ask(there.bot, routes=("list",), at=now)
    for _ in range(2):
        tasks.expire_grants(from_a_newer_caller=True)
        tasks.expire_requests(from_a_newer_caller=True)
        tasks.examine(from_a_newer_caller=True)
        tasks.look_again(from_a_newer_caller=True)
    for row in (old_grant, young_grant, old_ask, young_ask):
        row.refresh_from_db()
    assert (old_grant.state, young_grant.state) == ("expired", "active")
    assert (old_ask.state, young_ask.state) == ("expired", "pending")
    assert Examined.objects.count() == StandingPolicy.objects.count() == 1
