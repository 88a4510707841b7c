"""The Akamai driver against a really running stand-in of the EdgeWorkers and EdgeKV APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.akamai.api import AkamaiApi, Credentials
from apps.rollout.drivers.akamai.code import Gate
from apps.rollout.drivers.akamai.driver import AkamaiConfig, AkamaiDriver
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.base import Desired, Expectation, Observed, Step, VendorError, door_answer
from tests.localedge.standin import CREDENTIAL, StandIn, eventually

CONFIG = AkamaiConfig(namespace="sallyport", edgeworker_name="sallyport-edge", group_id=1, resource_tier_id=200)
ITEM = "services/payments"


def driver_for(
    standin: StandIn, config: AkamaiConfig = CONFIG, gate: Gate | None = None, **changed: str
) -> AkamaiDriver:
    api = AkamaiApi(standin.control, Credentials(**{**CREDENTIAL, **changed}))
    return AkamaiDriver(api, config, EdgeCaller(f"http://127.0.0.1:{standin.ports['data']}"), gate=gate)


@pytest.fixture
def driver(standin: StandIn) -> Iterator[AkamaiDriver]:
    facts = driver_for(standin).setup()
    yield driver_for(standin, replace(CONFIG, edgeworker_id=int(str(facts["edgeworker_id"]))))


def item(text: str = '{"v":1}', path: str = ITEM) -> Artifact:
    return Artifact.of(path, "application/json", text.encode())


def bundle(version: str, answer: int = 403, main: str = "") -> tuple[Artifact, ...]:
    script = main or f"export function onClientRequest(request) {{ request.respondWith({answer}, {{}}, ''); }}"
    manifest = json.dumps({"edgeworker-version": version, "bundle-version": 1})
    return (
        Artifact.of("bundle.json", "application/json", manifest.encode()),
        Artifact.of("main.js", "text/javascript", script.encode()),
    )


def bring(driver: AkamaiDriver, desired: Desired, observed: Observed | None = None) -> Step:
    """Apply until it is done, as the console does; fails on an error."""
    plan = driver.plan(desired, observed or Observed())

    def done() -> Step | None:
        step = driver.apply(plan)
        assert step.error == ""
        return step if step.done else None

    found: Step = eventually(done)
    return found


def test_setting_up_twice_finds_what_the_first_time_made(standin: StandIn) -> None:
    first, second = driver_for(standin).setup(), driver_for(standin).setup()
    assert first == second
    ids = standin.call("GET", "/edgeworkers/v1/ids?groupId=1").json()["edgeWorkerIds"]
    assert [row["name"] for row in ids] == ["sallyport-edge"]
    tokens = standin.call("GET", "/edgekv/v1/tokens").json()["tokens"]
    assert len(tokens) == 1


def test_an_item_goes_to_both_stores(driver: AkamaiDriver, standin: StandIn) -> None:
    step = bring(driver, Desired(1, "d", puts=(item(),)))
    assert step.applied == {ITEM: item().sha256}
    assert [standin.item("GET", "payments", network=name).text for name in ("staging", "production")] == ['{"v":1}'] * 2


def test_code_is_live_on_production_after_staging(driver: AkamaiDriver, standin: StandIn) -> None:
    step = bring(driver, Desired(1, "d", code=bundle("one", 418)))
    assert set(step.applied) == {"bundle.json", "main.js"}
    assert standin.get().status_code == 418
    assert standin.get(port="data_staging").status_code == 418
    assert driver.observe(()).code_version == "one"


def test_the_same_code_again_uploads_and_activates_nothing(driver: AkamaiDriver, standin: StandIn) -> None:
    desired = Desired(1, "d", code=bundle("one"))
    bring(driver, desired)
    before = activations(standin)
    assert bring(driver, desired).events == ()
    assert activations(standin) == before


def activations(standin: StandIn) -> list[object]:
    ew_id = standin.call("GET", "/edgeworkers/v1/ids?groupId=1").json()["edgeWorkerIds"][0]["edgeWorkerId"]
    found: list[object] = standin.call("GET", f"/edgeworkers/v1/ids/{ew_id}/activations").json()["activations"]
    return found


def test_what_is_held_already_is_not_planned(driver: AkamaiDriver) -> None:
    observed = Observed(artifacts={ITEM: item().sha256}, code_version="one")
    plan = driver.plan(Desired(1, "d", puts=(item(),), code=bundle("one")), observed)
    assert (plan.puts, plan.code, plan.deletes) == ((), (), ())


def test_a_removed_item_goes_from_both_stores(driver: AkamaiDriver, standin: StandIn) -> None:
    bring(driver, Desired(1, "d", puts=(item(),)))
    step = bring(driver, Desired(2, "e", deletes=(ITEM, "services/never-there")))
    assert step.applied == {ITEM: "", "services/never-there": ""}
    assert standin.item("GET", "payments").status_code == 404
    assert standin.item("GET", "payments", network="staging").status_code == 404


def test_reading_back_sees_what_is_there(driver: AkamaiDriver, standin: StandIn) -> None:
    bring(driver, Desired(1, "d", puts=(item(), item(path="services/cart"))))
    standin.item("PUT", "cart", '{"v":2}')
    found = driver.observe((item(), item(path="services/cart"), item(path="services/none")))
    assert found.artifacts[ITEM] == item().sha256
    assert found.artifacts["services/cart"] not in ("", item().sha256)
    assert found.artifacts["services/none"] == ""
    assert sorted(driver.listed_items()) == ["services/cart", ITEM]


def test_json_written_otherwise_is_the_same(driver: AkamaiDriver, standin: StandIn) -> None:
    bring(driver, Desired(1, "d", puts=(item('{"a":1,"b":[2]}'),)))
    standin.item("PUT", "payments", '{ "b": [2], "a": 1 }')
    assert driver.observe((item('{"a":1,"b":[2]}'),)).artifacts[ITEM] == item('{"a":1,"b":[2]}').sha256


def test_an_answer_lost_on_the_way_back_is_made_good(driver: AkamaiDriver, standin: StandIn) -> None:
    """The vendor did it, and we were told it failed: the next attempt finds it done."""
    standin.faults(
        rules=[
            {"method": "POST", "path": ".*/versions", "status": 500, "times": 1, "after": True},
            {"method": "POST", "path": ".*/activations", "status": 500, "times": 1, "after": True},
            {"method": "PUT", "path": ".*/items/.*", "status": 500, "times": 1, "after": True},
        ]
    )
    plan = driver.plan(Desired(1, "d", puts=(item(),), code=bundle("one")), Observed())
    errors: list[str] = []

    def done() -> bool:
        step = driver.apply(plan)
        errors.extend([step.error] if step.error else [])
        return step.done

    eventually(done)
    assert len(errors) == 3
    assert all("500" in error and "An injected fault" in error for error in errors)
    assert sorted(str(row["network"]) for row in activations(standin)) == ["PRODUCTION", "STAGING"]  # type: ignore[index]


def test_a_failed_activation_is_told_and_asked_for_again_once_it_was_noted(
    driver: AkamaiDriver, standin: StandIn
) -> None:
    standin.faults(activation_results=["ERROR"])
    plan = driver.plan(Desired(1, "d", code=bundle("one")), Observed())
    failed: Step = eventually(lambda: step if (step := driver.apply(plan)).error else None)
    assert failed.trouble == "activation_error"
    assert failed.error == "Activation 1 on STAGING: ended as ERROR"
    assert driver.apply(plan).error == failed.error, "it is not asked for again by itself"
    ew_id = standin.call("GET", "/edgeworkers/v1/ids?groupId=1").json()["edgeWorkerIds"][0]["edgeWorkerId"]
    patient = driver_for(standin, replace(CONFIG, edgeworker_id=ew_id), Gate(noted=frozenset({1})))
    bring(patient, Desired(1, "d", code=bundle("one")))
    assert patient.observe(()).code_version == "one"


def test_a_bundle_the_vendor_finds_invalid_is_not_uploaded(driver: AkamaiDriver) -> None:
    code = (bundle("one")[0],)
    step = driver.apply(driver.plan(Desired(1, "d", code=code), Observed()))
    assert not step.done
    assert "MISSING_MANDATORY_FILES" in step.error or "main.js" in step.error


def test_throttling_is_passed_on(driver: AkamaiDriver, standin: StandIn) -> None:
    standin.faults(rules=[{"method": "PUT", "path": ".*/items/.*", "status": 429, "times": 99}])
    step = driver.apply(driver.plan(Desired(1, "d", puts=(item(),)), Observed()))
    assert (step.done, step.applied) == (False, {})
    assert "429" in step.error
    assert "EKV_9100" in step.error


def test_one_failing_item_does_not_keep_the_others_back(driver: AkamaiDriver, standin: StandIn) -> None:
    standin.faults(rules=[{"method": "PUT", "path": ".*/items/cart", "status": 500, "times": 99}])
    items = (item(), item(path="services/cart"), item(path="services/ads"))
    step = driver.apply(driver.plan(Desired(1, "d", puts=items), Observed()))
    assert sorted(step.applied) == ["services/ads", ITEM]
    assert "cart" in step.error
    assert not step.done


def test_wrong_credentials_are_refused_in_the_vendors_words(standin: StandIn) -> None:
    with pytest.raises(VendorError) as refused:
        driver_for(standin, client_secret="another=").setup()
    assert refused.value.status == 401
    assert "signature" in refused.value.text.lower()


def test_silence_is_an_error_like_any_other(standin: StandIn) -> None:
    standin.kill()
    with pytest.raises(VendorError, match="no answer"):
        driver_for(standin).setup()


def test_a_probe_hears_the_door(driver: AkamaiDriver, standin: StandIn) -> None:
    main = (
        "export function onClientRequest(request) {"
        " request.respondWith(403, {'X-Sallyport-Edge': ['deny;no_grant;']}, ''); }"
    )
    bring(driver, Desired(1, "d", code=bundle("one", main=main)))
    wanted = Expectation("7", "api.shop.localhost", "POST", "/payments/refunds", "token")
    (proof,) = driver.probe([wanted])
    assert proof.id == "7"
    assert (proof.doors["edge"].verdict, proof.doors["edge"].reason) == ("deny", "no_grant")
    assert "mesh" not in proof.doors


def test_a_probe_that_reaches_nobody_says_so(driver: AkamaiDriver, standin: StandIn) -> None:
    standin.kill()
    wanted = [Expectation(str(one), "api.shop.localhost", "GET", "/", "token") for one in range(2)]
    proofs = driver.probe(wanted)
    assert [proof.doors for proof in proofs] == [{}, {}]
    assert "did not answer" in proofs[0].detail


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        ("allow;granted;g_1,g_2", "allow"),
        ("deny;no_grant;", "deny"),
        ("allow;granted;g_1, deny;guardrail;", "deny"),
        ("allow;granted;, allow;granted;g_1", "allow"),
        ("", ""),
        ("allow", ""),
        ("maybe;granted;", ""),
        ("allow;granted;g_1, nonsense", ""),
        ("allow;granted;g;1", ""),
    ],
)
def test_what_doors_write_is_read_strictly(header: str, verdict: str) -> None:
    found = door_answer(header)
    assert (found.verdict if found else "") == verdict
