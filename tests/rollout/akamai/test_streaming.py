"""The log of an edge: its stream made, adopted, changed, stopped; its secret turned over; its lines delivered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.audit.models import Event
from apps.rollout.models import EdgeStream, StreamKey, Target
from apps.rollout.services import moving
from apps.rollout.services.akamai import streaming, streaming_steps
from apps.rollout.services.akamai.streaming import StreamInput
from apps.rollout.services.targets import BadTarget
from apps.telemetry.models import Call
from tests.deliveries import Receiver, receiving
from tests.factories import access as factory
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.test_attaching import bring
from tests.rollout.world import Hands, edge_spec, make_target, mesh_spec

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")
HOST = "api.shop.localhost"
STREAMS = "/datastream-config-api/v2/log/streams"


@pytest.fixture
def target(standin: StandIn) -> Target:
    factory.shop()
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=datetime.now(UTC))
    return Target.objects.get()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def hands() -> Hands:
    return Hands()


def ask(hands: Hands, receiver: Receiver, hostname: str = HOST) -> EdgeStream:
    given = StreamInput(hostname, "ops@shop.test", receiver.address)
    return streaming.ask(slug="edge", given=given, actor=OLGA, at=hands.clock())


def step(hands: Hands) -> EdgeStream:
    stream = EdgeStream.objects.get()
    streaming_steps.run(stream_id=stream.pk, clock=hands.clock)
    stream.refresh_from_db()
    return stream


def work(hands: Hands, status: str) -> EdgeStream:
    """What workers do until Akamai says so."""

    def there() -> EdgeStream | None:
        stream = step(hands)
        hands.push(seconds=11)
        return stream if stream.status == status and not stream.error else None

    found: EdgeStream = eventually(there)
    return found


def streams(standin: StandIn) -> list[dict[str, Any]]:
    rows = standin.call("GET", STREAMS).json()
    return [standin.call("GET", f"{STREAMS}/{row['streamId']}").json() for row in rows]


@pytest.mark.usefixtures("target")
def test_it_is_made_and_activated_with_what_we_need_and_nothing_personal(
    standin: StandIn, receiver: Receiver, hands: Hands
) -> None:
    ask(hands, receiver)
    stream = work(hands, "ACTIVATED")
    (made,) = streams(standin)
    assert (made["streamId"], made["streamName"]) == (stream.stream_id, "sallyport-edge")
    assert made["properties"] == [{"propertyId": 1, "propertyName": "local-edge"}]
    assert made["destination"]["endpoint"] == f"{receiver.address}/telemetry/v1/datastream/edge"
    keys = {one["datasetFieldJsonKey"] for one in made["datasetFields"]}
    assert not keys & {"cliIP", "cookie", "queryStr", "UA", "referer", "xForwardedFor"}
    assert stream.active_since is not None
    assert sorted(Event.objects.filter(action__startswith="rollout.stream").values_list("action", flat=True)) == [
        "rollout.stream.activated",
        "rollout.stream.asked",
    ]


@pytest.mark.usefixtures("target")
def test_a_worker_that_dies_after_the_call_finds_its_stream_again(
    standin: StandIn, receiver: Receiver, hands: Hands
) -> None:
    ask(hands, receiver)
    step(hands)
    EdgeStream.objects.update(stream_id=None, status="", sent_key="", retry_at=hands.clock())
    work(hands, "ACTIVATED")
    hands.push(minutes=6)
    assert work(hands, "ACTIVATED").found["version"] == 2
    assert len(streams(standin)) == 1
    assert receiver.deliveries[-1].login == receiver.deliveries[0].login


@pytest.mark.usefixtures("target")
def test_a_stream_of_our_name_is_adopted_and_one_that_is_lost_is_made_again(
    standin: StandIn, receiver: Receiver, hands: Hands
) -> None:
    ask(hands, receiver)
    first = work(hands, "ACTIVATED").stream_id
    EdgeStream.objects.all().delete()
    ask(hands, receiver)
    assert work(hands, "ACTIVATED").stream_id == first
    EdgeStream.objects.update(stream_id=999, retry_at=hands.clock())
    assert work(hands, "ACTIVATED").stream_id == first
    assert len(streams(standin)) == 1


@pytest.mark.usefixtures("target")
def test_another_secret_is_given_to_akamai_and_the_older_one_ends_an_hour_after(
    receiver: Receiver, hands: Hands
) -> None:
    ask(hands, receiver)
    work(hands, "ACTIVATED")
    old = receiver.deliveries[-1].login
    streaming.renew_secret(slug="edge", actor=OLGA, at=hands.clock())
    work(hands, "ACTIVATING")
    work(hands, "ACTIVATED")
    new = receiver.deliveries[-1].login
    assert new != old
    step(hands)
    right = {
        login: streaming.authenticate(slug="edge", user="edge", password=login[5:], at=hands.clock()) is not None
        for login in (old, new)
    }
    assert right == {old: True, new: True}
    hands.push(minutes=61)
    step(hands)
    assert StreamKey.objects.filter(ended_at=None).count() == 1
    assert streaming.authenticate(slug="edge", user="edge", password=old[5:], at=hands.clock()) is None
    assert streaming.authenticate(slug="edge", user="edge", password=new[5:], at=hands.clock()) is not None


@pytest.mark.usefixtures("target")
def test_it_is_stopped_and_started_again(standin: StandIn, receiver: Receiver, hands: Hands) -> None:
    ask(hands, receiver)
    work(hands, "ACTIVATED")
    streaming.stop(slug="edge", actor=OLGA, at=hands.clock())
    assert work(hands, "DEACTIVATED").active_since is None
    ask(hands, receiver)
    assert work(hands, "ACTIVATED").active_since is not None
    assert len(streams(standin)) == 1


@pytest.mark.usefixtures("target")
def test_an_endpoint_that_refuses_is_told_in_akamais_words_and_tried_again(receiver: Receiver, hands: Hands) -> None:
    receiver.statuses = [401]
    ask(hands, receiver)
    stream = step(hands)
    assert "The endpoint answered 401 to a sample request." in stream.error
    assert stream.retry_at > hands.clock()
    hands.push(seconds=3)
    assert work(hands, "ACTIVATED").error == ""


@pytest.mark.usefixtures("target")
def test_a_host_nobody_serves_is_said(receiver: Receiver, hands: Hands) -> None:
    ask(hands, receiver, "elsewhere.test")
    assert step(hands).error == "elsewhere.test: no property that this API client may see has this hostname."


@pytest.mark.usefixtures("target")
def test_what_is_asked_while_a_worker_is_at_it_is_not_lost(receiver: Receiver, hands: Hands) -> None:
    stream = ask(hands, receiver)
    streaming_steps.run(stream_id=stream.pk, clock=hands.clock)
    claimed = EdgeStream.objects.get()
    lease = claimed.retry_at
    streaming.stop(slug="edge", actor=OLGA, at=hands.clock())
    streaming_steps._save(claimed, lease, hands.clock())
    row = EdgeStream.objects.get()
    assert not row.wanted
    assert row.retry_at <= hands.clock()


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize(
    "address",
    ["http://console.shop.test", "https://192.0.2.1", "https://console.shop.test/path", "console.shop.test", "", "x:y"],
)
def test_akamai_delivers_to_https_and_a_name_only(address: str, hands: Hands) -> None:
    Target.objects.update(config={**Target.objects.get().config, "base_url": "https://akab-x.luna.akamaiapis.net"})
    with pytest.raises(InvalidInput) as refused:
        streaming.ask(slug="edge", given=StreamInput(HOST, "a@b.c", address), actor=OLGA, at=hands.clock())
    assert list(refused.value.fields) == ["address"]
    assert EdgeStream.objects.count() == 0


def test_a_mesh_has_no_stream(hands: Hands) -> None:
    factory.shop()
    make_target(mesh_spec())
    with pytest.raises(BadTarget):
        streaming.ask(slug="mesh", given=StreamInput(HOST, "a@b.c", "https://a.test"), actor=OLGA, at=hands.clock())
    with pytest.raises(streaming.NoStream):
        streaming.stop(slug="mesh", actor=OLGA, at=hands.clock())


GATE = """
import { logger } from "log";
export function onClientRequest(request) {
  request.setVariable("PMUSER_SP_RID", "ab".repeat(16));
  const call = { p: "edge", v: "deny", r: "no_grant", s: "person:ada", i: 1, svc: "payments", g: [], pr: 0 };
  request.setVariable("PMUSER_SP_V", JSON.stringify(call));
  request.respondWith(403, {}, "no");
}
"""


def test_a_call_at_the_edge_is_delivered_and_shown_under_the_callers_name(
    target: Target, standin: StandIn, receiver: Receiver, hands: Hands, client: Client
) -> None:
    """From a real request, through the property's rule and the stream, into the record."""
    worker = int(str(target.facts["edgeworker_id"]))
    standin.upload(worker, "1", GATE)
    standin.activate(worker, "1")
    ask(hands, receiver)
    work(hands, "ACTIVATED")
    change = bring(hands)
    assert '"customLogField": "{{user.PMUSER_SP_RID}};{{user.PMUSER_SP_V}}"' in change.diff
    eventually(lambda: standin.get("/payments/refunds?a=secret").status_code == 403 and receiver.with_lines)
    delivery = receiver.with_lines[0]
    assert b"secret" not in delivery.body
    assert delivery.lines[0]["customField"].startswith("ab" * 16)
    headers = {"Authorization": delivery.headers["authorization"]}
    for times in range(2):
        answer = client.post(delivery.path, delivery.body, content_type="application/json", headers=headers)
        assert answer.status_code == 202, answer.content
        assert answer.json()["rejected"] == 0
        assert answer.json()["repeated"] >= times
    call = Call.objects.get()
    assert (call.rid.hex, call.subject, call.verdict, call.reason) == ("ab" * 16, "person:ada", "deny", "no_grant")
    assert (call.method, call.host, call.status) == ("GET", HOST, 403)
