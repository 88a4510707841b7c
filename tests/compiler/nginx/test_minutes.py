"""Calls a minute of an agent, counted by the node; nobody else is counted, and a probe is no call."""

from __future__ import annotations

import time

import pytest

from apps.compiler.decide import Action, Context, Decision, Pdp, Resource, meet
from apps.compiler.graph import AccessGraph, Grant, Point, Subject, SubjectKind
from apps.compiler.reasons import Reason
from tests.compiler.estate import PAYMENTS
from tests.compiler.nginx.doors import CALL, CART, EDGE, GRANTS, HOST, MESH, Doors, token
from tests.meshclient import Answer

BOT = "agent:bot"


@pytest.fixture
def limited(own_doors: Doors) -> Doors:
    """An agent with two calls a minute, at the beginning of a minute."""
    if "sp_minutes" not in (own_doors.node.root / "node_http.conf").read_text():
        pytest.skip("this NGINX has no memory that its workers share")
    own_doors.grants = (*GRANTS, Grant("g-bot", BOT, "payments", CALL, MESH, 0))
    own_doors.minute = 2
    own_doors.node.reload(own_doors.artifacts())
    left = 60 - time.time() % 60
    if left < 15:
        time.sleep(left)
    return own_doors


def through(doors: Doors, bearer: str, *headers: tuple[str, str]) -> Answer:
    with doors.node.client(doors.identities[EDGE]) as client:
        sent = [("Txn-Token", bearer), *headers]
        return client.send("GET", "/payments/v1/7", port=doors.ingress, host=HOST, headers=sent)


def test_the_third_call_waits_for_the_next_minute(limited: Doors) -> None:
    probes = [through(limited, token(BOT), ("X-Sallyport-Probe", "1")).status for _ in range(3)]
    answers = [through(limited, token(BOT)) for _ in range(3)]
    assert (probes, [one.status for one in answers]) == ([204] * 3, [200, 200, 429])
    assert answers[2].json()["reason"] == "rate_limited"
    assert 0 < int(answers[2].header("Retry-After")) <= 60 - int(time.time() % 60) + 1


def test_what_it_does_for_somebody_counts_too_and_a_new_configuration_forgets_nothing(limited: Doors) -> None:
    acting = token(act={"sub": BOT})
    assert [through(limited, bearer).status for bearer in (acting, token(BOT))] == [200, 200]
    limited.node.reload(limited.artifacts())
    assert [through(limited, bearer).status for bearer in (acting, token())] == [429, 200]


def test_nobody_else_is_counted(limited: Doors) -> None:
    with limited.node.client(limited.identities[CART]) as client:
        assert [client.send("GET", "/v1/7", port=limited.sidecar).status for _ in range(4)] == [200] * 4
    assert [through(limited, token()).status for _ in range(4)] == [200] * 4


def test_the_reference_lets_in_and_says_what_is_owed() -> None:
    bot = Subject(BOT, SubjectKind.AGENT, calls_per_minute=2)
    ada = Subject("person:ada", SubjectKind.PERSON)
    grants = tuple(
        Grant(f"g-{who.name or who.id}", who.id, "payments", frozenset({"order"}), MESH, 0) for who in (bot, ada)
    )
    pdp = Pdp(AccessGraph({one.id: one for one in (bot, ada)}, {"payments": PAYMENTS}, grants))
    action, resource, context = Action("GET"), Resource("payments", "/orders/7"), Context(Point.MESH)
    its, hers = (pdp.decide(who.id, action, resource, context, 1) for who in (bot, ada))
    assert its == Decision(True, Reason.GRANTED, ("g-agent:bot",), "order", limits=((BOT, 2),))
    assert (hers.limits, meet(hers, its).limits) == ((), ((BOT, 2),))
