"""Reading calls: who may see which, filters, pages, and what other parts ask of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from apps.compiler.graph import Point
from apps.compiler.impact import Call as ReplayedCall
from apps.identity.models import Role, Subject
from apps.telemetry import selectors, services
from apps.telemetry.errors import UnknownCall
from apps.telemetry.events import Event
from apps.telemetry.selectors import CallFilter
from tests.factories import catalog
from tests.factories import identity as people

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def event(number: int, point: str = "edge", *, seconds: float = 0.0, **changes: object) -> Event:
    said: dict[str, object] = {
        "at": AT + timedelta(seconds=seconds or number),
        "rid": f"{number:032x}",
        "point": point,
        "node": "n",
        "verdict": "allow",
        "reason": "granted",
        "subject": "person:ada",
        "peer": "",
        "service": "payments",
        "route": "createRefund",
        "method": "POST",
        "path": "/refunds",
        "host": "api.shop.localhost",
        "grants": ("g_1",),
        "status": 200,
        "ms": 1.0,
        "probe": False,
    }
    return Event(**(said | changes))  # type: ignore[arg-type]


def seen(viewer: Subject, **filters: object) -> list[int]:
    found = selectors.list_calls(viewer=viewer, filters=CallFilter(**filters))  # type: ignore[arg-type]
    return [int(row.rid, 16) for row in found.items]


@pytest.fixture
def cyd() -> Subject:
    return people.person("cyd", roles=(Role.SECURITY,))


def test_people_see_their_own_calls_and_those_of_their_teams_services() -> None:
    ada, ben = people.person("ada"), people.person("ben")
    catalog.service("payments", team=people.team("payments", owners=(ben,)))
    people.agent("bot", owner=ada)
    services.store(
        [
            event(1),
            event(2, subject="person:eve"),
            event(3, subject="agent:bot", service="cart"),
            event(4, subject="person:eve", service="cart"),
            event(5, service="cart", subject="person:ada"),
        ]
    )
    assert seen(ada) == [5, 3, 1]
    assert seen(ben) == [2, 1]
    assert seen(people.person("nobody")) == []
    for role in (Role.SECURITY, Role.AUDITOR, Role.OPERATOR):
        assert seen(people.person(f"a-{role}", roles=(role,))) == [5, 4, 3, 2, 1]
    assert seen(people.person("admin", roles=(Role.ADMINISTRATOR,))) == []
    assert selectors.get_call(viewer=ben, rid=f"{2:032x}").subject == "person:eve"
    for viewer, rid in ((ada, f"{2:032x}"), (ben, "nonsense"), (ben, f"{99:032x}")):
        with pytest.raises(UnknownCall):
            selectors.get_call(viewer=viewer, rid=rid)


def test_a_suspended_role_holder_sees_no_more_than_anybody(cyd: Subject) -> None:
    services.store([event(1)])
    cyd.state, cyd.suspended_at = "suspended", AT
    assert seen(cyd) == []


def test_filters(cyd: Subject) -> None:
    services.store(
        [
            event(1),
            event(2, service="cart", method="GET", path="/carts/7"),
            event(3, verdict="deny", reason="no_grant", subject="person:eve"),
            event(4, probe=True),
        ]
    )
    assert seen(cyd, subject="person:eve") == [3]
    assert seen(cyd, service="cart") == [2]
    assert seen(cyd, reason="no_grant") == [3]
    assert seen(cyd, verdict="allow") == [4, 2, 1]
    assert seen(cyd, probes=False) == [3, 2, 1]
    assert seen(cyd, text="CART") == [2]
    assert seen(cyd, text="get carts") == [2]
    assert seen(cyd, text="eve refunds") == [3]
    assert seen(cyd, text="%") == []
    assert seen(cyd, text="\x00") == [4, 3, 2, 1]
    assert seen(cyd, text=f"{2:032x}") == [2]
    assert seen(cyd, since=AT + timedelta(seconds=2), until=AT + timedelta(seconds=4)) == [3, 2]


def test_pages_follow_one_another_without_gaps_even_within_one_instant(cyd: Subject) -> None:
    services.store([event(number, seconds=60.0) for number in range(1, 8)])
    rids: list[str] = []
    after: str | None = ""
    while after is not None:
        page = selectors.list_calls(viewer=cyd, after=after, limit=3)
        rids += [row.rid for row in page.items]
        after = page.after
    assert sorted(rids) == [f"{number:032x}" for number in range(1, 8)]


@given(st.text(alphabet="0123456789.-٣ \x00", max_size=45))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_made_up_cursor_is_no_error(cyd: Subject, after: str) -> None:
    assert selectors.list_calls(viewer=cyd, after=after).after is None


def test_a_page_costs_the_same_for_few_and_many(
    cyd: Subject, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ben = people.person("ben")
    catalog.service("payments", team=people.team("payments", owners=(ben,)))
    for count in (1, 50):
        services.store([event(number) for number in range(1, count + 1)])
        with django_assert_num_queries(2):
            assert len(selectors.list_calls(viewer=cyd).items) == count
        with django_assert_num_queries(6):
            assert len(selectors.list_calls(viewer=ben).items) == count


def test_a_row_tells_what_each_door_said(cyd: Subject) -> None:
    services.store(
        [event(1, seconds=1.5), event(1, "sidecar", seconds=1.25, verdict="deny", reason="no_grant", peer="spiffe://x")]
    )
    row = selectors.list_calls(viewer=cyd).items[0]
    assert row.is_denied and row.reason == "no_grant"
    assert row.first_at == AT + timedelta(seconds=1.25)
    assert row.edge == selectors.Door(AT + timedelta(seconds=1.5), "allow", "granted", 200, 1.0, "n", "")
    assert row.ingress is None
    assert row.mesh is not None and (row.mesh.reason, row.mesh.peer) == ("no_grant", "spiffe://x")


def test_callers_seen(cyd: Subject) -> None:
    services.store(
        [
            event(1),
            event(2, verdict="deny", reason="no_grant"),
            event(3, subject="person:eve"),
            event(4, subject=""),
            event(5, probe=True),
            event(6, service="cart"),
        ]
    )
    assert selectors.list_callers_seen("payments", since=AT) == (
        selectors.CallerSeen("person:eve", 1, 0, AT + timedelta(seconds=3)),
        selectors.CallerSeen("person:ada", 2, 1, AT + timedelta(seconds=2)),
    )
    assert selectors.list_callers_seen("payments", since=AT + timedelta(minutes=1)) == ()


def test_recent_calls_can_be_replayed_at_each_door() -> None:
    services.store(
        [
            event(1),
            event(1, "ingress"),
            event(1, "sidecar"),
            event(2, "sidecar", subject="workload:w"),
            event(3, subject=""),
        ]
    )
    replayed = selectors.recent_calls("payments", since=AT)
    assert replayed == (
        ReplayedCall("workload:w", "POST", "payments", "/refunds", Point.MESH, int(AT.timestamp()) + 2),
        ReplayedCall("person:ada", "POST", "payments", "/refunds", Point.EDGE, int(AT.timestamp()) + 1),
        ReplayedCall("person:ada", "POST", "payments", "/refunds", Point.MESH, int(AT.timestamp()) + 1),
    )
    asked = selectors.recent_calls("payments", since=AT, ask_at=AT + timedelta(hours=1))
    assert {call.at for call in asked} == {int(AT.timestamp()) + 3600}


def test_the_feed_moves_with_every_batch_that_says_something_new() -> None:
    assert selectors.feed_position() == 0
    services.store([event(1), event(2)])
    services.store([event(1)])
    services.store([event(1, "sidecar")])
    assert selectors.feed_position() == 2
