"""Calls tell which grants they rested on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.models import GrantUse
from apps.telemetry import services
from apps.telemetry.joining import uses_of
from tests.factories import access
from tests.telemetry.test_selectors import AT, event


def test_what_was_let_through_is_a_use_and_a_probe_or_a_refusal_is_none() -> None:
    used = replace(event(1), verdict="allow", route="read", grants=("g_1", "g_2"), at=AT)
    later = replace(used, at=AT + timedelta(seconds=5), grants=("g_1",))
    others = [replace(used, probe=True, grants=("g_3",)), replace(used, verdict="deny", grants=("g_4",))]
    assert uses_of([later, used, *others]) == {("g_1", "read"): later.at, ("g_2", "read"): AT}


@pytest.mark.django_db
def test_a_call_is_noted_at_its_grant_and_the_next_one_costs_no_write() -> None:
    there = access.shop()
    grant = access.active_grant(there.ada, there.ben, routes=("read",), at=AT)
    said = replace(event(1), verdict="allow", route="read", grants=(grant.public_id, "g_unknown"), at=AT)
    services.store([said])
    assert list(GrantUse.objects.values_list("grant__public_id", "route", "last_at")) == [(grant.public_id, "read", AT)]
    with CaptureQueriesContext(connection) as asked:
        services.store([replace(said, rid=f"{2:032x}", at=AT + timedelta(minutes=1))])
    assert sum("access_grantuse" in query["sql"] for query in asked) == 1
    assert GrantUse.objects.get().last_at == AT
