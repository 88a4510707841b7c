"""Every call of the Akamai driver, request and answer, against a description: Akamai's own, or where it publishes none,
one written from what its clients send and read. None is left out."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import requests
from cryptography import x509

from apps.compiler.address_lists import Item, plan
from apps.compiler.addresses import read_block
from apps.rollout.drivers.akamai import looking
from apps.rollout.drivers.akamai.api import EDGEWORKERS, AkamaiApi, Credentials
from apps.rollout.drivers.akamai.calls import CALLS, Call
from apps.rollout.drivers.akamai.capabilities import CHECKS
from apps.rollout.drivers.akamai.code import BEGUN, UNDER_WAY
from apps.rollout.drivers.akamai.driver import AkamaiConfig, AkamaiDriver, store_of
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.akamai.keystore import AWAITING, DEPLOYED, CertificateWish, KeystoreDriver
from apps.rollout.drivers.akamai.lists import (
    CLIENT,
    NETWORK,
    NETWORKS,
    PRODUCTS,
    ContractFinder,
    ListMoved,
    Lists,
    Owner,
    choose,
    find_or_make,
    lists_of,
)
from apps.rollout.drivers.akamai.preflight import Wanted as PreflightWish
from apps.rollout.drivers.akamai.preflight import examine
from apps.rollout.drivers.akamai.property import ChangedMeanwhile, PropertyDriver, Unacknowledged
from apps.rollout.drivers.akamai.rules import Attached, with_our_rule
from apps.rollout.drivers.akamai.stream import ACTIVATED, DEACTIVATED, Stream, StreamDriver, StreamWish
from apps.rollout.drivers.base import Desired, Observed, Plan
from tests.arch.source import ROOT
from tests.contract.judging import DERIVED, SPECIFICATIONS, Witness, is_described, table
from tests.contract.test_akamai_driver import CONFIG, bring, bundle, item
from tests.deliveries import receiving
from tests.localedge.pki import EDGE_ID, LOOPBACK, Authority, uri
from tests.localedge.standin import CREDENTIAL, StandIn, eventually

pytestmark = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(), reason="Akamai's API descriptions do not lie beside this repository"
)
PAGE = ROOT / "docs/reference/akamai-calls.md"
DRIVERS = ROOT / "apps/rollout/drivers/akamai"
SENDERS = {name for name in vars(AkamaiApi) if not name.startswith("_")} - {"close"}


class Road:
    """The driver taken along every road it has; ``lines`` are the places in its source that called Akamai."""

    def __init__(self, standin: StandIn, authority: Authority) -> None:
        self.standin, self.witness, self.authority = standin, Witness(standin.control), authority
        self.lines: set[tuple[str, int]] = set()

    def api(self) -> AkamaiApi:
        return AkamaiApi(self.standin.control, Credentials(**CREDENTIAL), on_answer=self.hear)

    def driver(self, config: AkamaiConfig = CONFIG) -> AkamaiDriver:
        return AkamaiDriver(self.api(), config, EdgeCaller())

    def hear(self, answer: requests.Response) -> None:
        self.witness(answer)
        for frame in traceback.extract_stack():
            if Path(frame.filename).parent == DRIVERS:
                self.lines.add((Path(frame.filename).name, frame.lineno or 0))

    def take(self) -> None:
        with self.witness.during("looking first"):
            self.look()
        with self.witness.during("setting up"):
            facts = self.driver().setup()
            assert self.driver().setup() == facts
            assert self.driver().limits()["activation-per-day-limit"] == 10_000
            worker = int(str(facts["edgeworker_id"]))
            assert self.driver(replace(CONFIG, chosen_id=worker)).setup() == facts
            assert self.driver().ensure_token("another", worker) is not None
            self.driver().delete_token("another")
        driver = self.driver(replace(CONFIG, edgeworker_id=int(str(facts["edgeworker_id"]))))
        with self.witness.during("items"):
            bring(driver, Desired(1, "a", puts=(item(), item(path="services/cart"))))
            driver.observe((item(), item(path="services/none")))
            driver.listed_items()
            assert driver.held_text("services/payments")
            bring(driver, Desired(2, "b", deletes=("services/cart", "services/none")))
        with self.witness.during("code"):
            for version in ("one", "two"):
                bring(driver, Desired(3, version, code=bundle(version)))
        with self.witness.during("stopping"):
            self.stop(driver)
        with self.witness.during("tidying"):
            for version in driver.code.spare_versions(keep=1):
                driver.code.delete_version(version)
        with self.witness.during("lists"):
            self.take_lists()
        with self.witness.during("refusals"):
            self.be_refused(driver)
        with self.witness.during("the log"), receiving() as receiver:
            self.log(f"{receiver.address}/here")
        with self.witness.during("the client certificate"):
            self.certify()
        with self.witness.during("the property"):
            self.attach(worker)
        with self.witness.during("leaving"):
            self.leave(driver)
        with self.witness.during("what is allowed"):
            wish = PreflightWish(1, 200, "sallyport", "sallyport-1")
            assert all(found for _, found in examine(self.api(), wish, checks=CHECKS))

    def look(self) -> None:
        """What a person names is looked at before it is taken."""
        number, api = self.standin.new_id(), self.api()
        assert list(looking.list_groups(api)) == [1]
        assert len(looking.list_contracts(api)) == 1
        store_of(api)
        found = looking.find_worker(api, number)
        assert found is not None
        assert (found.running, looking.find_worker(api, 999_999)) == ("", None)
        assert looking.network_without(api, "nowhere") == "STAGING"

    def leave(self, driver: AkamaiDriver) -> None:
        """The code off both networks, its versions and the EdgeWorker deleted; and a stream that was stopped."""
        code = driver.code
        assert code.used_by() == ("local-edge",), "the property was given our rule above"
        eventually(lambda: all(row["status"] not in UNDER_WAY for row in code.activations({})))
        assert not code.unsettled()
        for network in NETWORKS:
            live = code.live_version(network)
            code.take_off(live, network)
            eventually(partial(self.is_off, driver, network))
            code.take_off(live, network)
        for row in code.versions():
            code.delete_version(str(row["version"]))
        assert code.exists()
        code.delete_worker()
        code.delete_worker()
        assert not code.exists()
        streams = StreamDriver(self.api())
        made = streams.find("sallyport-edge")
        assert made is not None
        streams.deactivate(made.id)
        self.settled(streams, made.id, DEACTIVATED)
        streams.delete(made.id)
        assert streams.get(made.id) is None

    def is_off(self, driver: AkamaiDriver, network: str) -> bool:
        return not driver.code.live_version(network)

    def attach(self, worker: int) -> None:
        """A property found, given our rule in a version of its own, and activated with its warnings named."""
        properties, host = PropertyDriver(self.api()), "api.shop.localhost"
        found = properties.find(host)
        assert properties.hostnames(found, found.base) == (host,)
        fresh = properties.rules(found, properties.new_version(found, properties.rules(found, found.base)))
        kept = properties.write(found, fresh, with_our_rule(fresh.rules, Attached("edge", worker, (host,))), "keep")
        with pytest.raises(ChangedMeanwhile):
            properties.write(found, fresh, fresh.rules, "too late")
        with pytest.raises(Unacknowledged) as refused:
            properties.activate(found, kept.version, "STAGING", emails=("ops@shop.test",), note="n")
        named = [warning.id for warning in refused.value.warnings]
        asked = {"emails": ("ops@shop.test",), "note": "n", "acknowledged": named}
        made = properties.activate(found, kept.version, "STAGING", **asked)
        eventually(lambda: properties.activation(found, made).status == "ACTIVE")
        assert [one.network for one in properties.activations(found)] == ["STAGING"]

    def log(self, endpoint: str) -> None:
        """A stream made, found, changed, stopped and started."""
        streams = StreamDriver(self.api())
        wish = StreamWish("sallyport-edge", 1, "C-LOCAL", 1, ("ops@shop.test",), endpoint, "edge", "a-secret")
        assert streams.find(wish.name) is None
        made = streams.create(wish)
        active = self.settled(streams, made.id, ACTIVATED)
        assert active.serves(wish)
        assert streams.find(wish.name) == active
        assert not active.serves(replace(wish, endpoint="https://elsewhere.test"))
        assert streams.replace(made.id, replace(wish, password="another")).version == 2
        self.settled(streams, made.id, ACTIVATED)
        streams.deactivate(made.id)
        self.settled(streams, made.id, DEACTIVATED)
        streams.activate(made.id)
        self.settled(streams, made.id, ACTIVATED)

    def settled(self, streams: StreamDriver, stream_id: int, status: str) -> Stream:
        def there() -> Stream | None:
            found = streams.get(stream_id)
            return found if found is not None and found.status == status else None

        found: Stream = eventually(there)
        return found

    def certify(self) -> None:
        """A client certificate made, signed, rotated, and its first version deleted."""
        keystore = KeystoreDriver(self.api())
        wish = CertificateWish("sallyport-edge", "C-LOCAL", 1, ("ops@shop.test",))
        assert keystore.find(wish.name) is None
        number = keystore.create(wish)
        assert keystore.find(wish.name) == number
        for _ in range(2):
            waiting = keystore.versions(number)[0]
            assert (waiting.status, waiting.expires_at) == (AWAITING, None)
            request = x509.load_pem_x509_csr(waiting.csr.encode())
            signed = self.authority.sign_request(request, [uri(EDGE_ID)])
            keystore.upload(number, waiting.number, certificate=signed, chain=self.authority.ca.read_text())
            eventually(lambda: keystore.versions(number)[0].status == DEPLOYED)
            keystore.rotate(number)
        keystore.delete(number, 1)
        assert [one.number for one in keystore.versions(number)] == [3, 2]

    def take_lists(self) -> None:
        """Both products: made, found again, filled, changed by somebody else meanwhile, activated, read back."""
        api = AkamaiApi(self.standin.control, Credentials(**CREDENTIAL), on_answer=self.hear)
        owner = Owner("edge", "api.shop.localhost")
        assert choose(api, owner).product == CLIENT
        for product in PRODUCTS:
            lists, place = lists_of(product, api), ContractFinder(api).place(1, "")
            held = find_or_make(lists, owner, place)
            assert find_or_make(lists, owner, place) == held
            wanted = [Item(read_block("203.0.113.0/28"), 4_000_000_000, ("g_1",)), Item(read_block("2001:db8::/48"))]
            lists.change(held, owner, plan(held.items, wanted, keeps_ends=lists.keeps_ends))
            now = lists.read(held.id)
            assert now is not None
            assert plan(now.items, wanted, keeps_ends=lists.keeps_ends).is_empty
            if product == NETWORK:
                with pytest.raises(ListMoved):
                    lists.change(held, owner, plan(held.items, wanted))
            for network in NETWORKS:
                assert not lists.standing(held.id, network).is_live(now.version)
                lists.activate(held.id, network, "Sallyport")
                eventually(partial(self.is_live, lists, held.id, network, now.version))
            assert lists.read("1_NOTHING") is None

    def is_live(self, lists: Lists, list_id: str, network: str, version: int) -> bool:
        return lists.standing(list_id, network).is_live(version)

    def stop(self, driver: AkamaiDriver) -> None:
        """An activation is caught before it is in progress; the stand-in is quick, so it is asked until it is."""
        for attempt in range(20):
            driver.apply(driver.plan(Desired(4, "c", code=bundle(f"stop-{attempt}")), Observed()))
            if driver.code.cancel(f"stop-{attempt}"):
                self.stop_too_late(driver)
                return
        raise AssertionError("no activation could be stopped")

    def stop_too_late(self, driver: AkamaiDriver) -> None:
        """What has ended is no longer to be stopped."""
        ended = next(row for row in driver.code.activations({}) if row["status"] not in UNDER_WAY)
        path = f"{EDGEWORKERS}/ids/{ended['edgeWorkerId']}/activations/{ended['activationId']}"
        assert self.api().ask("DELETE", path).status_code == BEGUN

    def be_refused(self, driver: AkamaiDriver) -> None:
        """What the descriptions call errors is described as well."""
        eventually(lambda: not driver.apply(driver.plan(Desired(5, "d", code=bundle("two")), Observed())).waiting)
        for method, path, error in (
            ("POST", ".*/activations", "EW1021"),
            ("POST", ".*/activations", "EW3101"),
            ("POST", ".*/versions", "EW3002"),
            ("POST", ".*/versions", "EW4303"),
            ("PUT", ".*/items/.*", "EKV_9100"),
            ("PUT", ".*/items/.*", "EKV_0000"),
        ):
            self.standin.faults(rules=[{"method": method, "path": path, "error": error}])
            wanted = Desired(6, "e", puts=(item('{"v":2}'),), code=bundle(f"refused-{error}", 404))
            eventually(partial(self.failed, driver, driver.plan(wanted, Observed())))
        self.standin.faults()

    def failed(self, driver: AkamaiDriver, plan: Plan) -> bool:
        """True once the fault was met."""
        driver.apply(plan)
        left = self.standin.http.get(f"{self.standin.control}/__localedge/faults", timeout=5).json()["rules"]
        return all(rule["times"] == 0 for rule in left)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    directory = tmp_path_factory.mktemp("calls")
    authority = Authority(directory)
    cert, key = authority.issue("edge", [uri(EDGE_ID), LOOPBACK])
    origin = {"origin": "https://127.0.0.1:9", "origin_ca": str(authority.ca)}
    delays = {"activation_delay": {"STAGING": 0.6, "PRODUCTION": 0.1}}
    standin = StandIn(directory / "standin", {**origin, **delays, "origin_cert": str(cert), "origin_key": str(key)})
    standin.start()
    taken = Road(standin, authority)
    taken.take()
    (tmp_path_factory.getbasetemp() / "akamai-calls.md").write_text(table(taken.witness.seen))
    yield taken
    standin.stop_if_running()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.key)
def test_a_call_is_made_as_published_and_answered_as_published(call: Call, road: Road) -> None:
    heard = road.witness.seen[call.key]
    assert heard.objections == []
    assert any(200 <= status < 300 for status in heard.statuses), "it was never made with success"
    assert heard.judged > 0


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.key)
def test_a_call_is_described_and_says_so_where_akamai_does_not_publish_it(call: Call) -> None:
    assert is_described(call)
    assert bool(call.outside) == (call.base in DERIVED)


def test_the_driver_makes_no_call_that_is_not_listed(road: Road) -> None:
    assert road.witness.unknown == set()


def test_nothing_but_the_driver_calls_akamai() -> None:
    """Else a call could be made that no road takes and no table shows."""
    others = [path for path in (ROOT / "apps").rglob("*.py") if path.parent != DRIVERS]
    holding = [path for path in others if re.search("AkamaiApi|akamai_api", path.read_text())]
    assert len(holding) > 5
    assert {path.name: lines for path in holding if (lines := senders(path))} == {}


def test_every_place_in_the_driver_that_calls_akamai_was_taken(road: Road) -> None:
    """A call that is new in the source shows here before anybody thinks of it."""
    places = {
        (path.name, line): path.read_text().splitlines()[line - 1].strip()
        for path in sorted(DRIVERS.glob("*.py"))
        for line in senders(path)
    }
    assert len(places) > 15
    assert {place: text for place, text in places.items() if place not in road.lines} == {}


def senders(path: Path) -> set[int]:
    """Lines where something is sent by way of the API's session, kept by an object or handed to a function."""
    return {
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SENDERS
        if is_api(node.func.value)
    }


def is_api(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("_api", "api")


def test_the_reference_shows_this_table(road: Road) -> None:
    assert table(road.witness.seen) in PAGE.read_text()
