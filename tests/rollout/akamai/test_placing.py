"""Which EdgeWorker and namespace a target uses is a person's choice; everything is brought to another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.audit.actors import Actor
from apps.audit.models import Event
from apps.rollout.models import EdgeToken, Target
from apps.rollout.services import moving
from apps.rollout.services.akamai.placing import Place, place, place_of
from apps.rollout.services.targets import BadTarget
from tests.factories import access as factory
from tests.factories import identity as people
from tests.factories.edges import another_environment
from tests.factories.pages import signed_in
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.code import live, make_edge, worked
from tests.rollout.world import Hands, edge_spec, make_target, now

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")
FOREIGN = "export function onClientRequest(request) {}"


@pytest.fixture(autouse=True)
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn) -> Target:
    return make_edge(standin)


def choose(**wish: object) -> Target:
    return place(slug="edge", wish=Place(**wish), actor=OLGA, at=now())  # type: ignore[arg-type]  # passed on as given


def settled() -> bool:
    target = worked(Hands())
    return target.active_number == target.latest_number and "edgeworker_id" in target.facts


def test_another_edgeworker_and_namespace_get_everything(edge: Target, standin: StandIn) -> None:
    other = standin.new_id()
    first = EdgeToken.objects.get()
    choose(edgeworker_id=other, namespace="chosen")
    assert eventually(lambda: settled() and live(standin))
    target = Target.objects.get()
    assert target.facts["edgeworker_id"] == other
    path = "/edgekv/v1/networks/production/namespaces/chosen/groups/services/items/payments"
    assert standin.call("GET", path).status_code == 200
    token = EdgeToken.objects.get(uuid=target.facts["kv_token_ref"])
    assert (token.name, token.pk != first.pk) == (f"chosen-{other}", True)
    old = f"/edgeworkers/v1/ids/{edge.facts['edgeworker_id']}/activations"
    rows = standin.call("GET", old, params={"activeOnNetwork": "true", "network": "PRODUCTION"}).json()["activations"]
    assert len(rows) == 1, "what was used before stays as it is"
    event = Event.objects.get(action="rollout.target.placed")
    assert (event.actor_id, event.before["edgeworker_id"], event.after["edgeworker_id"]) == ("person:olga", None, other)


def test_what_runs_there_is_not_replaced_unasked(edge: Target, standin: StandIn) -> None:
    other = standin.new_id()
    standin.upload(other, "theirs", FOREIGN)
    assert standin.activate(other, "theirs") == "COMPLETE"
    with pytest.raises(BadTarget) as refused:
        choose(edgeworker_id=other)
    assert refused.value.fields == {"replaces": ["Version theirs runs on gate now. Say that it may be replaced."]}
    assert place_of(Target.objects.get()) == Place()
    choose(edgeworker_id=other, replaces=True)
    assert eventually(lambda: settled() and live(standin) not in ("", "theirs"))


def test_what_is_not_there_is_said(edge: Target) -> None:
    with pytest.raises(BadTarget) as worker:
        choose(edgeworker_id=999)
    assert list(worker.value.fields) == ["edgeworker_id"]
    with pytest.raises(BadTarget) as namespace:
        choose(namespace="nowhere", makes_namespace=False)
    assert namespace.value.fields == {"namespace": ["There is no namespace nowhere on staging."]}
    with pytest.raises(BadTarget) as odd:
        choose(namespace="no dots.please")
    assert list(odd.value.fields) == ["namespace"]


def test_a_namespace_that_vanished_is_not_made_against_a_persons_word(standin: StandIn, edge: Target) -> None:
    choose(makes_namespace=False)
    target = Target.objects.get()
    target.config["namespace"], target.facts = "vanished", {}
    target.save(update_fields=["config", "facts"])
    worked(Hands())
    assert Target.objects.get().trouble == "namespace_missing"


def test_the_same_again_changes_nothing(edge: Target) -> None:
    number = Target.objects.get().latest_number
    choose()
    choose(edgeworker_id=edge.facts["edgeworker_id"])
    worked(Hands())
    assert Target.objects.get().latest_number == number


def test_the_page_keeps_what_was_typed_and_says_what_is_wrong(edge: Target) -> None:
    client = signed_in(people.person("olga", roles=("operator",)))
    assert f"It uses EdgeWorker {edge.facts['edgeworker_id']}" in client.get("/rollout/edge/place").content.decode()
    answer = client.post("/rollout/edge/place", {"edgeworker_id": "999", "namespace": "mine", "makes_namespace": "on"})
    shown = answer.content.decode()
    assert (answer.status_code, 'value="999"' in shown, 'value="mine"' in shown) == (422, True, True)
    assert "Akamai knows no EdgeWorker 999" in shown


def test_another_account_switch_key_may_mean_the_same_account(edge: Target, standin: StandIn) -> None:
    """A key is only a name: by the store that answers it is seen that both are one account."""
    another_environment("staging")
    spec = edge_spec(standin.control)
    config = {**spec.config, "account_switch_key": "1-ABC:1-2RBL"}
    make_target(replace(spec, slug="edge-2", name="Second edge", environment="staging", config=config))
    Hands().work("edge-2")
    second = Target.objects.get(slug="edge-2")
    assert (second.trouble, "kv_token_ref" in second.facts) == ("namespace_shared", False)
    with pytest.raises(BadTarget) as refused:
        place(slug="edge-2", wish=Place(), actor=OLGA, at=now())
    assert refused.value.fields == {"namespace": ["Edge keeps its grants in sallyport. Name another."]}


def test_of_two_that_are_set_up_at_once_the_older_one_is_first(standin: StandIn) -> None:
    another_environment("staging")
    spec = edge_spec(standin.control)
    first = make_target(spec)
    second = make_target(replace(spec, slug="edge-2", name="Second edge", environment="staging"))
    assert not moving.set_up(target=second, at=now())
    assert moving.set_up(target=first, at=now())


def test_two_targets_of_an_account_keep_their_grants_apart(edge: Target, standin: StandIn) -> None:
    """Items are named by service: in one namespace each target would overwrite the other's."""
    another_environment("staging")
    spec = edge_spec(standin.control)
    make_target(replace(spec, slug="edge-2", name="Second edge", environment="staging"))
    Hands().work("edge-2")
    second = Target.objects.get(slug="edge-2")
    assert (second.trouble, "kv_token_ref" in second.facts) == ("namespace_shared", False)
    with pytest.raises(BadTarget) as refused:
        place(slug="edge-2", wish=Place(), actor=OLGA, at=now())
    assert refused.value.fields == {"namespace": ["Edge keeps its grants in sallyport. Name another."]}
    place(slug="edge-2", wish=Place(namespace="second"), actor=OLGA, at=now())
    Target.objects.filter(slug="edge-2").update(retry_at=None)
    Hands().work("edge-2")
    assert "kv_token_ref" in Target.objects.get(slug="edge-2").facts
