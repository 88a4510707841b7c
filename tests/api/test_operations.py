"""/targets/, /outbox/, /audit/ and /calls/: for those who watch over the estate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.outbox.models import Message
from apps.telemetry import services as telemetry
from apps.telemetry.events import Event as DoorEvent
from tests.api.calling import Caller, refused
from tests.api.world import mesh_target
from tests.factories import identity
from tests.factories.access import Shop, ask

WATCHED = (
    "targets/",
    "targets/mesh/revisions/",
    "targets/mesh/activations/",
    "targets/mesh/nodes/",
    "targets/mesh/probes/",
    "targets/mesh/drift/",
)


@pytest.fixture
def olga(there: Shop) -> Caller:
    return Caller(identity.person("olga", roles=("operator",)))


@pytest.mark.parametrize("path", WATCHED)
def test_the_rollout_is_shown_to_watchers_only(there: Shop, path: str) -> None:
    mesh_target()
    assert Caller(there.flo).get(path).status_code == 200
    for who in (there.ada, there.ben, there.bot):
        assert refused(Caller(who).get(path)) == (403, "role_needed")


def test_a_target_and_how_it_got_there(olga: Caller) -> None:
    mesh_target()
    assert olga.get("targets/").json()["results"] == [
        {
            "slug": "mesh",
            "name": "Mesh",
            "driver": "nginx",
            "point": "mesh",
            "environment": "demo",
            "latest_revision": 1,
            "active_revision": 1,
            "error": "",
            "trouble": "",
            "said": "",
            "waiting_for": "",
            "retry_at": None,
            "delivery": "direct",
            "production": "automatic",
            "to_approve": "",
        }
    ]
    revision = olga.get("targets/mesh/revisions/").json()
    assert ([row["number"] for row in revision["results"]], revision["after"]) == ([1], None)
    assert olga.get("targets/mesh/revisions/", after=1).json()["results"] == []
    assert olga.get("targets/mesh/activations/").json()["results"][0]["state"] == "proven"
    node = olga.get("targets/mesh/nodes/").json()["results"][0]
    assert (node["name"], node["online"], node["last_seen_at"]) == ("node-1", False, None)
    assert "token_hash" not in node
    probe = olga.get("targets/mesh/probes/", grant="g_1").json()["results"][0]
    assert (probe["grant"], probe["revision"], probe["state"]) == ("g_1", 1, "passed")
    assert olga.get("targets/mesh/probes/", grant="g_2").json()["results"] == []
    assert [row["path"] for row in olga.get("targets/mesh/drift/").json()["results"]] == ["node/node-1"]
    assert refused(olga.get("targets/nowhere/nodes/")) == (404, "unknown_target")


def test_only_operators_put_back_and_roll_back(there: Shop, olga: Caller) -> None:
    drift = mesh_target().drifts.get()
    for path in (f"drift/{drift.pk}/put-back/", "targets/mesh/revisions/1/roll-back/"):
        assert refused(Caller(there.cyd).post(path)) == (403, "role_needed")
    assert refused(olga.post(f"drift/{drift.pk}/put-back/")) == (409, "node_puts_back_itself")
    assert refused(olga.post("drift/999999/put-back/")) == (404, "not_found")
    assert refused(olga.post("targets/mesh/revisions/1/roll-back/")) == (409, "only_code_can_be_undone")


def dead_message(at: datetime) -> Message:
    return Message.objects.create(
        topic="catalog.service.changed", key="payments", state="dead", attempts=10, available_at=at, created_at=at
    )


def test_what_was_given_up_is_tried_again_by_an_operator(olga: Caller, at: datetime) -> None:
    message = dead_message(at)
    body = olga.get("outbox/").json()
    assert (body["dead"], [row["id"] for row in body["results"]]) == (1, [message.pk])
    assert olga.post(f"outbox/{message.pk}/retry/").json()["state"] == "pending"
    assert refused(olga.post(f"outbox/{message.pk}/retry/")) == (409, "message_not_dead")
    assert Event.objects.filter(action="outbox.message.retried", actor_id="person:olga").count() == 1


def test_nobody_else_sees_or_retries(there: Shop, at: datetime) -> None:
    message = dead_message(at)
    for who in (there.ada, there.cyd, there.bot):
        assert refused(Caller(who).get("outbox/")) == (403, "role_needed")
        assert refused(Caller(who).post(f"outbox/{message.pk}/retry/")) == (403, "role_needed")
    message.refresh_from_db()
    assert message.state == "dead"


def test_the_record_is_read_by_readers_newest_first(there: Shop, at: datetime) -> None:
    request = ask(there.ada, at=at)
    flo = Caller(there.flo)
    found = flo.get("audit/", target_id=request.public_id).json()
    assert [(row["action"], row["actor_id"]) for row in found["results"]] == [("access.request.opened", "person:ada")]
    first = flo.get("audit/", limit=2).json()
    rest = flo.get("audit/", limit=2, after=first["after"]).json()
    seqs = [row["seq"] for row in (*first["results"], *rest["results"])]
    assert seqs == sorted(seqs, reverse=True)
    assert len(set(seqs)) == 4
    for who in (there.ada, there.bot):
        assert refused(Caller(who).get("audit/")) == (403, "role_needed")
        assert refused(Caller(who).get("audit/verification/")) == (403, "role_needed")


def test_the_chain_is_walked(there: Shop) -> None:
    body = Caller(there.flo).get("audit/verification/").json()
    assert (body["ok"], body["checked"], body["first_bad_seq"]) == (True, Event.objects.count(), None)


def a_call(number: int, subject: str, at: datetime) -> DoorEvent:
    """What the edge says of a refused call."""
    return DoorEvent(
        at=at,
        rid=f"{number:032x}",
        point="edge",
        node="edge",
        verdict="deny",
        reason="no_grant",
        subject=subject,
        peer="",
        service="payments",
        route="refund",
        method="POST",
        path="/refunds",
        host="api.shop.localhost",
        grants=(),
        status=403,
        ms=1.5,
        probe=False,
    )


def test_calls_are_shown_to_those_they_concern_with_what_each_door_said(there: Shop, at: datetime) -> None:
    telemetry.store([a_call(1, "person:ada", at), a_call(2, "person:dan", at)])
    ada = Caller(there.ada).get("calls/").json()
    assert [(row["subject"], row["verdict"], row["reason"]) for row in ada["results"]] == [
        ("person:ada", "deny", "no_grant")
    ]
    assert (ada["results"][0]["edge"]["status"], ada["results"][0]["mesh"]) == (403, None)
    flo = Caller(there.flo)
    assert len(flo.get("calls/").json()["results"]) == 2
    assert [row["rid"] for row in flo.get("calls/", rid=f"{2:032x}").json()["results"]] == [f"{2:032x}"]
    assert flo.get("calls/", verdict="allow").json() == {"results": [], "after": None}
    assert refused(flo.get("calls/", verdict="maybe")) == (400, "invalid")


def test_calls_follow_page_by_page(there: Shop, at: datetime) -> None:
    telemetry.store([a_call(number, "person:ada", at + timedelta(seconds=number)) for number in range(5)])
    flo = Caller(there.flo)
    first = flo.get("calls/", limit=3).json()
    rest = flo.get("calls/", limit=3, after=first["after"]).json()
    rids = [int(row["rid"], 16) for row in (*first["results"], *rest["results"])]
    assert (rids, rest["after"]) == ([4, 3, 2, 1, 0], None)


def test_log_shippers_are_listed_without_their_tokens_and_revoked(there: Shop, olga: Caller) -> None:
    token = telemetry.register_source(name="node-1", points=["sidecar"], actor=SYSTEM, at=datetime.now(UTC))
    answer = olga.get("log-shippers/")
    assert token not in answer.content.decode()
    assert [(one["name"], one["points"], one["revoked_at"]) for one in answer.json()["results"]] == [
        ("node-1", ["sidecar"], None)
    ]
    assert refused(Caller(there.cyd).post("log-shippers/node-1/revoke/"))[0] == 403
    (row,) = olga.post("log-shippers/node-1/revoke/").json()["results"]
    assert row["revoked_at"] is not None
    assert refused(olga.post("log-shippers/nobody/revoke/")) == (404, "unknown_source_name")
    assert Event.objects.filter(action="telemetry.source.revoked").count() == 1
