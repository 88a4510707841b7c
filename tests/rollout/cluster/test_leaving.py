"""Taking a cluster out: what it does is told, a person agrees, all that is ours goes and nothing else, and it comes
back."""

from __future__ import annotations

import pytest

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.models import Event
from apps.rollout import selectors
from apps.rollout.models import PendingChange, Revision, Target, TargetArtifact
from apps.rollout.services import changes, drifting, reconciling
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.cluster import closing, leaving, watching
from apps.rollout.services.cluster.connecting import change_settings, connect
from apps.rollout.services.targets import BadTarget, TakenOut
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import (
    CART,
    OLGA,
    POLICIES,
    agreed,
    by_token,
    callers,
    cluster_spec,
    policy,
    told,
)
from tests.rollout.world import INGRESS, FakeNode, Hands, doors, make_node, make_target, mesh_spec, standing_grant

pytestmark = pytest.mark.django_db

TARGETS = "/apis/access.smi-spec.io/v1alpha2/namespaces/shop/traffictargets"
ROUTES = "/apis/specs.smi-spec.io/v1alpha3/namespaces/shop/httproutegroups"
GONE = "Shop cluster was taken out: nothing of ours checks callers there any more."


def ask(hands: Hands, slug: str = "cluster") -> Target:
    number = Target.objects.get(slug=slug).latest_number
    return leaving.ask(slug=slug, number=number, actor=OLGA, at=hands.clock())


def again(hands: Hands) -> Target:
    """Whatever is waited for, it is time to look again."""
    hands.push(minutes=10)
    hands.work()
    return Target.objects.get(slug="cluster")


def names(cluster: LocalCluster, path: str) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.call("GET", path).json()["items"]]


def somebody_elses(cluster: LocalCluster, **labels: str) -> None:
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "theirs", "namespace": "shop", "labels": labels},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    cluster.call("POST", POLICIES, body).raise_for_status()


@pytest.fixture
def smi(shop: factory.Shop, cluster: LocalCluster) -> Target:
    return make_target(cluster_spec(cluster, "smi", "networkpolicy"), AT)


@pytest.fixture
def opened(smi: Target, shop: factory.Shop, hands: Hands) -> Grant:
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    agreed(hands)
    assert doors(grant) == {"mesh": "proven"}
    return grant


TRAFFIC, NETWORK = "traffictargets.access.smi-spec.io", "networkpolicies.networking.k8s.io"
HOST = "virtualserverroutes.k8s.nginx.org"


@pytest.mark.parametrize(
    ("kinds", "mode", "opens", "sentence"),
    [
        ([TRAFFIC], "allow", True, leaving.EVERYBODY),
        ([TRAFFIC], "deny", False, leaving.NOBODY),
        ([NETWORK], "allow", True, leaving.CONNECTS),
        ([TRAFFIC, NETWORK], "allow", True, f"{leaving.EVERYBODY} {leaving.CONNECTS}"),
        ([TRAFFIC, NETWORK, HOST], "deny", False, f"{leaving.NOBODY} {leaving.NO_WAY_IN}"),
        ([HOST], "allow", False, leaving.NO_WAY_IN),
    ],
)
def test_what_it_does_to_calls_is_told_before(
    shop: factory.Shop, kinds: list[str], mode: str, opens: bool, sentence: str
) -> None:
    target = make_target(cluster_spec("http://127.0.0.1:1", "smi", access_control=mode), AT)
    for kind in kinds:
        held = {"target": target, "service": "payments", "media_type": "application/json", "size": 1}
        TargetArtifact.objects.create(path=f"shop/{kind}/sp-payments.json", sha256="1", applied_sha256="1", **held)
        TargetArtifact.objects.create(path=f"shop/{kind}/sp-later.json", sha256="1", applied_sha256="", **held)
    shown = leaving.going(target)
    assert [(one.service, one.opens, one.sentence) for one in shown.fates] == [("payments", opens, sentence)]
    assert (shown.opened, sum(many for _, many in shown.objects)) == (int(opens), len(kinds))


def test_all_of_ours_goes_and_nothing_else(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    somebody_elses(cluster, **{"app.kubernetes.io/managed-by": "helm"})
    assert (len(names(cluster, TARGETS)), len(names(cluster, ROUTES)), len(names(cluster, POLICIES))) == (2, 1, 2)
    ask(hands)
    assert told(opened) == GONE
    hands.work()
    assert (names(cluster, TARGETS), names(cluster, ROUTES), names(cluster, POLICIES)) == ([], [], ["theirs"])
    target = Target.objects.get()
    assert (target.delivery, target.facts["left"], "leaving" in target.facts) == ("removed", AT.isoformat(), False)
    assert Revision.objects.latest("number").summary == "The cluster is taken out: nothing of ours is to be there."
    assert TargetArtifact.objects.count() == 0
    assert doors(opened) == {"mesh": "failing"}
    events = Event.objects.filter(action__startswith="rollout.target.le").order_by("seq")
    assert [(one.action, one.actor_id) for one in events] == [
        ("rollout.target.leaving", "person:olga"),
        ("rollout.target.left", "system"),
    ]


def test_what_stands_in_for_a_last_target_goes_as_well(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    ours = {"app.kubernetes.io/managed-by": "sallyport", "sallyport.dev/cluster": "cluster"}
    body = {
        "apiVersion": "access.smi-spec.io/v1alpha2",
        "kind": "TrafficTarget",
        "metadata": {"name": "shut", "namespace": "shop", "labels": {**ours, "sallyport.dev/closed": "true"}},
        "spec": {"destination": {"kind": "ServiceAccount", "name": "shut", "namespace": "shop"}},
    }
    cluster.call("POST", TARGETS, body).raise_for_status()
    ask(hands)
    hands.work()
    assert names(cluster, TARGETS) == []
    assert Target.objects.get().is_removed


def test_nothing_is_enforced_there_for_whoever_asks_where_access_is(opened: Grant, hands: Hands) -> None:
    assert [place.name for place in selectors.list_places("demo")] == ["Shop cluster"]
    ask(hands)
    assert selectors.list_places("demo") == ()
    hands.work()
    assert selectors.list_places("demo") == ()


def test_what_bears_our_labels_and_is_in_no_revision_goes_as_well(
    opened: Grant, cluster: LocalCluster, hands: Hands
) -> None:
    ours = {"app.kubernetes.io/managed-by": "sallyport"}
    somebody_elses(cluster, **ours, **{"sallyport.dev/cluster": "cluster"})
    ask(hands)
    hands.work()
    assert names(cluster, POLICIES) == []


def test_what_another_cluster_of_ours_labelled_stays(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    ours = {"app.kubernetes.io/managed-by": "sallyport"}
    somebody_elses(cluster, **ours, **{"sallyport.dev/cluster": "other"})
    ask(hands)
    hands.work()
    assert names(cluster, POLICIES) == ["theirs"]
    assert Target.objects.get().is_removed


def test_what_happens_meanwhile_is_not_brought_there(
    opened: Grant, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    ask(hands)
    later = standing_grant(shop.ada, shop.cyd, at=AT)
    changes.note_service(slug="payments", at=AT)
    changes.note_key(purpose="context", at=AT)
    assert not PendingChange.objects.exists()
    assert watching.watched() == {}
    assert drifting.observe(slug="cluster", at=AT) is None
    hands.work()
    assert told(later) == GONE, "whoever waits hears why"
    access.end_grant(public_id=opened.public_id, actor=shop.ben, at=AT)
    hands.work()
    assert doors(opened) == {"mesh": "failing"}, "it is over, and calls go through unchecked: that is no shut door"
    assert names(cluster, TARGETS) == []


def test_where_the_mesh_lets_in_only_who_is_named_an_ended_door_is_shut(
    shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(cluster_spec(cluster, "smi", access_control="deny"), AT)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    ask(hands)
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    assert doors(grant) == {"mesh": "closed"}


def test_what_was_compiled_beside_the_yes_is_not_written_down(target: Target, hands: Hands) -> None:
    """Another worker compiled at the moment somebody had the cluster taken out."""
    agreed(hands)
    ask(hands)
    number = Target.objects.get().latest_number
    PendingChange.objects.create(target=target, service="payments", topic="t", cause="c", at=AT, retry_at=AT)
    before = Target.objects.select_related("environment").get()
    before.facts = {}
    assert reconciling.compiling.prepare(target=before, at=AT) is False
    assert Target.objects.get().latest_number == number
    hands.work()
    assert not PendingChange.objects.exists()


def test_it_comes_back_as_at_first(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    ask(hands)
    hands.work()
    with pytest.raises(TakenOut):
        ask(hands)
    leaving.back(slug="cluster", actor=OLGA, at=AT)
    hands.work()
    assert policy(cluster) is None, "its first objects close it again, so somebody is asked again"
    assert [one.service for one in closing.closings(Target.objects.get())] == ["payments"]
    agreed(hands)
    assert callers(cluster) == ["cart"]
    assert doors(opened) == {"mesh": "proven"}
    target = Target.objects.get()
    assert (target.delivery, target.active_number, "left" in target.facts) == ("direct", target.latest_number, False)


def test_it_is_wanted_back_while_it_goes(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    ask(hands)
    leaving.back(slug="cluster", actor=OLGA, at=AT)
    hands.work()
    assert callers(cluster) == ["cart"], "it was agreed to once, and never all gone"
    assert doors(opened) == {"mesh": "proven"}
    with pytest.raises(leaving.NotTakenOut):
        leaving.back(slug="cluster", actor=OLGA, at=AT)


def test_a_server_that_is_out_is_waited_for_and_told(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    cluster.faults({"method": "DELETE", "path": "/apis/.*", "status": 503, "times": 100})
    ask(hands)
    hands.work()
    target = Target.objects.get()
    assert (target.is_leaving, "503" in target.error) == (True, True)
    assert len(names(cluster, TARGETS)) == 2
    cluster.faults()
    assert again(hands).is_removed
    assert names(cluster, TARGETS) == []


def test_another_credential_while_it_goes_keeps_it_going(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    ask(hands)
    connect(slug="cluster", way=by_token(cluster), actor=OLGA, at=AT)
    hands.work()
    assert Target.objects.get().is_removed
    connect(slug="cluster", way=by_token(cluster), actor=OLGA, at=AT)
    chosen = watching.drifting.cluster_drift.settings_of(Target.objects.get().config)
    change_settings(slug="cluster", chosen=chosen, actor=OLGA, at=AT)
    hands.work()
    assert Target.objects.get().is_removed
    assert names(cluster, TARGETS) == []


def test_a_cluster_that_is_no_more_is_not_waited_for(opened: Grant, cluster: LocalCluster, hands: Hands) -> None:
    cluster.faults({"method": "GET", "path": "/apis/.*", "status": 503, "times": 1000})
    with pytest.raises(leaving.NotTakenOut):
        leaving.forget(slug="cluster", actor=OLGA, at=AT)
    ask(hands)
    hands.work()
    assert Target.objects.get().is_leaving
    leaving.forget(slug="cluster", actor=OLGA, at=AT)
    assert Target.objects.get().is_removed
    assert Event.objects.get(action="rollout.target.forgotten").actor_id == "person:olga"
    assert again(hands).is_removed


def test_only_a_person_and_only_what_was_shown(opened: Grant, shop: factory.Shop, hands: Hands) -> None:
    number = Target.objects.get().latest_number
    with pytest.raises(PersonNeeded):
        leaving.ask(slug="cluster", number=number, actor=shop.bot.actor, at=AT)
    with pytest.raises(leaving.PlanMoved):
        leaving.ask(slug="cluster", number=number - 1, actor=OLGA, at=AT)
    make_target(mesh_spec(), AT)
    with pytest.raises(BadTarget):
        leaving.ask(slug="mesh", number=0, actor=OLGA, at=AT)
    assert Target.objects.get(slug="cluster").is_kept


def test_what_nobody_ever_reached_is_over_at_once(shop: factory.Shop, hands: Hands) -> None:
    make_target(cluster_spec("http://127.0.0.1:1"), AT)
    ask(hands)
    hands.work()
    assert Target.objects.get().is_removed


def test_a_door_that_a_mesh_of_nodes_keeps_too_is_where_that_is(
    opened: Grant, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(mesh_spec(), AT)
    node = FakeNode(make_node(at=AT).node, workloads=(CART, INGRESS))
    node.introduce(AT)
    hands.work()
    ended = access.end_grant(public_id=opened.public_id, actor=shop.ben, at=AT)
    assert ended.state == "revoked"
    hands.work()
    assert doors(opened) == {"mesh": "closing"}, "the node is still to show it"
    ask(hands)
    hands.work()
    node.take(AT)
    hands.work()
    assert doors(opened) == {"mesh": "closed"}
    assert "Shop cluster" not in told(opened)


def test_a_door_that_only_waited_for_the_cluster_waits_no_more(
    opened: Grant, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(mesh_spec(), AT)
    node = FakeNode(make_node(at=AT).node, workloads=(CART, INGRESS))
    node.introduce(AT)
    hands.work()
    node.take(AT)
    hands.work()
    cluster.faults({"method": "PATCH", "path": "/apis/.*", "status": 503, "times": 1000})
    later = standing_grant(shop.ada, shop.cyd, at=AT)
    hands.work()
    node.take(AT)
    hands.work()
    assert "Still to be shown at Shop cluster" in told(later)
    cluster.faults()
    ask(hands)
    hands.work()
    node.take(AT)
    hands.work()
    assert doors(later)["mesh"] == "proven"
