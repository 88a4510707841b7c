"""The agent of a cluster that lets nobody in: what was signed is applied, what is gone is removed, and it says so."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.access import services as access
from apps.meshagent.bundle import BundleError, Verifier
from apps.meshagent.cluster.memory import BadMemory, MemoryFile
from apps.meshagent.cluster.server import Api, ClusterError, Server
from apps.meshagent.cluster_agent import ClusterAgent, Config
from apps.meshagent.console import Offer
from apps.rollout.cluster.reports import access_in, said_in
from apps.rollout.models import Drift, Node, Preflight, Sight, Target
from apps.rollout.services import adopting, changes, drifting, nodes, preflights
from apps.rollout.services.adopting import NotSafeToAdopt
from apps.rollout.services.cluster import leaving, objects, pulled, sights
from apps.rollout.services.drifting import NotOurs
from apps.rollout.services.targets import Enrolment, enroll_node
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.rollout.cluster.world import OLGA, POLICIES, POLICY, agreed, callers, cluster_spec, policy
from tests.rollout.world import Hands, doors, make_target, standing_grant

pytestmark = pytest.mark.django_db
OURS = f"{POLICIES}/sp-payments"


class Wire:
    """The agent's console, without the network between: what it would get and say."""

    def __init__(self, node: Node, hands: Hands) -> None:
        self.node, self.hands = node, hands
        self.said: list[dict[str, Any]] = []
        self.instead: str = ""

    def wait_for_bundle(self, have: str, seconds: float) -> Offer | None:
        Node.objects.update(last_seen_at=self.hands.clock())
        found = nodes.offer(node_id=self.node.pk, have=have, at=self.hands.clock())
        if found is None:
            return None
        inline = {sha256: base64.b64decode(text) for sha256, text in found.inline.items()}
        return Offer(self.instead or found.signed, inline, [], dict(found.ask))

    def artifacts(self, hashes: set[str]) -> dict[str, bytes]:
        found = nodes.artifacts_for(node=self.node, hashes=hashes)
        return {sha256: base64.b64decode(text) for sha256, text in found.items()}

    def report(self, said: dict[str, Any]) -> None:
        body = json.loads(json.dumps(said))
        self.said.append(body)
        report = nodes.Report(
            body["revision"],
            body["digest"],
            body["state"] == "active",
            body["error"],
            said=said_in(body),
            access=access_in(body),
        )
        node = Node.objects.select_related("target").get(pk=self.node.pk)
        nodes.record_report(node=node, report=report, at=self.hands.clock())
        pulled.heard(node=node, report=report, at=self.hands.clock())


@pytest.fixture
def enrolled(shop: factory.Shop, cluster: LocalCluster) -> Enrolment:
    make_target(cluster_spec("http://127.0.0.1:1"), AT)
    Target.objects.update(delivery="pulled")
    return enroll_node(target_slug="cluster", name="agent", actor=OLGA, at=AT)


@pytest.fixture
def wire(enrolled: Enrolment, hands: Hands) -> Wire:
    agreed(hands)
    return Wire(enrolled.node, hands)


@pytest.fixture
def agent(enrolled: Enrolment, wire: Wire, cluster: LocalCluster, tmp_path: Path) -> ClusterAgent:
    (tmp_path / "keys.json").write_text(json.dumps(enrolled.bundle_keys))
    (tmp_path / "token").write_text(ADMIN)
    return started(wire, cluster, tmp_path)


def started(wire: Wire, cluster: LocalCluster, folder: Path) -> ClusterAgent:
    """One that knows what its file says, and nothing else."""
    server = Server(cluster.url, folder / "token", Path(cluster.ca_file) if cluster.ca_file else None)
    config = Config(
        "http://console",
        folder / "token",
        folder / "keys.json",
        "agent",
        "cluster",
        ("shop",),
        server,
        folder / "memory.json",
        look_seconds=0,
    )
    verifier, memory = Verifier(config.bundle_keys), MemoryFile(config.memory_file)
    return ClusterAgent(config, wire, verifier, Api(server), memory)  # type: ignore[arg-type]  # speaks as a console does


def drifts() -> list[tuple[str, bool, str]]:
    return list(Drift.objects.filter(resolved_at=None).values_list("path", "opens", "detail"))


def test_what_was_signed_is_applied_and_what_is_gone_is_removed(
    agent: ClusterAgent, wire: Wire, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    agent.step()
    assert (wire.said[-1]["state"], wire.said[-1]["seen"]["held"]) == ("active", 1)
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    agent.step()
    assert callers(cluster) == ["cart"]
    assert doors(grant) == {"mesh": "proven"}
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    agent.step()
    assert (callers(cluster), doors(grant)) == ([], {"mesh": "closed"})


def test_without_a_memory_what_bears_our_labels_and_is_not_wanted_is_removed(
    agent: ClusterAgent, wire: Wire, cluster: LocalCluster, hands: Hands, tmp_path: Path
) -> None:
    agent.step()
    Target.objects.update(config={**Target.objects.get().config, "namespaces": ["elsewhere"]})
    changes.note_service(slug="payments", at=AT)
    hands.work()
    (tmp_path / "memory.json").unlink()
    started(wire, cluster, tmp_path).step()
    assert policy(cluster) is None


def test_what_was_changed_by_hand_is_told_and_stays_until_a_person_puts_it_back(
    agent: ClusterAgent, wire: Wire, cluster: LocalCluster, hands: Hands, tmp_path: Path
) -> None:
    agent.step()
    cluster.call("DELETE", OURS)
    hands.push(minutes=1)
    agent.step()
    assert drifts() == [(POLICY, True, "The object is gone.")]
    started(wire, cluster, tmp_path).step()
    assert policy(cluster) is None
    (drift,) = Drift.objects.all()
    assert drift.seen_at == Target.objects.get().checked_at
    assert timedelta(0) <= hands.clock() - drift.seen_at < timedelta(seconds=30)
    with pytest.raises(NotSafeToAdopt):
        adopting.adopt(drift_id=drift.pk, actor=OLGA, at=AT)
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=AT)
    agent.step()
    assert policy(cluster) is not None
    assert drifts() == []
    assert Target.objects.get().facts["taken"] == {}
    cluster.call("DELETE", OURS)
    agent.step()
    assert policy(cluster) is None


def test_labels_taken_off_may_be_left_alone_and_a_stranger_is_removed_on_a_persons_word(
    agent: ClusterAgent, cluster: LocalCluster
) -> None:
    agent.step()
    cluster.merge(OURS, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "hand"}}})
    labels = {"app.kubernetes.io/managed-by": "sallyport", "sallyport.dev/cluster": "cluster"}
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "sp-open", "namespace": "shop", "labels": labels},
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    assert cluster.apply(f"{POLICIES}/sp-open", body, "hand").status_code in (200, 201)
    agent.step()
    stray, ours = Drift.objects.order_by("path")
    assert (stray.expected, stray.opens, ours.opens, ours.why_not) == ("", True, False, "")
    adopting.adopt(drift_id=ours.pk, actor=OLGA, at=AT)
    agent.step()
    assert [path for path, *_ in drifts()] == [stray.path]
    drifting.put_back(drift_id=stray.pk, actor=OLGA, at=AT)
    agent.step()
    assert (policy(cluster, "sp-open"), drifts()) == (None, [])
    assert policy(cluster)["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "hand"  # type: ignore[index]  # there


def test_somebody_else_in_the_way_is_named_and_holds_up_nothing_else(
    agent: ClusterAgent, wire: Wire, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    agent.step()
    factory.service("orders", team=shop.payments_team, doors=("mesh",))
    changes.note_service(slug="orders", at=AT)
    agreed(hands)
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"ingress": [{"from": []}]}}
    assert cluster.apply(OURS, body, "argocd", force="true").status_code == 200
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    with pytest.raises(ClusterError, match="argocd"):
        agent.step()
    assert policy(cluster, "sp-orders") is not None
    hands.push(seconds=5)
    hands.work()
    target = Target.objects.get()
    assert (target.trouble, objects.managers_of(target.facts["conflicts"][POLICY])) == ("conflict", "argocd")
    assert doors(grant) == {"mesh": "opening"}
    objects.take_over(slug="cluster", path=POLICY, managers="argocd", actor=OLGA, at=AT)
    hands.push(seconds=20)
    agent.step()
    assert (callers(cluster), doors(grant)) == (["cart"], {"mesh": "proven"})


def test_an_object_of_a_name_of_ours_that_is_not_ours_is_left(
    agent: ClusterAgent, wire: Wire, cluster: LocalCluster
) -> None:
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "sp-payments", "namespace": "shop"},
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    cluster.apply(OURS, body, "argocd")
    with pytest.raises(ClusterError, match="made by argocd, and is not ours"):
        agent.step()
    assert wire.said[-1]["trouble"]["kind"] == "not_ours"
    assert Node.objects.get().trouble == "not_ours"


def test_nothing_is_believed_that_was_not_signed_or_is_older_or_was_ordered_before(
    agent: ClusterAgent, wire: Wire, cluster: LocalCluster, hands: Hands, tmp_path: Path
) -> None:
    first = wire.wait_for_bundle("", 0)
    assert first is not None
    head, body, seal = first.signed.split(".")
    wire.instead = f"{head}.{body[:-4]}AAAA.{seal}"
    with pytest.raises(BundleError):
        agent.step()
    assert (wire.said[-1]["revision"], wire.said[-1]["state"]) == (0, "failed")
    wire.instead = ""
    for memory, refusal in (({"revision": 7}, "Revision 1 is older than 7"), ({"order": 3}, "Order 0 is older than 3")):
        MemoryFile(tmp_path / "memory.json").keep(revision=0, order=0)
        MemoryFile(tmp_path / "memory.json").keep(**memory)
        hands.push(seconds=20)
        with pytest.raises(BundleError, match=refusal):
            started(wire, cluster, tmp_path).step()
    assert policy(cluster) is None


def test_an_order_is_carried_out_once_however_often_it_is_offered(
    agent: ClusterAgent, wire: Wire, cluster: LocalCluster
) -> None:
    agent.step()
    cluster.call("DELETE", OURS)
    agent.step()
    drifting.put_back(drift_id=Drift.objects.get().pk, actor=OLGA, at=AT)
    ordered = wire.wait_for_bundle("", 0)
    assert ordered is not None
    agent.step()
    cluster.call("DELETE", OURS)
    wire.instead = ordered.signed
    sights.ask(target=Target.objects.get(), at=AT)
    agent.step()
    assert policy(cluster) is None


def test_what_it_was_not_told_about_it_does_not_touch(agent: ClusterAgent, wire: Wire, hands: Hands) -> None:
    Target.objects.update(config={**Target.objects.get().config, "namespaces": ["shop", "till"]})
    agent._config = replace(agent._config, kinds=("configmaps.core",))
    with pytest.raises(BundleError, match=r"may not touch networkpolicies\.networking\.k8s\.io"):
        agent.step()
    assert "apply its manifest again" in Node.objects.get().error


def test_a_memory_that_cannot_be_read_is_no_missing_one(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text('{"revision": 3')
    with pytest.raises(BadMemory, match="do not just remove it"):
        MemoryFile(tmp_path / "memory.json")


def test_a_cluster_that_does_not_answer_is_told_as_that(
    agent: ClusterAgent, wire: Wire, cluster: LocalCluster, hands: Hands
) -> None:
    agent.step()
    cluster.faults({"path": "/apis/.*", "status": 503, "times": 50})
    with pytest.raises(ClusterError):
        agent.step()
    assert Target.objects.get().trouble == "unavailable"
    cluster.faults()
    agent.step()
    assert (Target.objects.get().trouble, Target.objects.get().error) == ("", "")


def test_a_silent_agent_is_a_difference_nobody_puts_back(agent: ClusterAgent, hands: Hands) -> None:
    agent.step()
    hands.push(minutes=3)
    assert drifting.observe(slug="cluster", at=hands.clock()) == 1
    drift = Drift.objects.get()
    assert (drift.path, drift.observed) == ("node/agent", "offline")
    with pytest.raises(NotOurs):
        drifting.put_back(drift_id=drift.pk, actor=OLGA, at=AT)
    assert Target.objects.get().checked_at == Sight.objects.get().seen_at <= AT  # type: ignore[operator]  # it was seen


def test_whoever_asks_during_a_look_has_the_next_one(agent: ClusterAgent, hands: Hands) -> None:
    agent.step()
    sights.ask(target=Target.objects.get(), at=hands.clock() + timedelta(seconds=1))
    agent.step()
    assert Sight.objects.get().asked_at is not None, "that look began before somebody asked"
    hands.push(seconds=2)
    agent.step()
    assert Sight.objects.get().asked_at is None


def test_what_the_cluster_lets_it_do_is_answered_by_the_agent_or_given_up(agent: ClusterAgent, hands: Hands) -> None:
    agent.step()
    made = preflights.ask(slug="cluster", actor=OLGA, at=hands.clock())
    assert preflights.due(hands.clock()) == []
    agent.step()
    found = Preflight.objects.get(pk=made.pk)
    assert (found.finished_at, found.answered, found.error) == (hands.clock(), found.asked, "")
    second = preflights.ask(slug="cluster", actor=OLGA, at=hands.clock())
    hands.push(minutes=10)
    preflights.ask(slug="cluster", actor=OLGA, at=hands.clock())
    assert Preflight.objects.get(pk=second.pk).error == "Its agent did not answer"


@pytest.mark.parametrize(
    "seen",
    [
        {"age": "soon"},
        {"age": float("nan")},
        {"order": -1},
        {"held": 2**40},
        {"behind": [""]},
        {"behind": ["x" * 500]},
        {"differs": [{"path": "a"}]},
        {"differs": ["a"]},
        {"conflicts": [1]},
        {"conflicts": {"a": [{"manager": 1}]}},
    ],
)
def test_a_report_that_cannot_be_read_is_refused(seen: dict[str, Any]) -> None:
    good = {"age": 0, "order": 0, "version": "", "held": 0, "differs": [], "behind": [], "conflicts": {}}
    assert said_in({"seen": good}).seen is not None
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError, OverflowError)):
        said_in({"seen": {**good, **seen}})


def test_what_does_not_fit_is_told_without_its_text(agent: ClusterAgent, cluster: LocalCluster) -> None:
    agent.step()
    many = [{"from": [{"podSelector": {"matchLabels": {"app": f"x{number}"}}}]} for number in range(400)]
    cluster.merge(OURS, {"spec": {"ingress": many}})
    agent.step()
    (drift,) = Drift.objects.all()
    assert (drift.opens, drift.diff) == (True, "")
    assert "too long" in drift.detail
    assert Sight.objects.get().differs[0]["text"] == ""


def test_a_cluster_that_is_taken_out_is_emptied_by_its_agent(
    agent: ClusterAgent, wire: Wire, shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    Target.objects.update(config={**Target.objects.get().config, "reached": "agent"})
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    agent.step()
    labels = {"app.kubernetes.io/managed-by": "sallyport", "sallyport.dev/cluster": "cluster"}
    for name, marks in (("stray", labels), ("shut", {**labels, "sallyport.dev/closed": "true"}), ("theirs", {})):
        meta = {"name": name, "namespace": "shop", "labels": marks}
        body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta}
        cluster.call("POST", POLICIES, {**body, "spec": {"podSelector": {}}}).raise_for_status()
    leaving.ask(slug="cluster", number=Target.objects.get().latest_number, actor=OLGA, at=AT)
    hands.work()
    assert Target.objects.get().is_leaving, "its agent has not been there yet"
    agent.step()
    assert [one["metadata"]["name"] for one in cluster.call("GET", POLICIES).json()["items"]] == ["theirs"]
    hands.push(minutes=1)
    hands.work()
    assert Target.objects.get().is_removed
    assert doors(grant) == {"mesh": "failing"}
    agent.step()
    assert Target.objects.get().is_removed
    leaving.back(slug="cluster", actor=OLGA, at=hands.clock())
    agreed(hands)
    agent.step()
    assert (callers(cluster), Target.objects.get().is_pulled) == (["cart"], True)
    assert doors(grant) == {"mesh": "proven"}
