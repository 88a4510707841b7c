"""Workers killed with SIGKILL between what they asked of Akamai and what they note: nothing lost, nothing twice.

The stand-in holds its answer back, so that the moment is certain: ``done`` tells whether the call took effect first.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from django.db import connection

from apps.audit import services as audit
from apps.audit.models import Event
from apps.rollout.models import AddressList, EdgeStream, EdgeToken, OriginCertificate, PendingChange, Target
from apps.rollout.services import moving, reconciling
from apps.rollout.services.akamai import edge_tokens, leaving, listing, origin_certificates, streaming, streaming_steps
from apps.rollout.services.akamai.streaming import StreamInput
from apps.rollout.services.targets import BadTarget, TargetExists
from apps.trust.models import Certificate
from tests.deliveries import Receiver, receiving
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories.edges import another_environment
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai import test_origin_certificates as certificates
from tests.rollout.akamai.answers import answering
from tests.rollout.akamai.code import end_the_watch, make_edge, newest, worked
from tests.rollout.akamai.killable import Clock, add
from tests.rollout.akamai.test_edge_tokens import configure, names
from tests.rollout.akamai.test_origin_certificates import CERTIFICATES
from tests.rollout.akamai.test_streaming import HOST, OLGA, STREAMS, streams
from tests.rollout.world import Hands, edge_spec, make_target, mesh_spec, now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LISTS = "/client-list/v1/lists"
HELD_BACK = 5.0
"""Seconds; a worker is dead long before."""
DONE = pytest.mark.parametrize("done", [True, False], ids=["after the write", "before the write"])


@dataclass
class Killer:
    standin: StandIn
    environment: dict[str, str]
    hands: Hands

    def kill(self, worker: str, row: int, method: str, path: str, *, done: bool) -> None:
        """Let a worker get as far as this call, end it, and let its lease run out."""
        rule = {"method": method, "path": path, "status": 500, "times": 1, "delay": HELD_BACK, "after": done}
        self.standin.faults(rules=[rule])
        ahead = str((self.hands.clock() - now()).total_seconds())
        argv = [sys.executable, "-m", "tests.rollout.akamai.killable", worker, str(row), ahead]
        child = subprocess.Popen(argv, env=self.environment)
        try:
            eventually(lambda: self._met(child), patience=60)
        finally:
            child.kill()
            child.wait(10)
        self.standin.faults()
        self.hands.push(minutes=12)

    def _met(self, child: subprocess.Popen[bytes]) -> bool:
        assert child.poll() is None, "it came to its end without making the call"
        faults = requests.get(f"{self.standin.control}/__localedge/faults", timeout=10).json()
        return all(rule["times"] == 0 for rule in faults["rules"])


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def killer(standin: StandIn, console_environment: dict[str, str], hands: Hands) -> Killer:
    return Killer(standin, console_environment, hands)


@pytest.fixture
def target(standin: StandIn) -> Target:
    factory.shop()
    make_target(mesh_spec())
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=now())
    certificates.catch_up()
    return Target.objects.get(slug="edge")


@pytest.fixture(autouse=True)
def the_record_holds() -> Iterator[None]:
    yield
    assert audit.verify().ok


def recorded(prefix: str) -> Counter[str]:
    rows = Event.objects.filter(action__startswith=f"rollout.{prefix}").values_list("action", flat=True)
    return Counter(action.removeprefix("rollout.") for action in rows)


# -- lists of addresses


@pytest.fixture
def guarded(target: Target) -> AddressList:
    outside.guard("127.0.0.1", at=now())
    listing.ensure(now())
    return AddressList.objects.get()


def settle(hands: Hands) -> AddressList:
    def there() -> AddressList | None:
        row = AddressList.objects.get()
        listing.run(list_id=row.pk, clock=hands.clock)
        hands.push(seconds=6)
        row.refresh_from_db()
        return row if row.settled and not row.waiting_for else None

    found: AddressList = eventually(there)
    return found


def lists(standin: StandIn) -> list[dict[str, Any]]:
    rows = standin.call("GET", LISTS).json()["content"]
    return [standin.call("GET", f"{LISTS}/{row['listId']}?includeItems=true").json() for row in rows]


@DONE
@pytest.mark.parametrize("path", [LISTS, f"{LISTS}/[^/]+/items", f"{LISTS}/[^/]+/activations"])
def test_a_list_is_made_once_and_is_live(
    killer: Killer, guarded: AddressList, standin: StandIn, hands: Hands, path: str, done: bool
) -> None:
    killer.kill("list", guarded.pk, "POST", path, done=done)
    row = settle(hands)
    (made,) = lists(standin)
    assert [item["value"] for item in made["items"]] == ["127.0.0.1"]
    assert (made["listId"], made["version"]) == (row.list_id, row.version)
    assert made["productionActivationStatus"] == made["stagingActivationStatus"] == "ACTIVE"
    assert made["productionActiveVersion"] == made["stagingActiveVersion"] == row.version
    assert [one["value"] for one in row.entries] == ["127.0.0.1"]


@DONE
def test_what_somebody_had_added_is_on_the_record_once(
    killer: Killer, guarded: AddressList, standin: StandIn, hands: Hands, done: bool
) -> None:
    row = settle(hands)
    foreign = {"append": [{"value": "198.51.100.7"}]}
    standin.call("POST", f"{LISTS}/{row.list_id}/items", json=foreign).raise_for_status()
    AddressList.objects.update(put_back=True)
    killer.kill("list", row.pk, "POST", f"{LISTS}/[^/]+/items", done=done)
    assert settle(hands).strange == []
    assert [item["value"] for item in lists(standin)[0]["items"]] == ["127.0.0.1"]
    assert recorded("list") == {"list.drifted": 1, "list.put_back": 1}
    told = Event.objects.get(action="rollout.list.put_back").after
    assert told["removed"] == ["198.51.100.7"]


# -- the log


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def asked(target: Target, receiver: Receiver) -> EdgeStream:
    given = StreamInput(HOST, "ops@shop.test", receiver.address)
    return streaming.ask(slug="edge", given=given, actor=OLGA, at=now())


def delivering(hands: Hands) -> EdgeStream:
    """What the worker does until Akamai delivers, with the newest secret."""

    def there() -> EdgeStream | None:
        row = EdgeStream.objects.get()
        streaming_steps.run(stream_id=row.pk, clock=hands.clock)
        hands.push(minutes=6)
        row.refresh_from_db()
        newest_key = streaming.believed(row)[0]
        return row if row.status == "ACTIVATED" and not row.error and newest_key.active_at else None

    found: EdgeStream = eventually(there)
    return found


@DONE
def test_a_stream_is_made_once_and_delivers(
    killer: Killer, asked: EdgeStream, standin: StandIn, receiver: Receiver, hands: Hands, done: bool
) -> None:
    killer.kill("stream", asked.pk, "POST", STREAMS, done=done)
    row = delivering(hands)
    (made,) = streams(standin)
    assert (made["streamId"], made["streamStatus"]) == (row.stream_id, "ACTIVATED")
    assert recorded("stream.activated") == {"stream.activated": 1}
    assert len({one.login for one in receiver.deliveries}) == 1


@DONE
def test_a_new_secret_is_the_one_it_delivers_with(
    killer: Killer, asked: EdgeStream, standin: StandIn, receiver: Receiver, hands: Hands, done: bool
) -> None:
    delivering(hands)
    before = receiver.deliveries[-1].login
    streaming.renew_secret(slug="edge", actor=OLGA, at=hands.clock())
    killer.kill("stream", asked.pk, "PUT", f"{STREAMS}/[0-9]+", done=done)
    row = delivering(hands)
    assert len(streams(standin)) == 1
    assert receiver.deliveries[-1].login != before
    assert row.sent_key == streaming.believed(row)[0].hash
    hands.push(minutes=61)
    delivering(hands)
    assert len(streaming.believed(row)) == 1, "the older secret ends"


# -- the client certificate


@pytest.fixture
def certificate(target: Target, hands: Hands) -> OriginCertificate:
    return certificates.ask(hands)


@pytest.mark.parametrize(
    ("method", "path", "done", "signed"),
    [
        ("POST", CERTIFICATES, True, 1),
        ("POST", CERTIFICATES, False, 1),
        ("POST", f"{CERTIFICATES}/[0-9]+/versions/[0-9]+/certificate-block", True, 1),
        # It was signed before the call that never came through, so it is signed again; the first is never shown.
        ("POST", f"{CERTIFICATES}/[0-9]+/versions/[0-9]+/certificate-block", False, 2),
    ],
)
def test_a_certificate_is_made_once_signed_and_deployed(
    killer: Killer,
    certificate: OriginCertificate,
    standin: StandIn,
    hands: Hands,
    method: str,
    path: str,
    done: bool,
    signed: int,
) -> None:
    killer.kill("certificate", certificate.pk, method, path, done=done)
    certificates.catch_up()
    row = certificates.go(hands)
    made = standin.call("GET", CERTIFICATES).json()["certificates"]
    assert [one["certificateName"] for one in made if one["certificateName"] != "edge"] == ["sallyport-edge"]
    (version,) = certificates.versions(standin, row)
    assert (version["status"], version["versionGuid"]) == ("DEPLOYED", row.deployed_guid)
    assert Certificate.objects.filter(node="akamai:edge").count() == signed


@DONE
def test_a_renewal_is_one_version_more_and_not_two(
    killer: Killer, certificate: OriginCertificate, standin: StandIn, hands: Hands, done: bool
) -> None:
    certificates.go(hands)
    origin_certificates.renew(slug="edge", actor=OLGA, at=hands.clock())
    killer.kill("certificate", certificate.pk, "POST", f"{CERTIFICATES}/[0-9]+/versions", done=done)
    for _ in range(3):
        certificates.catch_up()
        row = certificates.go(hands)
        hands.push(hours=2)
    assert [one["status"] for one in certificates.versions(standin, row)] == ["DEPLOYED", "DEPLOYED"]
    assert row.renew_asked is False


# -- the tokens the code reads EdgeKV with


@pytest.fixture
def older(standin: StandIn) -> Target:
    """An account whose tokens end; the present one in 20 days."""
    factory.shop()
    configure(standin, kv_token_style="value", kv_token_days=20)
    made = make_edge(standin)
    configure(standin, kv_token_days=180)
    return made


@DONE
def test_a_token_is_renewed_once(killer: Killer, older: Target, standin: StandIn, done: bool) -> None:
    first = EdgeToken.objects.get()
    killer.kill("tokens", 0, "POST", "/edgekv/v1/tokens", done=done)
    assert edge_tokens.keep_all(at=now()) == ["edge"]
    assert edge_tokens.keep_all(at=now()) == []
    second = EdgeToken.objects.exclude(pk=first.pk).get()
    assert names(standin) == sorted([first.name, second.name])
    assert PendingChange.objects.filter(topic="rollout.token.renewed").count() == 1
    assert recorded("token") == {"token.renewed": 1}


@DONE
def test_a_replaced_token_is_deleted_once(killer: Killer, older: Target, standin: StandIn, done: bool) -> None:
    assert edge_tokens.keep_all(at=now()) == ["edge"]
    assert eventually(lambda: worked(Hands()) and newest().proven_at and newest().state == "watched")
    end_the_watch()
    killer.kill("tokens", 0, "DELETE", "/edgekv/v1/tokens/.*", done=done)
    edge_tokens.keep_all(at=now())
    assert names(standin) == [EdgeToken.objects.get(gone_at=None).name]
    assert recorded("token") == {"token.renewed": 1, "token.deleted": 1}


# -- an edge that is added


@pytest.mark.parametrize("path", ["/edgeworkers/v1/groups", "/edgekv/v1/initialize", "/edgeworkers/v1/ids"])
def test_an_edge_is_added_whole_or_not_at_all(
    killer: Killer, target: Target, standin: StandIn, hands: Hands, path: str
) -> None:
    """Killed between the trial of the account and what is kept: nothing is there, and it can be added again."""
    another_environment("elsewhere")
    killer.kill("add", 0, "GET", path, done=True)
    assert [one.slug for one in Target.objects.order_by("slug")] == ["edge", "mesh"]
    assert workers(standin) == ["sallyport-edge"]
    assert recorded("target.connected") == {}
    made = add(hands.clock)
    assert made in reconciling.due_targets(hands.clock()), "nobody has to be told: the sweep finds it"
    hands.work("second")
    assert workers(standin) == ["sallyport-edge", "sallyport-second"]
    assert len(names(standin)) == 2
    assert recorded("target.connected") == {"target.connected": 1}


def workers(standin: StandIn) -> list[str]:
    return sorted(row["name"] for row in standin.call("GET", "/edgeworkers/v1/ids").json()["edgeWorkerIds"])


def test_of_two_who_add_an_edge_to_one_environment_the_second_is_told(hands: Hands) -> None:
    """Akamai had told both that all is well before either was kept."""
    factory.shop()
    another_environment("elsewhere")
    account = {
        "/edgeworkers/v1/groups": (200, {"groups": [{"groupId": 1, "groupName": "Shop"}]}),
        "/edgeworkers/v1/ids": (200, {"edgeWorkerIds": []}),
    }
    with answering(account) as akamai, ThreadPoolExecutor(2) as pool:
        make_target(edge_spec(akamai.address))
        akamai.delays["/edgeworkers/v1/ids"] = 1.0
        tried = [pool.submit(in_its_own_connection, hands.clock) for _ in range(2)]
    (error,) = [one.exception() for one in tried if one.exception()]
    assert isinstance(error, TargetExists | BadTarget), error
    assert recorded("target.connected") == {"target.connected": 1}


def in_its_own_connection(clock: Clock) -> Target:
    try:
        return add(clock)
    finally:
        connection.close()


# -- leaving


@DONE
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/edgeworkers/v1/ids/[0-9]+/deactivations"),
        ("DELETE", "/edgekv/v1/.*/items/.*"),
        ("DELETE", "/edgeworkers/v1/ids/[0-9]+"),
    ],
)
def test_a_target_that_leaves_is_gone_all_the_same(
    killer: Killer, standin: StandIn, method: str, path: str, done: bool
) -> None:
    factory.shop()
    worker = make_edge(standin).facts["edgeworker_id"]
    leaving.ask(slug="edge", actor=OLGA, at=now())
    killer.kill("edge", 0, method, path, done=done)
    eventually(lambda: worked(Hands()).facts.get("left"))
    assert standin.call("GET", f"/edgeworkers/v1/ids/{worker}").status_code == 404
    assert {standin.item("GET", "payments", network=one).status_code for one in ("staging", "production")} == {404}
    assert names(standin) == []
    assert recorded("target.le") == {"target.leaving": 1, "target.left": 1}
