"""What an account lets us do, found out before it is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.audit.actors import Actor
from apps.audit.models import Event
from apps.rollout.drivers.akamai.api import AkamaiApi, Connection, Credentials
from apps.rollout.drivers.akamai.capabilities import CHECKS
from apps.rollout.drivers.akamai.preflight import Finding, Wanted, examine
from apps.rollout.models import Preflight, Target
from apps.rollout.services import moving, preflights
from apps.rollout.services.targets import BadTarget
from tests.factories import access as factory
from tests.localedge.standin import CREDENTIAL, StandIn
from tests.rollout.akamai.answers import Answers, answering
from tests.rollout.world import Hands, edge_spec, make_target, mesh_spec

OLGA = Actor("person:olga", "Olga")
WANTED = Wanted(group_id=1, resource_tier_id=200, namespace="sallyport", token_name="sallyport-1")
EVERY_RIGHT = [
    f"{verb}{where}_{what}"
    for where in ("", "_STAGING")
    for verb, what in (
        ("READ", "DATA"),
        ("WRITE", "DATA"),
        ("DELETE", "DATA"),
        ("VIEW", "NAMESPACE"),
        ("CREATE", "NAMESPACE"),
        ("VIEW", "TOKEN"),
        ("CREATE", "TOKEN"),
    )
]


def look(
    address: str, wanted: Wanted = WANTED, patience: float = 30.0, read_seconds: float = 10.0
) -> dict[str, Finding]:
    api = AkamaiApi(address, Credentials(**CREDENTIAL), Connection(read_seconds=read_seconds))
    try:
        return {one.name: one for _, found in examine(api, wanted, checks=CHECKS, patience=patience) for one in found}
    finally:
        api.close()


@pytest.fixture
def akamai() -> Iterator[Answers]:
    """An account that grants what a test puts in."""
    with answering() as answers:
        yield answers


@pytest.mark.django_db
def test_before_and_after_the_set_up_of_the_stand_in(standin: StandIn) -> None:
    before = look(standin.control)
    missing = sorted(name for name, one in before.items() if one.verdict == "missing")
    assert missing == [
        "Access token",
        "Initialised on production",
        "Initialised on staging",
        "Namespace on production",
        "Namespace on staging",
    ]
    factory.shop()
    moving.set_up(target=make_target(edge_spec(standin.control)), at=datetime.now(UTC))
    after = look(standin.control)
    assert {name: one.said for name, one in after.items() if one.verdict != "granted"} == {}
    assert after["Client lists"].said == "0 lists."
    assert after["Access token"].said == "sallyport-1 is there. It does not run out."
    assert "Maximum CPU time per event handler: 20 ms" in after["Resource tier"].said
    assert "Maximum number of EdgeWorker IDs per account: 200" in after["Limits"].said
    assert after["See properties"].said == "It sees 1 property in group 1."


def test_a_capability_the_group_lacks_is_named_with_what_breaks(akamai: Answers) -> None:
    held = ["VIEW", "EDIT", "VIEW_VERSION", "CREATE_VERSION", "VIEW_ACTIVATION"]
    akamai.by_path["/edgeworkers/v1/groups/1"] = (200, {"groupId": 1, "groupName": "G", "capabilities": held})
    rights = [code for code in EVERY_RIGHT if code != "WRITE_STAGING_DATA"]
    groups = [{"groupId": 1, "groupName": "G", "capabilities": rights}]
    akamai.by_path["/edgekv/v1/auth/groups"] = (200, {"groups": groups})
    found = look(akamai.address)
    assert found["Upload versions"].verdict == "granted"
    assert (found["Activate"].verdict, found["Activate"].said) == ("missing", "Group 1 lacks ACTIVATE.")
    assert found["Activate"].without == "New code never reaches the edge."
    assert found["Write items"].said == "Group 1 lacks WRITE_STAGING_DATA."
    assert found["Read items"].verdict == "granted"


def test_a_group_edgekv_does_not_know_has_no_right_there(akamai: Answers) -> None:
    akamai.by_path["/edgekv/v1/auth/groups"] = (200, {"groups": [{"groupId": 9, "capabilities": EVERY_RIGHT}]})
    found = look(akamai.address)["Write items"]
    assert (found.verdict, found.said) == ("missing", "EdgeKV does not list group 1 for this API client.")


def test_another_tier_is_offered_by_name(akamai: Answers) -> None:
    akamai.by_path["/edgeworkers/v1/contracts"] = (200, {"contractIds": ["C-1", "C-2"]})
    tier = {"resourceTierId": 100, "resourceTierName": "Basic Compute", "edgeWorkerLimits": []}
    akamai.by_path["/edgeworkers/v1/resource-tiers"] = (200, {"resourceTiers": [tier]})
    found = look(akamai.address)
    assert found["Contract"].said == "EdgeWorkers is on C-1, C-2."
    assert found["Resource tier"].verdict == "missing"
    assert found["Resource tier"].said.startswith("There is no tier 200. There: 100 Basic Compute")


def test_a_tier_is_not_called_missing_where_not_every_contract_was_asked(akamai: Answers) -> None:
    akamai.by_path["/edgeworkers/v1/contracts"] = (200, {"contractIds": [f"C-{number}" for number in range(7)]})
    akamai.by_path["/edgeworkers/v1/resource-tiers"] = (200, {"resourceTiers": []})
    found = look(akamai.address)["Resource tier"]
    assert found.verdict == "unknown"
    assert found.said == "There is no tier 200. There: none. Only 5 of 7 contracts were asked: name yours."


def test_properties_are_counted_on_every_contract_of_the_group(akamai: Answers) -> None:
    group = {"groupId": 1, "groupName": "G", "contractIds": ["C-1", "C-2"]}
    akamai.by_path["/papi/v1/groups"] = (200, {"groups": {"items": [group]}})
    akamai.by_path["/papi/v1/properties"] = (200, {"properties": {"items": [{"propertyId": 1}]}})
    assert look(akamai.address)["See properties"].said == "It sees 2 properties in group 1."


def test_a_group_on_no_contract_is_said_and_holds_up_nothing_else(akamai: Answers) -> None:
    group = {"groupId": 1, "groupName": "G", "contractIds": []}
    akamai.by_path["/papi/v1/groups"] = (200, {"groups": {"items": [group]}})
    akamai.by_path["/edgeworkers/v1/contracts"] = (200, {"contractIds": []})
    found = look(akamai.address)
    assert found["See properties"].said == "Group 1 is on no contract in Property Manager."
    assert (found["Contract"].verdict, found["Resource tier"].verdict) == ("missing", "unknown")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"expiry": "2027-03-01", "value": "eyJ"}, "sallyport-1 is there. It is good until 2027-03-01."),
        (
            {"expiry": "9999-12-31", "nextScheduledRefreshDate": "2027-02-01"},
            "sallyport-1 is there. It does not run out. Akamai renews it on 2027-02-01.",
        ),
    ],
)
def test_both_kinds_of_access_token_are_understood(akamai: Answers, row: dict[str, str], said: str) -> None:
    token = {"name": "sallyport-1", "uuid": "6a1e", **row}
    akamai.by_path["/edgekv/v1/tokens"] = (200, {"tokens": [token]})
    assert look(akamai.address)["Access token"].said == said


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        ((401, {"detail": "The client token is invalid"}), "unknown", "Akamai does not accept the credential"),
        ((401, {"detail": "Invalid timestamp"}), "unknown", "this machine's clock is more than 30 seconds off"),
        ((403, {"detail": "no grant"}), "missing", "lacks the grant"),
        ((429, {"detail": "slow down"}), "unknown", "takes no more calls just now"),
        ((500, {"detail": "oops"}), "unknown", "an error of its own"),
        ((200, "<h1>Please sign in to the proxy</h1>"), "unknown", "The answer was not JSON"),
        ((200, ["another", "shape"]), "unknown", "has another shape"),
        ((200, {"groups": "none"}), "unknown", "has another shape"),
    ],
)
def test_every_way_of_not_answering_is_told_apart(
    akamai: Answers, answer: tuple[int, Any], verdict: str, words: str
) -> None:
    akamai.by_path["/edgeworkers/v1/groups/1"] = answer
    found = look(akamai.address)["Activate"]
    assert found.verdict == verdict
    assert words in found.said


def test_one_silent_call_holds_up_nothing_but_itself(akamai: Answers) -> None:
    akamai.by_path["/edgekv/v1/tokens"] = (200, {"tokens": []})
    akamai.delays["/edgeworkers/v1/limits"] = 3.0
    began = time.monotonic()
    found = look(akamai.address, read_seconds=0.5)
    assert time.monotonic() - began < 2.5
    assert (found["Limits"].verdict, found["Limits"].said) == ("unknown", "Akamai did not answer in time.")
    assert found["Access token"].verdict == "missing"


def test_all_together_take_no_longer_than_was_said(akamai: Answers) -> None:
    for path in ("/edgeworkers/v1/groups/1", "/edgekv/v1/auth/groups", "/edgekv/v1/tokens", "/papi/v1/groups"):
        akamai.delays[path] = 3.0
    began = time.monotonic()
    found = look(akamai.address, patience=0.5)
    assert time.monotonic() - began < 2.5
    assert set(found) == {one.name for check in CHECKS for one in check.capabilities}
    assert found["Activate"].said.startswith("Akamai did not answer in time.")


def test_the_access_token_in_the_clients_own_description_is_not_kept(akamai: Answers) -> None:
    client = {
        "accessToken": "akab-very-secret",
        "clientName": "Sallyport",
        "credentials": [{"clientToken": "akab-token", "status": "ACTIVE", "expiresOn": "2027-05-06T00:00:00Z"}],
        "apiAccess": {
            "allAccessibleApis": False,
            "apis": [{"apiName": "PAPI", "endPoint": "/papi/v1", "accessLevel": "READ-ONLY"}],
        },
    }
    akamai.by_path["/identity-management/v3/api-clients/self"] = (200, client)
    found = look(akamai.address)
    assert found["Credential"].said == "Sallyport has 1 active; the first runs out on 2027-05-06."
    right = found["Change and activate properties"]
    assert (right.verdict, right.said) == ("missing", "Its access to Property Manager is READ-ONLY.")
    assert "akab" not in repr(found)


# -- as a job ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(db: None) -> factory.Shop:
    return factory.shop()


def ask(at: datetime | None = None) -> Preflight:
    return preflights.ask(slug="edge", actor=OLGA, at=at or datetime.now(UTC))


@pytest.mark.usefixtures("shop")
def test_a_worker_answers_and_the_result_is_kept_with_its_time(standin: StandIn) -> None:
    make_target(edge_spec(standin.control))
    made, hands = ask(), Hands()
    assert (made.finished_at, made.asked, made.answered) == (None, len(CHECKS), 0)
    assert preflights.run(preflight_id=made.pk, clock=hands.clock)
    made.refresh_from_db()
    assert (made.answered, made.asked_by, made.error) == (len(CHECKS), "Olga", "")
    assert made.finished_at is not None
    names = [one["name"] for one in made.findings]
    assert names == [one.name for check in CHECKS for one in check.capabilities]
    assert preflights.stoppers(made) == 5
    assert Event.objects.get(action="rollout.preflight.asked").actor_id == "person:olga"


@pytest.mark.usefixtures("shop")
def test_running_it_twice_asks_once(akamai: Answers) -> None:
    make_target(edge_spec(akamai.address))
    made, hands = ask(), Hands()
    assert preflights.run(preflight_id=made.pk, clock=hands.clock)
    calls = len(akamai.seen)
    assert not preflights.run(preflight_id=made.pk, clock=hands.clock)
    assert len(akamai.seen) == calls


@pytest.mark.usefixtures("shop")
def test_two_at_once_are_one(akamai: Answers) -> None:
    make_target(edge_spec(akamai.address))
    ask()
    with pytest.raises(preflights.PreflightUnderWay):
        ask()
    assert Preflight.objects.count() == 1


@pytest.mark.usefixtures("shop")
def test_what_a_dead_worker_left_is_taken_up_again(akamai: Answers) -> None:
    make_target(edge_spec(akamai.address))
    made, at = ask(), datetime.now(UTC)
    assert preflights.due(at) == [made.pk]
    Preflight.objects.update(started_at=at)
    assert preflights.due(at + preflights.LEASE) == []
    later = at + preflights.LEASE + timedelta(seconds=1)
    assert preflights.due(later) == [made.pk]
    assert preflights.run(preflight_id=made.pk, clock=lambda: later)


@pytest.mark.usefixtures("shop")
def test_an_unconnected_target_says_so() -> None:
    spec = edge_spec()
    target = make_target(spec)
    Target.objects.filter(pk=target.pk).update(config={"group_id": 1, "resource_tier_id": 200})
    made = ask()
    preflights.run(preflight_id=made.pk, clock=Hands().clock)
    made.refresh_from_db()
    assert "not connected yet" in made.error
    assert made.finished_at is not None


@pytest.mark.usefixtures("shop")
def test_only_the_last_few_are_kept(akamai: Answers) -> None:
    target = make_target(edge_spec(akamai.address))
    at = datetime.now(UTC)
    Preflight.objects.bulk_create(
        Preflight(target=target, asked_at=at, asked_by="Olga", finished_at=at) for _ in range(30)
    )
    made = ask()
    assert Preflight.objects.count() == preflights.KEPT
    assert preflights.latest(target) == made


@pytest.mark.usefixtures("shop")
def test_a_mesh_has_nobody_to_ask() -> None:
    make_target(mesh_spec())
    with pytest.raises(BadTarget):
        preflights.ask(slug="mesh", actor=OLGA, at=datetime.now(UTC))
