"""Taking a target out of Akamai: all that was made there goes, nothing else does, and it can come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.access.models import Grant, GrantDoor
from apps.audit.actors import Actor
from apps.audit.models import Event
from apps.rollout.drivers.akamai.api import AkamaiApi, Credentials
from apps.rollout.drivers.akamai.property import PropertyDriver, Unacknowledged
from apps.rollout.drivers.akamai.rules import Attached, with_our_rule
from apps.rollout.models import PendingChange, Target
from apps.rollout.selectors import list_places
from apps.rollout.services import drifting
from apps.rollout.services.akamai import attaching, leaving
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.akamai.placing import Place, place
from apps.rollout.services.delivering import set_delivery
from apps.rollout.services.targets import BadTarget, TakenOut
from apps.rollout.services.undoing import roll_back_code
from apps.rollout.surroundings import mesh_surroundings
from tests.factories import access as factory
from tests.factories import addresses as outside
from tests.factories import edges
from tests.factories import identity as people
from tests.factories.pages import signed_in
from tests.localedge.standin import CREDENTIAL, StandIn, eventually
from tests.rollout.akamai.code import live, make_edge, worked
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, mesh_spec, now

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")
WORDS = "Edge was taken out of Akamai: nobody comes in by it."


@pytest.fixture(autouse=True)
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn) -> Target:
    return make_edge(standin)


def ask() -> Target:
    return leaving.ask(slug="edge", actor=OLGA, at=now())


def looked() -> Target:
    """Without waiting for what Akamai is asked next."""
    Target.objects.update(retry_at=None)
    Hands().work("edge")
    return Target.objects.get(slug="edge")


def gone() -> bool:
    return "left" in looked().facts


def opened(shop: factory.Shop) -> Grant:
    grant = grant_to(shop.ada, shop.ben)
    eventually(lambda: worked(Hands()) and doors(grant) == {"edge": "proven"})
    return grant


def door_of(grant: Grant) -> tuple[str, str]:
    door = GrantDoor.objects.get(grant=grant)
    return door.state, door.detail


def held(standin: StandIn, worker: int) -> list[int]:
    """What Akamai answers about the EdgeWorker, the item on both networks, and the token."""
    paths = [f"/edgeworkers/v1/ids/{worker}", f"/edgekv/v1/tokens/sallyport-{worker}"]
    items = [standin.item("GET", "payments", network=network).status_code for network in ("staging", "production")]
    return [*(standin.call("GET", path).status_code for path in paths), *items]


def test_all_that_was_made_there_goes_and_comes_back(edge: Target, standin: StandIn, shop: factory.Shop) -> None:
    grant, worker = opened(shop), int(edge.facts["edgeworker_id"])
    assert held(standin, worker) == [200, 200, 200, 200]
    ask()
    assert door_of(grant) == ("failing", WORDS)
    eventually(gone)
    assert held(standin, worker) == [404, 404, 404, 404]
    assert standin.get("/refunds").status_code == 503, "no code, so nobody comes in"
    actions = list(Event.objects.filter(action__startswith="rollout.target.le").order_by("seq"))
    assert [(one.action, one.actor_id) for one in actions] == [
        ("rollout.target.leaving", "person:olga"),
        ("rollout.target.left", "system"),
    ]
    later = grant_to(people.person("eve"), shop.ben)
    Hands().work("edge")
    assert door_of(later) == ("failing", WORDS), "whoever waits hears why"
    assert not PendingChange.objects.exists()
    assert drifting.observe(slug="edge", at=now()) is None
    with pytest.raises(TakenOut):
        roll_back_code(slug="edge", number=1, actor=OLGA, at=now())
    with pytest.raises(TakenOut):
        attaching.ask(slug="edge", hostname="api.shop.test", removal=False, email="o@s.test", actor=OLGA, at=now())
    set_delivery(slug="edge", delivery="direct", actor=OLGA, at=now())
    eventually(lambda: worked(Hands()) and (doors(grant), doors(later)) == ({"edge": "proven"}, {"edge": "proven"}))
    fresh = Target.objects.get()
    assert int(fresh.facts["edgeworker_id"]) != worker
    assert (fresh.active_number == fresh.latest_number, "left" in fresh.facts) == (True, False)


def test_what_is_somebody_elses_stays_and_a_lost_answer_does_no_harm(edge: Target, standin: StandIn) -> None:
    other = standin.new_id()
    standin.upload(other, "theirs", "export function onClientRequest(request) {}")
    place(slug="edge", wish=Place(edgeworker_id=other, namespace="chosen"), actor=OLGA, at=now())
    eventually(lambda: worked(Hands()).active_number == Target.objects.get().latest_number and live(standin))
    ask()
    standin.faults(rules=[{"method": "DELETE", "path": ".*", "status": 504, "after": True, "times": 3}])
    eventually(gone)
    assert live_of(standin, other) == ["", ""]
    versions = standin.call("GET", f"/edgeworkers/v1/ids/{other}/versions").json()["versions"]
    assert [one["version"] for one in versions] == ["theirs"]
    spaces = standin.call("GET", "/edgekv/v1/networks/production/namespaces").json()["namespaces"]
    assert "chosen" in [one["namespace"] for one in spaces]


def live_of(standin: StandIn, worker: int) -> list[str]:
    found = []
    for network in ("STAGING", "PRODUCTION"):
        asked = {"activeOnNetwork": "true", "network": network}
        rows = standin.call("GET", f"/edgeworkers/v1/ids/{worker}/activations", params=asked).json()["activations"]
        found.append(str(rows[0]["version"]) if rows else "")
    return found


def test_code_a_property_runs_is_not_taken_away(edge: Target, standin: StandIn) -> None:
    """Somebody put our rule in by hand: here nobody knows of it."""
    attach_by_hand(standin, int(edge.facts["edgeworker_id"]))
    ask()
    looked()
    told = Target.objects.get()
    assert told.waiting_for == "The property local-edge still runs the code; take the rule out of it at Akamai."
    assert live_of(standin, int(edge.facts["edgeworker_id"]))[1] != ""
    client = signed_in(people.person("olga", roles=("operator",)))
    shown = client.get("/rollout/edge/leave").content.decode()
    assert "Edge is being taken out of Akamai" in shown
    assert told.waiting_for in shown


def attach_by_hand(standin: StandIn, worker: int) -> None:
    properties = PropertyDriver(AkamaiApi(standin.control, Credentials(**CREDENTIAL)))
    found = properties.find("api.shop.localhost")
    fresh = properties.rules(found, properties.new_version(found, properties.rules(found, found.base)))
    rules = with_our_rule(fresh.rules, Attached("edge", worker, ("api.shop.localhost",)))
    kept = properties.write(found, fresh, rules, "by hand")
    with pytest.raises(Unacknowledged) as refused:
        properties.activate(found, kept.version, "PRODUCTION", emails=("o@s.test",), note="n")
    named = [warning.id for warning in refused.value.warnings]
    made = properties.activate(found, kept.version, "PRODUCTION", emails=("o@s.test",), note="n", acknowledged=named)
    eventually(lambda: properties.activation(found, made).status == "ACTIVE")


def test_what_still_relies_on_it_is_said_and_only_a_person_may() -> None:
    at = now()
    target = edges.edge_target(at)
    target.facts = {"edgeworker_id": 7}
    target.save(update_fields=["facts"])
    edges.property_change(at, "done")
    edges.address_list(at)
    with pytest.raises(leaving.StillInUse) as refused:
        ask()
    assert refused.value.message == (
        "The property of api.shop.test runs the code: take our rule out under Properties first."
        " api.shop.localhost is guarded no longer, and its list is being emptied: see Lists of addresses."
    )
    outside.guard("198.51.100.0/24")
    with pytest.raises(leaving.StillInUse, match="A list guards"):
        ask()
    with pytest.raises(PersonNeeded):
        leaving.ask(slug="edge", actor=Actor("agent:release-bot", "Release bot"), at=at)
    assert Target.objects.get().delivery == "direct"


def test_another_edge_takes_its_place(edge: Target, standin: StandIn, shop: factory.Shop) -> None:
    """Those behind it take the context tokens of the new one; and what was granted is proven there."""
    grant, mesh = opened(shop), make_target(mesh_spec())
    ask()
    second = replace(edge_spec(standin.control, str(edge.config["probe_url"])), slug="edge-2", name="Second edge")
    with pytest.raises(BadTarget, match=r"Edge is still being taken out of Akamai; .* is free after that"):
        make_target(second)
    eventually(gone)
    assert mesh_surroundings(mesh, now()).context_issuer == "edge:edge"
    PendingChange.objects.all().delete()
    make_target(second)
    assert PendingChange.objects.get(target=mesh).service == "", "its common part is compiled again"
    assert mesh_surroundings(mesh, now()).context_issuer == "edge:edge-2"
    later = grant_to(people.person("eve"), shop.ben)

    def proven() -> bool:
        Target.objects.filter(slug="edge-2").update(retry_at=None)
        Hands().work("edge-2")
        return doors(grant) == doors(later) == {"edge": "proven"}

    eventually(proven)
    assert {place.slug for place in list_places(edge.environment.slug)} == {"edge-2", "mesh"}
    with pytest.raises(BadTarget, match=r"Second edge is the edge of .* already"):
        set_delivery(slug="edge", delivery="direct", actor=OLGA, at=now())
    client = signed_in(people.person("olga", roles=("operator",)))
    assert client.post("/rollout/edge/export/", {"delivery": "direct"}).status_code == 422


def test_one_that_was_never_set_up_makes_room_as_well(standin: StandIn) -> None:
    """The right to make tokens is missing: an EdgeWorker was made, and nothing else."""
    make_target(edge_spec(standin.control))
    standin.faults(rules=[{"method": "POST", "path": "/edgekv/v1/tokens", "error": "not_permitted", "times": 9}])
    looked()
    assert (Target.objects.get().trouble, len(workers(standin))) == ("not_permitted", 1)
    ask()
    assert (gone(), workers(standin)) == (True, [])


def test_an_edgeworker_of_its_name_with_versions_is_somebodys(standin: StandIn) -> None:
    make_target(edge_spec(standin.control))
    standin.faults(rules=[{"method": "POST", "path": "/edgekv/v1/tokens", "error": "not_permitted", "times": 9}])
    looked()
    (worker,) = workers(standin)
    standin.upload(worker, "theirs", "export function onClientRequest(request) {}")
    ask()
    assert (gone(), workers(standin)) == (True, [worker])


def workers(standin: StandIn) -> list[int]:
    rows = standin.call("GET", "/edgeworkers/v1/ids").json()["edgeWorkerIds"]
    return [int(row["edgeWorkerId"]) for row in rows if row["name"] == "sallyport-edge"]


def test_one_that_was_never_connected_makes_room_at_once() -> None:
    make_target(replace(edge_spec(), credentials={}))
    ask()
    assert gone()


def test_a_revoked_credential_is_said_and_can_be_replaced_meanwhile(standin: StandIn) -> None:
    target = make_target(edge_spec(standin.control))
    target.facts = {"edgeworker_id": 7, "kv_token_ref": "u"}
    target.save(update_fields=["facts"])
    ask()
    standin.faults(rules=[{"method": "GET", "path": ".*", "error": "credential_refused", "times": 1}])
    assert looked().trouble == "credential_refused"
    assert gone(), "the next time it goes on: of EdgeWorker 7 nothing was there"
