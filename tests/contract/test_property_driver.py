"""The driver of properties against a really running stand-in; every call is held against Akamai's description."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from apps.rollout.drivers.akamai.api import AkamaiApi, Credentials
from apps.rollout.drivers.akamai.capabilities import CHECKS
from apps.rollout.drivers.akamai.preflight import Wanted, examine
from apps.rollout.drivers.akamai.property import (
    ChangedMeanwhile,
    NoProperty,
    Property,
    PropertyDriver,
    RuleTree,
    Unacknowledged,
)
from apps.rollout.drivers.akamai.rules import Attached, difference, with_our_rule, without_our_rule
from apps.rollout.drivers.base import VendorError
from tests.contract.test_akamai_driver import driver_for
from tests.contract.test_property_openapi import PAPI, RULES_TYPE, SPECIFICATIONS, Witness
from tests.localedge.standin import CREDENTIAL, StandIn, eventually

HOST = "api.shop.localhost"
EMAILS = ["ops@shop.test"]


@pytest.fixture
def driver(standin: StandIn) -> Iterator[PropertyDriver]:
    api = AkamaiApi(standin.control, Credentials(**CREDENTIAL))
    if SPECIFICATIONS.is_dir():
        Witness(standin.control).listen(api._session)
    yield PropertyDriver(api)
    api.close()


@pytest.fixture
def wish(standin: StandIn) -> Attached:
    return Attached("edge", standin.new_id(), (HOST,))


def prepared(driver: PropertyDriver) -> tuple[Property, RuleTree, RuleTree]:
    """The property, its active tree, and the tree of a new version made from it."""
    found = driver.find(HOST)
    active = driver.rules(found, found.base)
    return found, active, driver.rules(found, driver.new_version(found, active))


def live(driver: PropertyDriver, of: Property, activation: str) -> bool:
    return driver.activation(of, activation).status == "ACTIVE"


def test_a_property_is_found_by_a_hostname(driver: PropertyDriver) -> None:
    found = driver.find(HOST)
    assert found == Property("prp_1", "local-edge", "ctr_C-LOCAL", "grp_1", 1, 1, 1)
    assert driver.hostnames(found, 1) == (HOST,)
    with pytest.raises(NoProperty):
        driver.find("elsewhere.test")


def test_our_rule_goes_in_and_out_and_nothing_else_changes(driver: PropertyDriver, wish: Attached) -> None:
    found, active, fresh = prepared(driver)
    assert (fresh.version, fresh.rules) == (2, active.rules)
    tree = with_our_rule(fresh.rules, wish)
    tried = driver.write(found, fresh, tree, "try", dry_run=True)
    assert tried.errors == ()
    assert driver.rules(found, 2) == fresh
    kept = driver.write(found, fresh, tree, "keep")
    assert difference(kept.rules, tree) == ""
    assert driver.rules(found, 2).etag == kept.etag != fresh.etag
    rest = driver.write(found, kept, without_our_rule(kept.rules, wish.mark), "out")
    assert rest.rules == active.rules


def test_an_edgeworker_that_is_not_there_is_an_error_before_anything_is_written(driver: PropertyDriver) -> None:
    found, _, fresh = prepared(driver)
    tried = driver.write(found, fresh, with_our_rule(fresh.rules, Attached("edge", 987, (HOST,))), "", dry_run=True)
    assert [error.text for error in tried.errors] == ["There is no EdgeWorker '987' in this account."]
    assert tried.errors[0].place == "#/rules/children/1/behaviors/0"


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    driver: PropertyDriver, wish: Attached, standin: StandIn
) -> None:
    found, _, fresh = prepared(driver)
    theirs = {**fresh.rules, "children": []}
    headers = {"If-Match": f'"{fresh.etag}"', "Content-Type": RULES_TYPE, "PAPI-Use-Prefixes": "true"}
    path = f"{PAPI}/properties/prp_1/versions/2/rules"
    assert standin.call("PUT", path, data=json.dumps({"rules": theirs}), headers=headers).status_code == 200
    with pytest.raises(ChangedMeanwhile) as refused:
        driver.write(found, fresh, with_our_rule(fresh.rules, wish), "")
    assert refused.value.status == 412
    assert driver.rules(found, 2).rules == theirs


def test_an_active_version_is_never_written(driver: PropertyDriver, wish: Attached) -> None:
    found, active, _ = prepared(driver)
    with pytest.raises(VendorError, match="can no longer be edited"):
        driver.write(found, active, with_our_rule(active.rules, wish), "")


def test_warnings_are_named_and_then_it_travels_to_staging_and_production(
    driver: PropertyDriver, wish: Attached
) -> None:
    found, _, fresh = prepared(driver)
    kept = driver.write(found, fresh, with_our_rule(fresh.rules, wish), "")
    with pytest.raises(Unacknowledged) as refused:
        driver.activate(found, kept.version, "STAGING", emails=EMAILS, note="n")
    assert refused.value.warnings == kept.warnings
    assert [one.text for one in kept.warnings] == ["The origin's certificate is not verified."]
    named = [one.id for one in refused.value.warnings]
    for network in ("STAGING", "PRODUCTION"):
        made = driver.activate(found, kept.version, network, emails=EMAILS, note="n", acknowledged=named)
        eventually(lambda made=made: live(driver, found, made))
        assert driver.find(HOST).active_on(network) == 2
    assert [(one.network, one.status) for one in driver.activations(found)] == [
        ("PRODUCTION", "ACTIVE"),
        ("STAGING", "ACTIVE"),
    ]


def test_a_failed_activation_says_why(driver: PropertyDriver, standin: StandIn) -> None:
    found, _, fresh = prepared(driver)
    standin.faults(property_results=["FAILED"])
    named = [one.id for one in fresh.warnings]
    made = driver.activate(found, fresh.version, "STAGING", emails=EMAILS, note="n", acknowledged=named)
    eventually(lambda: driver.activation(found, made).status == "FAILED")
    assert driver.activation(found, made).failure == "An injected fault"
    assert driver.find(HOST).staging == 1


@pytest.mark.skipif(not SPECIFICATIONS.is_dir(), reason="Akamai's API descriptions do not lie beside this repository")
def test_a_preflight_asks_only_what_is_described(standin: StandIn) -> None:
    driver_for(standin).setup()  # the document has no empty lists
    api = AkamaiApi(standin.control, Credentials(**CREDENTIAL))
    witness = Witness(standin.control)
    witness.listen(api._session)
    wanted = Wanted(group_id=1, resource_tier_id=200, namespace="sallyport", token_name="sallyport-1")
    for _, found in examine(api, wanted, checks=CHECKS):
        assert found
    api.close()
    assert len({path for _, path, _ in witness.heard}) == 15
