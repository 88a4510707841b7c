"""Each error Akamai is known to answer: had from the stand-in, recognised by the driver, and what follows from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from apps.rollout.drivers.akamai import calls
from apps.rollout.drivers.akamai.api import AkamaiApi, Connection, Credentials
from apps.rollout.drivers.akamai.code import Gate
from apps.rollout.drivers.akamai.driver import AkamaiDriver
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.akamai.errors import CATALOGUE, explain
from apps.rollout.drivers.akamai.property import PropertyDriver
from apps.rollout.drivers.base import Desired, Observed, Step, VendorError
from tests.arch.source import ROOT
from tests.contract.judging import SPECIFICATIONS, read
from tests.contract.test_akamai_driver import CONFIG, bundle, item
from tests.localedge.pki import EDGE_ID, LOOPBACK, Authority, uri
from tests.localedge.standin import CREDENTIAL, StandIn, eventually
from tests.rollout.akamai.answers import answering

CALLS = {"item": ("PUT", ".*/items/.*"), "upload": ("POST", ".*/versions"), "activate": ("POST", ".*/activations")}

# error, where it is met, what the driver does, seconds until it looks again after the first and the fourth failure
ANSWERED = [
    ("EW1031", "activate", "retries", 30, 120),
    ("EW2002", "activate", "retries", 5, 40),
    ("EW2301", "upload", "asks a person", 300, 300),
    ("EW3002", "upload", "asks a person", 300, 300),
    ("EW3101", "activate", "waits", 60, 60),
    ("EW4303", "upload", "retries", 5, 40),
    ("EW4807", "upload", "asks a person", 300, 300),
    ("EW0011", "upload", "asks a person", 300, 300),
    ("EW0012", "upload", "asks a person", 300, 300),
    ("EW0013", "upload", "asks a person", 300, 300),
    ("EW0014", "activate", "asks a person", 300, 300),
    ("EW0015", "activate", "asks a person", 300, 300),
    ("EKV_0000", "item", "retries", 1, 8),
    ("EKV_1000", "item", "asks a person", 300, 300),
    ("EKV_1002", "item", "asks a person", 300, 300),
    ("EKV_1005", "item", "asks a person", 300, 300),
    ("EKV_2000", "item", "asks a person", 300, 300),
    ("EKV_2001", "item", "asks a person", 300, 300),
    ("EKV_3000", "item", "retries", 5, 40),
    ("EKV_9000", "item", "asks a person", 300, 300),
    ("EKV_9100", "item", "waits", 1, 8),
    ("clock_skew", "item", "asks a person", 300, 300),
    ("credential_expired", "item", "asks a person", 300, 300),
    ("credential_refused", "item", "asks a person", 300, 300),
    ("not_permitted", "item", "asks a person", 300, 300),
    ("not_json", "upload", "retries", 1, 8),
    ("cut", "upload", "retries", 2, 16),
]
# without a code of Akamai's: the status decides
NAMESPACES = "/edgekv/v1/networks/staging/namespaces"
BARE = [
    (404, "", "not_found", 300),
    (418, "{}", "not_json", 1),
    (422, '{"detail":"no"}', "refused", 300),
    (429, "", "throttled", 60),
    (502, "<html>", "unavailable", 5),
    (503, '{"title":"busy"}', "unavailable", 5),
    (301, "", "not_json", 1),
    (0, "no answer", "unreachable", 1),
]
ENDINGS = [
    ("ABORTED", "activation_aborted", "retries"),
    ("ERROR", "activation_error", "retries"),
    ("EXPIRED", "activation_expired", "retries"),
    ("CANCELLED", "activation_cancelled", "stops until told"),
    ("DELETED_BY_AKAMAI", "activation_deleted", "stops until told"),
]
PROPERTY = {
    "property_activation_still_pending": 422,
    "resource-busy": 409,
    "tower_precondition": 412,
    "limit-exceeded": 429,
}
ELSEWHERE = {
    "namespace_missing": "test_placing.py",
    "namespace_shared": "test_placing.py",
    "staging_refused": "test_staging_trial.py",
    "code_taken_back": "test_taking_back.py",
    "code_not_good": "test_taking_back.py",
}
"""What is no answer of Akamai's but found here, and the test that meets it."""
VALIDATIONS = [code for code in CATALOGUE if code.isupper() and not code.startswith(("EW", "EKV"))]


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    directory = tmp_path_factory.mktemp("errors")
    authority = Authority(directory)
    cert, key = authority.issue("edge", [uri(EDGE_ID), LOOPBACK])
    origin = {"origin": "https://127.0.0.1:9", "origin_ca": str(authority.ca)}
    made = StandIn(directory / "standin", {**origin, "origin_cert": str(cert), "origin_key": str(key)})
    made.start()
    yield made
    made.stop_if_running()


@pytest.fixture
def driver(standin: StandIn, request: pytest.FixtureRequest) -> AkamaiDriver:
    """Every test has an EdgeWorker of its own."""
    standin.faults()
    return driver_on(standin, new_worker(standin, request.node.name))


def new_worker(standin: StandIn, name: str) -> int:
    config = replace(CONFIG, edgeworker_name=name)
    facts = AkamaiDriver(AkamaiApi(standin.control, Credentials(**CREDENTIAL)), config, EdgeCaller()).setup()
    return int(str(facts["edgeworker_id"]))


def driver_on(standin: StandIn, worker: int, gate: Gate | None = None, read_seconds: float = 60) -> AkamaiDriver:
    api = AkamaiApi(standin.control, Credentials(**CREDENTIAL), Connection(read_seconds=read_seconds))
    return AkamaiDriver(api, replace(CONFIG, edgeworker_id=worker), EdgeCaller(), gate=gate)


def failed(driver: AkamaiDriver) -> Step:
    """The first step that is an error."""
    plan = driver.plan(Desired(1, "d", puts=(item(),), code=bundle("one")), Observed())
    found: Step = eventually(lambda: step if (step := driver.apply(plan)).error else None)
    return found


@pytest.mark.parametrize(("error", "where", "does", "first", "fourth"), ANSWERED, ids=[row[0] for row in ANSWERED])
def test_an_answer_is_recognised_and_acted_on(
    error: str, where: str, does: str, first: int, fourth: int, driver: AkamaiDriver, standin: StandIn
) -> None:
    method, path = CALLS[where]
    standin.faults(rules=[{"method": method, "path": path, "error": error}])
    step = failed(driver)
    trouble = CATALOGUE[step.trouble]
    assert (step.trouble, trouble.does, step.done) == (error, does, False)
    assert (trouble.pause(1, step.retry_after), trouble.pause(4, step.retry_after)) == (first, fourth)


@pytest.mark.parametrize(("error", "seconds"), [("EW1021", 5.0), ("EW1032", 5.0)])
def test_what_is_done_already_is_no_error(error: str, seconds: float, driver: AkamaiDriver, standin: StandIn) -> None:
    standin.faults(rules=[{"method": "POST", "path": ".*/activations", "error": error}])
    step = driver.apply(driver.plan(Desired(1, "d", code=bundle("one")), Observed()))
    assert (step.error, step.waiting, step.retry_after) == ("", CATALOGUE[error].what, seconds)


@pytest.mark.parametrize("kind", VALIDATIONS)
def test_a_bundle_found_invalid_is_not_uploaded(kind: str, driver: AkamaiDriver, standin: StandIn) -> None:
    standin.faults(validation_errors=[kind])
    step = failed(driver)
    assert (step.trouble, CATALOGUE[kind].does) == (kind, "asks a person")
    assert driver.code.versions() == []
    assert step.applied == {"services/payments": item().sha256}, "items go all the same"


def test_an_unknown_finding_is_one_about_the_bundle_too(driver: AkamaiDriver, standin: StandIn) -> None:
    standin.faults(validation_errors=["SOMETHING_NEW"])
    step = failed(driver)
    assert step.trouble == "invalid_bundle"
    assert "SOMETHING_NEW" in step.error


@pytest.mark.parametrize(("status", "code", "does"), ENDINGS)
def test_an_activation_may_end_badly(status: str, code: str, does: str, driver: AkamaiDriver, standin: StandIn) -> None:
    standin.faults(activation_results=[status])
    step = failed(driver)
    assert (step.trouble, CATALOGUE[code].does) == (code, does)
    assert [(move.network, move.status) for move in step.moves] == [("STAGING", status)]
    assert driver.code.live_version("PRODUCTION") == "", "production was not touched"


def test_three_bad_ends_in_a_row_are_enough_until_a_person_forgives(standin: StandIn) -> None:
    standin.faults(activation_results=["ERROR", "ABORTED", "EXPIRED"])
    worker, noted, codes = new_worker(standin, "three"), frozenset[int](), []
    for _ in range(3):
        step = failed(driver_on(standin, worker, Gate(noted=noted)))
        codes.append(step.trouble)
        noted |= {move.id for move in step.moves if move.status != "COMPLETE"}
    assert codes == ["activation_error", "activation_aborted", "activation_failed"]
    assert failed(driver_on(standin, worker, Gate(noted=noted))).trouble == "activation_failed"
    forgiving = driver_on(standin, worker, Gate(noted=noted, forgiven=noted))
    plan = forgiving.plan(Desired(1, "d", code=bundle("one")), Observed())
    assert eventually(lambda: forgiving.apply(plan).done)


def test_silence_ends_in_a_timeout_and_what_was_done_meanwhile_is_found(standin: StandIn) -> None:
    standin.faults(rules=[{"method": "POST", "path": ".*/versions", "status": 500, "delay": 0.8, "after": True}])
    driver = driver_on(standin, new_worker(standin, "silence"), read_seconds=0.4)
    step = failed(driver)
    assert (step.trouble, CATALOGUE["timeout"].pause(1)) == ("timeout", 5)
    eventually(lambda: [row["version"] for row in driver.code.versions()] == ["one"])
    plan = driver.plan(Desired(1, "d", code=bundle("one")), Observed())
    assert "uploaded" not in " ".join(driver.apply(plan).events)


def test_nobody_there(standin: StandIn) -> None:
    api = AkamaiApi("http://127.0.0.1:1", Credentials(**CREDENTIAL))
    driver = AkamaiDriver(api, replace(CONFIG, edgeworker_id=1), EdgeCaller())
    step = driver.apply(driver.plan(Desired(1, "d", puts=(item(),)), Observed()))
    assert step.trouble == "unreachable"


@pytest.mark.parametrize(("after", "seconds"), [("90", 90.0), ("2", 5.0)])
def test_retry_after_is_obeyed_when_it_asks_for_more(
    after: str, seconds: float, driver: AkamaiDriver, standin: StandIn
) -> None:
    rule = {"method": "PUT", "path": ".*/items/.*", "error": "unavailable", "headers": {"Retry-After": after}}
    standin.faults(rules=[rule])
    step = failed(driver)
    assert (step.trouble, CATALOGUE["unavailable"].pause(1, step.retry_after)) == ("unavailable", seconds)


def test_an_answer_of_another_shape_is_told_and_not_a_dead_worker() -> None:
    odd = {"/edgekv/v1/initialize": (200, {"accountStatus": "INITIALIZED"}), NAMESPACES: (200, ["sallyport"])}
    with answering(odd) as akamai:
        driver = AkamaiDriver(AkamaiApi(akamai.address, Credentials(**CREDENTIAL)), CONFIG, EdgeCaller())
        with pytest.raises(VendorError) as refused:
            driver.setup()
    trouble = explain(refused.value)
    assert (trouble.code, trouble.does, trouble.pause(1)) == ("odd_answer", "retries", 60)
    assert "AttributeError" in str(refused.value)


def test_another_bundle_under_our_name_is_not_taken_for_ours(driver: AkamaiDriver, standin: StandIn) -> None:
    plan = driver.plan(Desired(1, "d", code=bundle("one")), Observed())
    eventually(lambda: driver.apply(plan).done)
    other = driver.plan(Desired(2, "e", code=bundle("one", 418)), Observed())
    assert driver.apply(other).trouble == "version_taken"


@pytest.mark.parametrize(("status", "text", "code", "first"), BARE)
def test_what_has_no_code_is_told_by_its_status(status: int, text: str, code: str, first: int) -> None:
    trouble = explain(VendorError("GET /x", status, text))
    assert (trouble.code, trouble.pause(1)) == (code, first)


@pytest.mark.parametrize("trouble", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_entry_says_what_happened_what_is_done_and_what_you_can_do(trouble: object) -> None:
    said = trouble.sentence  # type: ignore[attr-defined]  # parametrised with Trouble
    assert said.count(". ") >= 2
    assert "Sallyport" in said


def test_every_entry_is_met_somewhere_in_these_tests() -> None:
    met = {row[0] for row in ANSWERED} | {row[2] for row in BARE} | {row[1] for row in ENDINGS} | set(VALIDATIONS)
    met |= {"EW1021", "EW1032", "invalid_bundle", "activation_failed", "timeout", "version_taken"}
    met |= {"not_ready", "odd_answer", *PROPERTY}
    assert CATALOGUE.keys() - ELSEWHERE.keys() == met
    for code, path in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / "tests/rollout/akamai" / path).read_text(), code


@pytest.mark.parametrize(("error", "status"), PROPERTY.items())
def test_what_property_manager_answers_is_recognised(error: str, status: int, standin: StandIn) -> None:
    """What a change of a property does then is in tests/rollout/akamai/test_attaching.py."""
    standin.faults(rules=[{"method": "POST", "path": ".*/search/find-by-value", "error": error}])
    with pytest.raises(VendorError) as refused:
        PropertyDriver(AkamaiApi(standin.control, Credentials(**CREDENTIAL))).find("api.shop.localhost")
    assert (refused.value.status, explain(refused.value).code) == (status, error)


def test_a_store_that_is_being_made_ready_is_waited_for(standin: StandIn) -> None:
    standin.faults(rules=[{"method": "GET", "path": ".*/initialize", "error": "not_ready"}])
    driver = AkamaiDriver(AkamaiApi(standin.control, Credentials(**CREDENTIAL)), CONFIG, EdgeCaller())
    with pytest.raises(VendorError) as refused:
        driver.setup()
    trouble = explain(refused.value)
    assert (trouble.code, trouble.does, trouble.pause(1, refused.value.retry_after)) == ("not_ready", "retries", 5)
    assert driver.setup()["edgeworker_id"], "the next time it is ready"


FITTING: Mapping[int, set[str]] = {
    400: {"asks a person", "goes on", "retries"},
    401: {"asks a person"},
    403: {"asks a person"},
    429: {"waits", "asks a person"},
}
"""What may follow from a status; whatever Akamai's own code says beside it. Of others anything but "waits"."""


def samples() -> Iterator[tuple[str, int, str]]:
    """Every answer that Akamai publishes as an error of a call of ours, as text; without one, an empty object."""
    for call in calls.CALLS if SPECIFICATIONS.is_dir() else ():
        document = read(call.base)
        for status, answer in document["paths"][call.path][call.method.lower()]["responses"].items():
            if status.isdigit() and int(status) >= 400:
                bodies = list(bodies_of(document, answer)) or [{"title": "No sample is published."}]
                yield from ((call.key, int(status), json.dumps(body)) for body in bodies)


def bodies_of(document: dict[str, Any], answer: dict[str, Any]) -> Iterator[Any]:
    for content in resolved(document, answer).get("content", {}).values():
        yield from (resolved(document, one)["value"] for one in content.get("examples", {}).values())
        if "example" in content:
            yield content["example"]


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


@pytest.mark.skipif(not SPECIFICATIONS.is_dir(), reason="Akamai's descriptions are not here")
def test_every_error_that_is_published_for_a_call_of_ours_is_told_in_fitting_words() -> None:
    found = list(samples())
    assert len(found) > 200
    misfits = []
    for key, status, text in found:
        trouble = explain(VendorError(key, status, text))
        fits = FITTING.get(status, {"retries"} if status >= 500 else {"asks a person", "retries"})
        if trouble.does not in fits or trouble.code == "not_json":
            misfits.append((key, status, trouble.code, text))
    assert misfits == []


@pytest.mark.parametrize("name", ["edgeworkers", "edgekv"])
def test_every_code_that_is_published_is_in_the_catalogue(name: str) -> None:
    published = SPECIFICATIONS / f"{name}.openapi.json"
    if not published.exists():
        pytest.skip("Akamai's descriptions are not here")
    codes = set(re.findall(r"\b(?:EW|EKV_)\d{4}\b", published.read_text()))
    assert len(codes) > 4
    assert codes - CATALOGUE.keys() == set()


def test_the_reference_shows_the_catalogue() -> None:
    page = (ROOT / "docs/reference/akamai-errors.md").read_text()
    for one in CATALOGUE.values():
        assert f"| `{one.code}` | {one.what} | {one.does} | {one.now} | {one.you} |" in page
    assert page.count("\n| `") == len(CATALOGUE)
