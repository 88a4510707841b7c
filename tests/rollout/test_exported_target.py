"""A target whose vendor the console never calls: a team applies the export, and only what the edge shows counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.access.models import Grant, GuardedHost
from apps.access.refusals import ListsNotKept
from apps.audit.actors import SYSTEM
from apps.audit.errors import InvalidInput, Refusal
from apps.audit.models import Event
from apps.rollout.akamai.edgerc import EdgeGridCredential
from apps.rollout.drivers.akamai.api import EDGEKV, AkamaiApi, Credentials
from apps.rollout.drivers.akamai.code import Progress
from apps.rollout.drivers.akamai.driver import AkamaiConfig, AkamaiDriver
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import Activation, Drift, Probe, Revision, Target
from apps.rollout.services import connecting, delivering, drifting, exporting, preflights, releasing
from apps.rollout.services.akamai import attaching, listing, streaming, tidying
from apps.rollout.services.akamai.streaming import StreamInput
from apps.rollout.services.driving import NeverCalled, akamai_api
from apps.rollout.services.targets import OnlyExported, TargetSpec
from tests.factories import access as factory
from tests.factories import addresses
from tests.localedge.standin import CREDENTIAL, StandIn, eventually
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

pytestmark = pytest.mark.django_db
CONFIG = AkamaiConfig("sallyport", "by-hand", 1, 200)


class Team:
    """Who applies exports, with a credential of its own."""

    def __init__(self, standin: StandIn) -> None:
        self.api = AkamaiApi(standin.control, Credentials(**CREDENTIAL))
        self.facts = AkamaiDriver(self.api, CONFIG, EdgeCaller()).setup()

    @property
    def worker(self) -> int:
        return int(str(self.facts["edgeworker_id"]))

    def put_items(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            if path.startswith("edgekv/services/"):
                key = path.removeprefix("edgekv/services/").removesuffix(".json")
                for network in ("staging", "production"):
                    where = f"{EDGEKV}/networks/{network}/namespaces/sallyport/groups/services/items/{key}"
                    self.api.put_text(where, content, "application/json")

    def bring_code(self) -> None:
        state = exporting.state_of(slug="edge", at=now())
        driver = AkamaiDriver(self.api, AkamaiConfig("sallyport", "by-hand", 1, 200, self.worker), EdgeCaller())
        eventually(lambda: driver.code.bring(state.code, Progress()))


def story() -> str:
    """What stands in the way."""
    rows = [
        *Target.objects.values_list("latest_number", "active_number", "waiting_for", "error", "retry_at"),
        *Activation.objects.values_list("revision__number", "state", "error"),
        *Probe.objects.values_list("point", "expect", "state", "verdict", "reason", "detail", "due_at"),
        *Grant.objects.values_list("public_id", "state", "error"),
    ]
    return "\n".join(map(str, rows))


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def team(standin: StandIn) -> Team:
    return Team(standin)


@pytest.fixture
def edge(standin: StandIn, shop: factory.Shop, team: Team) -> Target:
    """Without address and credential: whoever called the vendor would fail."""
    config = {"probe_url": f"http://127.0.0.1:{standin.ports['data']}", "group_id": 1, "resource_tier_id": 200}
    make_target(TargetSpec(slug="edge", name="Edge", driver="akamai", config=config))
    return deliver(kv_token_ref=team.facts["kv_token"].uuid, edgeworker_id=team.worker)


def deliver(**more: object) -> Target:
    return delivering.set_delivery(slug="edge", delivery="exported", actor=SYSTEM, at=now(), **more)  # type: ignore[arg-type]  # passed on as given


def work(hands: Hands) -> Target:
    Target.objects.update(retry_at=None)
    hands.work("edge")
    return Target.objects.get()


def test_approved_is_not_active_until_the_edge_shows_it(
    edge: Target, team: Team, hands: Hands, shop: factory.Shop
) -> None:
    target = work(hands)
    grant = grant_to(shop.dan, shop.ben)
    target = work(hands)
    assert (target.latest_number > 0, target.active_number, target.error) == (True, 0, "")
    assert target.waiting_for.startswith(f"Revision {target.latest_number} is exported and waits to be applied.")
    assert (doors(grant)["edge"], Grant.objects.get().state) == ("opening", "pending")
    assert set(Probe.objects.values_list("state", flat=True)) == {"waiting"}

    number, files = target.latest_number, exporting.export_of(slug="edge", at=now()).files
    team.put_items(files)
    assert work(hands).active_number == 0, "the code that reads the items is not there"
    team.bring_code()

    def in_force() -> bool:
        return work(hands).active_number == number and Grant.objects.get().state == "active"

    try:
        eventually(in_force)
    except AssertionError as late:
        raise AssertionError(story()) from late
    assert doors(grant)["edge"] == "proven"
    assert Activation.objects.get(revision__number=number).state == "proven"

    target = work(hands)
    assert target.latest_number == number + 1, "with its clock started, the grant's end is known: one more export"
    team.put_items(exporting.export_of(slug="edge", at=now()).files)
    eventually(lambda: work(hands).active_number == number + 1)
    assert Target.objects.get().waiting_for == ""


def test_half_of_it_is_not_all_of_it(edge: Target, team: Team, hands: Hands) -> None:
    work(hands)
    files = exporting.export_of(slug="edge", at=now()).files
    team.put_items({path: content for path, content in files.items() if not path.endswith("/payments.json")})
    team.bring_code()
    target = eventually(lambda: found if "the code" not in (found := work(hands)).waiting_for else None)
    assert target.waiting_for.endswith("The edge does not show yet: payments.")
    assert target.active_number == 0
    team.put_items(files)
    eventually(lambda: work(hands).active_number == target.latest_number)


def test_drift_is_seen_without_calling_the_vendor(edge: Target, team: Team, hands: Hands) -> None:
    work(hands)
    files = exporting.export_of(slug="edge", at=now()).files
    team.put_items(files)
    team.bring_code()
    eventually(lambda: work(hands).active_number > 0)
    assert drifting.observe(slug="edge", at=now(), everything=True) == 0
    odd = json.dumps({**json.loads(files["edgekv/services/payments.json"]), "mark": "0" * 16}).encode()
    team.put_items({"edgekv/services/payments.json": odd})
    assert drifting.observe(slug="edge", at=now(), everything=True) == 1
    drift = Drift.objects.get()
    assert (drift.path, drift.detail) == ("services/payments", "The edge does not show this item as it was exported.")


def test_nobody_calls_the_vendor_whoever_asks(edge: Target, hands: Hands, shop: factory.Shop) -> None:
    work(hands)
    target = Target.objects.get()
    with pytest.raises(NeverCalled):
        akamai_api(target)
    person, at = shop.cyd.actor, now()
    credential = EdgeGridCredential("akab-x.luna.akamaiapis.net", "a", "b", "c", 131072, "pasted")
    with pytest.raises(OnlyExported):
        connecting.connect(slug="edge", credential=credential, account_switch_key="", actor=person, at=at)
    with pytest.raises(OnlyExported):
        preflights.ask(slug="edge", actor=person, at=at)
    with pytest.raises(OnlyExported):
        streaming.ask(slug="edge", given=StreamInput("a.test", "a@b.test", "https://c.test"), actor=person, at=at)
    with pytest.raises(OnlyExported):
        releasing.stop(slug="edge", actor=person, at=at)
    with pytest.raises(OnlyExported):
        attaching.ask(slug="edge", hostname="api.shop.test", removal=False, email="a@b.test", actor=person, at=at)
    tidying.tidy_all(at=at)
    assert Target.objects.get().error == ""


def test_an_edge_that_is_silent_holds_nothing(edge: Target, hands: Hands) -> None:
    Target.objects.update(config={**edge.config, "probe_url": "http://127.0.0.1:1"})
    assert "The edge did not answer as ours" in work(hands).waiting_for
    Target.objects.update(active_number=1)
    Activation.objects.update(state="active")
    assert drifting.observe(slug="edge", at=now(), everything=True) is None


def test_the_token_the_code_reads_with_has_to_be_known(shop: factory.Shop) -> None:
    make_target(edge_spec())
    with pytest.raises(InvalidInput) as refused:
        deliver()
    assert list(refused.value.fields) == ["kv_token_ref"]
    with pytest.raises(InvalidInput) as refused:
        deliver(kv_token_ref="u-1", edgeworker_id=0)
    assert list(refused.value.fields) == ["edgeworker_id"]
    for odd in ("pulled", "removed"):
        with pytest.raises(InvalidInput):
            delivering.set_delivery(slug="edge", delivery=odd, kv_token_ref="u-1", actor=SYSTEM, at=now())
    assert Target.objects.get().delivery == "direct"


def test_the_change_is_recorded_once_and_back_means_looking_anew(shop: factory.Shop) -> None:
    make_target(edge_spec())
    deliver(kv_token_ref="u-1")
    deliver(kv_token_ref="u-1")
    event = Event.objects.get(action="rollout.delivery.changed")
    assert (event.before["delivery"], event.after["kv_token_ref"]) == ("direct", "u-1")
    back = delivering.set_delivery(slug="edge", delivery="direct", actor=SYSTEM, at=now())
    assert (back.is_exported, "unsettled" in back.facts) == (False, True)


@pytest.fixture
def compiled(shop: factory.Shop, hands: Hands) -> Target:
    """Exported, with a first revision; nothing answers at its edge."""
    make_target(edge_spec())
    deliver(kv_token_ref="u-1")
    return work(hands)


def test_an_older_revision_can_be_had_as_it_was(compiled: Target, hands: Hands, shop: factory.Shop) -> None:
    before = exporting.export_of(slug="edge", at=now(), number=1)
    grant_to(shop.dan, shop.ben)
    work(hands)
    assert exporting.export_of(slug="edge", at=now(), number=1).files == before.files
    after = exporting.export_of(slug="edge", at=now())
    changed = {path for path in after.files if after.files[path] != before.files.get(path)}
    assert changed == {"edgekv/services/payments.json", "manifest.json", "manifest.jws"}
    assert json.loads(after.files["manifest.json"])["digest"] == Revision.objects.get(number=2).digest
    with pytest.raises(Refusal, match="no such revision"):
        exporting.export_of(slug="edge", at=now(), number=2**40)


def test_the_command_writes_what_differs_and_the_code_for_its_owner_only(compiled: Target, tmp_path: Path) -> None:
    def run(*more: object) -> str:
        out = StringIO()
        call_command("export_target", "edge", str(tmp_path / "repo"), *map(str, more), stdout=out)
        return out.getvalue()

    assert "changed manifest.json" in run()
    assert run() == "Revision 1 is there already.\n"
    code, keys = tmp_path / "secret/bundle.tgz", tmp_path / "keys.json"
    run("--code", code, "--keys", keys)
    assert (code.stat().st_mode & 0o777, code.read_bytes()[:2]) == (0o600, b"\x1f\x8b")
    wanted = json.loads((tmp_path / "repo/manifest.json").read_bytes())["code"]["bundle_sha256"]
    assert Event.objects.get(action="rollout.code.exported").after["sha256"] == wanted
    assert json.loads(keys.read_text())["keys"]
    with pytest.raises(CommandError, match="no such revision"):
        run("--revision", 99)


def test_an_error_of_the_vendor_is_not_what_this_is() -> None:
    assert issubclass(NeverCalled, VendorError)


def test_an_address_is_not_promised_where_no_list_is_brought(edge: Target, shop: factory.Shop) -> None:
    party = addresses.party(shop.ada, shop.storefront)
    with pytest.raises(ListsNotKept):
        addresses.guard()
    GuardedHost.objects.create(environment=edge.environment, host=addresses.HOST, why="Partners.", created_at=now())
    with pytest.raises(ListsNotKept):
        addresses.ask(shop.ada, party, at=now())
    delivering.set_delivery(slug="edge", delivery="direct", actor=SYSTEM, at=now())
    assert addresses.ask(shop.ada, party, at=now()).state == "pending"
    listing.ensure(now())
    with pytest.raises(InvalidInput, match=r"Stop guarding api\.shop\.localhost first\."):
        delivering.set_delivery(slug="edge", delivery="exported", actor=SYSTEM, at=now())
    assert Target.objects.get().delivery == "direct"
