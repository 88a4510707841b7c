"""Our rule in a property: compared, agreed to, written, warned of, live on staging and production; and out again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.audit.models import Event
from apps.rollout.drivers.akamai.rules import RULE_NAME, hosts_of
from apps.rollout.models import PropertyChange, Target
from apps.rollout.services import moving
from apps.rollout.services.akamai import attaching, attaching_steps, property_watching
from apps.rollout.services.akamai.attached import attached
from apps.rollout.services.targets import BadTarget
from apps.rollout.states import WORKING_PROPERTIES, MoveRefused
from tests.factories import access as factory
from tests.factories import edges
from tests.localedge.origin import OriginServer
from tests.localedge.pki import Authority
from tests.localedge.standin import StandIn, eventually
from tests.rollout.conftest import make_local_edge
from tests.rollout.world import Hands, edge_spec, make_target, mesh_spec

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")
HOST, SECOND = "api.shop.localhost", "two.shop.localhost"
ONE = "/papi/v1/properties/prp_1"


@pytest.fixture
def target(standin: StandIn) -> Target:
    factory.shop()
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=datetime.now(UTC))
    return Target.objects.get()


@pytest.fixture
def hands() -> Hands:
    return Hands()


def ask(hands: Hands, hostname: str = HOST, *, removal: bool = False) -> PropertyChange:
    return attaching.ask(
        slug="edge", hostname=hostname, removal=removal, email="ops@shop.test", actor=OLGA, at=hands.clock()
    )


def work(change: PropertyChange, hands: Hands) -> PropertyChange:
    """What workers do until a person is asked, or it is over."""
    for _ in range(100):
        change.refresh_from_db()
        if change.state not in WORKING_PROPERTIES:
            return change
        if not attaching_steps.run(change_id=change.pk, clock=hands.clock):
            hands.push(seconds=10)
    raise AssertionError(f"it stays {change.state}: {change.events}")


def agree(change: PropertyChange, hands: Hands) -> PropertyChange:
    attaching.agree(change_id=change.pk, shown=change.base_etag, actor=OLGA, at=hands.clock())
    return work(change, hands)


def accept(change: PropertyChange, hands: Hands) -> PropertyChange:
    named = [one["id"] for one in change.warnings]
    attaching.accept_warnings(change_id=change.pk, named=named, actor=OLGA, at=hands.clock())
    return work(change, hands)


def bring(hands: Hands, hostname: str = HOST, *, removal: bool = False) -> PropertyChange:
    change = accept(agree(work(ask(hands, hostname, removal=removal), hands), hands), hands)
    assert (change.state, change.error) == ("done", "")
    return change


def live(standin: StandIn, network: str = "production") -> dict[str, Any]:
    """The tree that is active there."""
    headers = {"PAPI-Use-Prefixes": "true"}
    row = standin.call("GET", ONE, headers=headers).json()["properties"]["items"][0]
    found: dict[str, Any] = standin.call("GET", f"{ONE}/versions/{row[f'{network}Version']}/rules").json()["rules"]
    return found


@pytest.mark.usefixtures("target")
def test_nothing_is_changed_before_somebody_saw_the_difference(standin: StandIn, hands: Hands) -> None:
    change = work(ask(hands), hands)
    assert (change.state, change.found["name"], change.version) == ("planned", "local-edge", None)
    assert f'+      "name": "{RULE_NAME}",' in change.diff.splitlines()
    assert len(standin.call("GET", f"{ONE}/versions").json()["versions"]["items"]) == 1


@pytest.mark.usefixtures("target")
def test_it_goes_live_on_staging_and_then_on_production(standin: StandIn, hands: Hands) -> None:
    before = live(standin)
    warned = agree(work(ask(hands), hands), hands)
    assert (warned.state, warned.version) == ("warned", 2)
    assert [one["text"] for one in warned.warnings] == ["The origin's certificate is not verified."]
    done = accept(warned, hands)
    assert done.state == "done"
    for network in ("staging", "production"):
        tree = live(standin, network)
        (ours,) = [child for child in tree["children"] if child["name"] == RULE_NAME]
        assert ours["criteria"][0]["options"]["values"] == [HOST]
        assert [child for child in tree["children"] if child is not ours] == before["children"]
    told = [one["text"] for one in done.events]
    staging, production = told.index("Version 2 is live on staging."), told.index("Version 2 is live on production.")
    assert staging < production


@pytest.mark.usefixtures("target")
def test_who_agreed_and_who_accepted_which_warning_is_on_the_record(hands: Hands) -> None:
    bring(hands)
    recorded = {one.action: one for one in Event.objects.filter(action__startswith="rollout.property.")}
    assert sorted(recorded) == [
        "rollout.property.agreed",
        "rollout.property.asked",
        "rollout.property.warnings_accepted",
    ]
    accepted = recorded["rollout.property.warnings_accepted"]
    assert accepted.actor_id == "person:olga"
    assert accepted.after["warnings"] == ["The origin's certificate is not verified."]


@pytest.mark.usefixtures("target")
def test_a_second_run_changes_nothing(standin: StandIn, hands: Hands) -> None:
    bring(hands)
    again = work(ask(hands), hands)
    assert (again.state, again.diff, again.version) == ("done", "", None)
    assert again.events[-1]["text"] == "local-edge is as it should be; nothing was changed."
    assert len(standin.call("GET", f"{ONE}/versions").json()["versions"]["items"]) == 2


@pytest.mark.usefixtures("target")
def test_taking_it_out_leaves_the_property_as_it_was(standin: StandIn, hands: Hands) -> None:
    before = live(standin)
    bring(hands)
    bring(hands, removal=True)
    assert live(standin) == before
    assert work(ask(hands, removal=True), hands).state == "done"


def write_by_hand(standin: StandIn, version: int, rules: dict[str, Any]) -> None:
    etag = standin.call("GET", f"{ONE}/versions/{version}/rules").json()["etag"]
    headers = {"If-Match": f'"{etag}"', "PAPI-Use-Prefixes": "true"}
    answer = standin.call("PUT", f"{ONE}/versions/{version}/rules", json={"rules": rules}, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.usefixtures("target")
def test_what_somebody_else_made_live_meanwhile_is_shown_before_anything_is_written(
    standin: StandIn, hands: Hands
) -> None:
    change = work(ask(hands), hands)
    standin.call("POST", f"{ONE}/versions", json={"createFromVersion": 1})
    write_by_hand(standin, 2, {**live(standin), "children": []})
    activate_by_hand(standin, 2)
    shown = change.base_etag
    again = agree(change, hands)
    assert again.state == "planned"
    assert again.events[-1]["text"] == "Somebody else changed local-edge meanwhile. Look again."
    with pytest.raises(attaching.NotAgreed):
        attaching.agree(change_id=change.pk, shown=shown, actor=OLGA, at=hands.clock())
    accept(agree(again, hands), hands)
    assert [child["name"] for child in live(standin)["children"]] == [RULE_NAME]


@pytest.mark.usefixtures("target")
def test_what_somebody_else_made_live_while_warnings_waited_is_not_taken_back(standin: StandIn, hands: Hands) -> None:
    """Ours was made from the version before theirs: activating it would take theirs back, and nobody would see it."""
    warned = agree(work(ask(hands), hands), hands)
    standin.call("POST", f"{ONE}/versions", json={"createFromVersion": 1})
    write_by_hand(standin, 3, {**live(standin), "children": []})
    activate_by_hand(standin, 3)
    again = accept(warned, hands)
    assert (again.state, again.version, live(standin)["children"]) == ("planned", None, [])
    assert again.events[-1]["text"] == "Somebody else changed local-edge meanwhile. Look again."
    assert agree(again, hands).state == "done", "the warning was accepted before"
    assert [child["name"] for child in live(standin)["children"]] == [RULE_NAME]


def activate_by_hand(standin: StandIn, version: int, one: str = ONE) -> None:
    body = {"propertyVersion": version, "network": "PRODUCTION", "notifyEmails": ["x@y.z"]}
    made = standin.call("POST", f"{one}/activations", json={**body, "acknowledgeAllWarnings": True}).json()
    link = made["activationLink"].partition("?")[0]
    eventually(lambda: standin.call("GET", link).json()["activations"]["items"][0]["status"] == "ACTIVE")


@pytest.mark.usefixtures("target")
def test_a_version_of_ours_that_somebody_else_wrote_in_is_left_alone(standin: StandIn, hands: Hands) -> None:
    change = work(ask(hands), hands)
    standin.call("POST", f"{ONE}/versions", json={"createFromVersion": 1})
    theirs = {**live(standin), "children": []}
    write_by_hand(standin, 2, theirs)
    PropertyChange.objects.update(version=2)
    assert agree(change, hands).state == "planned"
    assert standin.call("GET", f"{ONE}/versions/2/rules").json()["rules"] == theirs


@pytest.mark.usefixtures("target")
def test_a_write_that_loses_the_race_shows_the_difference_again(standin: StandIn, hands: Hands) -> None:
    change = work(ask(hands), hands)
    standin.faults(rules=[{"method": "PUT", "path": ".*/rules", "status": 412, "times": 1}])
    assert agree(change, hands).state == "planned"


@pytest.mark.usefixtures("target")
def test_a_failed_activation_is_told_in_akamais_words(standin: StandIn, hands: Hands) -> None:
    warned = agree(work(ask(hands), hands), hands)
    standin.faults(property_results=["FAILED"])
    failed = accept(warned, hands)
    assert failed.state == "failed"
    assert failed.error == "Activation atv_1 on staging ended as FAILED. An injected fault"
    assert [child["name"] for child in live(standin)["children"]] == ["Compress text"]


@pytest.mark.usefixtures("target")
def test_a_worker_that_dies_anywhere_is_made_good(standin: StandIn, hands: Hands) -> None:
    """Answers lost on the way back: what was done is found done, and there is one activation for each network."""
    change = work(ask(hands), hands)
    standin.faults(
        rules=[
            {"method": "PUT", "path": ".*/rules", "status": 503, "times": 2, "after": True},
            {"method": "POST", "path": ".*/activations", "status": 503, "times": 2, "after": True},
        ]
    )
    assert accept(agree(change, hands), hands).state == "done"
    rows = standin.call("GET", f"{ONE}/activations").json()["activations"]["items"]
    assert sorted(row["network"] for row in rows) == ["PRODUCTION", "STAGING"]


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("status", [401, 403])
def test_a_right_withdrawn_between_two_steps_loses_nothing(standin: StandIn, hands: Hands, status: int) -> None:
    warned = agree(work(ask(hands), hands), hands)
    rule = {"method": "POST", "path": ".*/activations", "status": status, "times": 3}
    standin.faults(rules=[rule])
    named = [one["id"] for one in warned.warnings]
    attaching.accept_warnings(change_id=warned.pk, named=named, actor=OLGA, at=hands.clock())
    for _attempt in range(3):
        attaching_steps.run(change_id=warned.pk, clock=hands.clock)
        hands.push(minutes=6)
    warned.refresh_from_db()
    assert (warned.state, warned.attempts, bool(warned.error)) == ("staging", 3, True)
    assert (work(warned, hands).state, warned.error) == ("done", "")


@pytest.mark.usefixtures("target")
def test_what_is_dropped_while_a_worker_is_at_it_stays_dropped(standin: StandIn, hands: Hands) -> None:
    change = work(ask(hands), hands)
    attaching.agree(change_id=change.pk, shown=change.base_etag, actor=OLGA, at=hands.clock())

    def dropped_meanwhile() -> datetime:
        PropertyChange.objects.filter(pk=change.pk).update(state="dropped")
        return hands.clock()

    ticks = iter([hands.clock])
    attaching_steps.run(change_id=change.pk, clock=lambda: next(ticks, dropped_meanwhile)())
    assert PropertyChange.objects.get().state == "dropped"
    assert [child["name"] for child in live(standin)["children"]] == ["Compress text"]


@pytest.mark.usefixtures("target")
def test_every_warning_has_to_be_accepted_by_itself(hands: Hands) -> None:
    warned = agree(work(ask(hands), hands), hands)
    for named in ([], ["msg_other"], [*(one["id"] for one in warned.warnings), "msg_other"]):
        with pytest.raises(attaching.NotAgreed):
            attaching.accept_warnings(change_id=warned.pk, named=named, actor=OLGA, at=hands.clock())
    attaching.drop(change_id=warned.pk, actor=OLGA, at=hands.clock())
    with pytest.raises(MoveRefused):
        attaching.drop(change_id=warned.pk, actor=OLGA, at=hands.clock())


@pytest.mark.usefixtures("target")
def test_a_hostname_nobody_serves_fails_with_words(hands: Hands) -> None:
    change = work(ask(hands, "elsewhere.test"), hands)
    assert change.state == "failed"
    assert change.error.startswith("elsewhere.test: no property that this API client may see")


@pytest.mark.usefixtures("target")
def test_an_agent_may_ask_and_never_agree(hands: Hands) -> None:
    change, bot = work(ask(hands), hands), Actor("agent:bot", "Bot")
    with pytest.raises(attaching.PersonNeeded):
        attaching.agree(change_id=change.pk, shown=change.base_etag, actor=bot, at=hands.clock())
    with pytest.raises(attaching.PersonNeeded):
        attaching.accept_warnings(change_id=change.pk, named=[], actor=bot, at=hands.clock())
    assert PropertyChange.objects.get().state == "planned"


@pytest.mark.usefixtures("target")
def test_one_change_at_a_time(hands: Hands) -> None:
    ask(hands)
    with pytest.raises(attaching.PropertyBusy):
        ask(hands)
    assert PropertyChange.objects.count() == 1


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize(
    ("hostname", "email", "field"), [("not a host", "o@s.test", "hostname"), (HOST, "nobody", "email")]
)
def test_what_is_typed_is_checked(hands: Hands, hostname: str, email: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        attaching.ask(slug="edge", hostname=hostname, removal=False, email=email, actor=OLGA, at=hands.clock())
    assert list(refused.value.fields) == [field]


def test_a_mesh_and_an_edge_that_is_not_set_up_have_no_property(hands: Hands) -> None:
    factory.shop()
    make_target(mesh_spec())
    make_target(edge_spec())
    for slug in ("mesh", "edge"):
        with pytest.raises(BadTarget):
            attaching.ask(slug=slug, hostname=HOST, removal=False, email="o@s.test", actor=OLGA, at=hands.clock())


def configure(standin: StandIn, **settings: Any) -> None:
    standin.stop()
    file = standin.directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    standin.start()


@pytest.mark.usefixtures("target")
def test_the_rule_is_taken_out_of_where_it_was_put_whoever_serves_the_host_now(standin: StandIn, hands: Hands) -> None:
    bring(hands)
    second = {"name": "shop-two", "hostnames": [HOST], "contractId": "C-LOCAL", "groupId": 1}
    configure(standin, hostnames=["www.shop.localhost"], other_properties=[second])
    assert bring(hands, removal=True).found["name"] == "local-edge"
    assert [child["name"] for child in live(standin)["children"]] == ["Compress text"]


@pytest.mark.usefixtures("target")
def test_two_hosts_of_a_property_share_the_rule(standin: StandIn, hands: Hands) -> None:
    configure(standin, hostnames=[HOST, "www.shop.localhost"])
    bring(hands)
    bring(hands, "www.shop.localhost")
    bring(hands, removal=True)
    (ours,) = [child for child in live(standin)["children"] if child["name"] == RULE_NAME]
    assert ours["criteria"][0]["options"]["values"] == ["www.shop.localhost"]


@pytest.mark.parametrize(
    ("error", "seconds", "words"),
    [
        ("property_activation_still_pending", 10, "Another activation of the property is under way."),
        ("resource-busy", 10, "Somebody edits or activates this version of the property at this moment."),
        ("tower_precondition", 10, "Akamai cannot activate the property at this moment."),
        ("limit-exceeded", 300, "The contract has no room for another of these."),
    ],
)
def test_what_property_manager_refuses_for_now_is_tried_again(
    error: str, seconds: int, words: str, target: Target, standin: StandIn
) -> None:
    hands = Hands(datetime.now(UTC))
    change = ask(hands)
    standin.faults(rules=[{"method": "POST", "path": ".*/search/find-by-value", "error": error}])
    attaching_steps.run(change_id=change.pk, clock=hands.clock)
    change.refresh_from_db()
    assert (change.state, change.attempts) == ("asked", 1)
    assert change.error.startswith(f"{words} Akamai: ")
    assert change.retry_at == hands.clock() + timedelta(seconds=seconds)
    hands.push(seconds=seconds)
    assert work(change, hands).state == "planned"


def test_each_property_is_changed_under_its_own_contract_and_keeps_its_own_hosts(
    tmp_path: Path, test_authority: Authority, test_origin: OriginServer, hands: Hands
) -> None:
    second = {"name": "shop-two", "hostnames": [SECOND], "contractId": "C-TWO", "groupId": 2}
    account = {"contract_ids": ["C-LOCAL", "C-TWO"], "other_properties": [second]}
    standin = make_local_edge(tmp_path, test_authority, test_origin, **account)
    standin.start()
    factory.shop()
    assert moving.set_up(target=make_target(edge_spec(standin.control)), at=datetime.now(UTC))
    for host in (HOST, SECOND):
        bring(hands, host)
    found = PropertyChange.objects.order_by("pk").values_list("found__name", "found__contract_id", "found__group_id")
    assert list(found) == [("local-edge", "ctr_C-LOCAL", "grp_1"), ("shop-two", "ctr_C-TWO", "grp_2")]
    (target,) = Target.objects.all()
    wanted = {1: (HOST,), 2: (SECOND,)}
    assert {number: hosts_of(rules_of(standin, number), "[sallyport:edge]") for number in wanted} == wanted
    assert property_watching.read(target) == {}
    edges.edge_stream(datetime.now(UTC))
    named = {one: attached(target, (HOST,), one).stream_id for one in ("prp_1", "prp_2")}
    assert named == {"prp_1": 7, "prp_2": None}, "a stream serves one property"
    standin.stop()


def rules_of(standin: StandIn, number: int) -> dict[str, Any]:
    found: dict[str, Any] = standin.call("GET", f"/papi/v1/properties/prp_{number}/versions/2/rules").json()["rules"]
    return found
