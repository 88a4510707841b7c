"""The agent of a cluster that lets nobody in: what was signed is applied, what is gone is removed, and it says so."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from apps.access import services as access
from apps.meshagent.bundle import BundleError, Verifier
from apps.meshagent.cluster_agent import ClusterAgent, Config
from apps.meshagent.cluster_objects import ClusterError, Objects, Server
from apps.meshagent.console import Offer
from apps.rollout.models import Node, Target
from apps.rollout.services import nodes
from apps.rollout.services.targets import Enrolment, enroll_node
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.rollout.cluster.world import OLGA, POLICIES, agreed, callers, cluster_spec, policy
from tests.rollout.world import Hands, doors, make_target, standing_grant

pytestmark = pytest.mark.django_db


class Wire:
    """The agent's console, without the network between: what it would get and say."""

    def __init__(self, node: Node, hands: Hands) -> None:
        self.node, self.hands = node, hands
        self.said: list[dict[str, Any]] = []
        self.forged = ""

    def wait_for_bundle(self, have: str, seconds: int) -> Offer | None:
        Node.objects.update(last_seen_at=self.hands.clock())
        found = nodes.offer(node_id=self.node.pk, have=have, at=self.hands.clock())
        if found is None:
            return None
        inline = {sha256: base64.b64decode(text) for sha256, text in found.inline.items()}
        return Offer(self.forged or found.signed, inline, [])

    def artifacts(self, hashes: set[str]) -> dict[str, bytes]:
        found = nodes.artifacts_for(node=self.node, hashes=hashes)
        return {sha256: base64.b64decode(text) for sha256, text in found.items()}

    def report(self, said: dict[str, Any]) -> None:
        self.said.append(said)
        report = nodes.Report(said["revision"], said["digest"], said["state"] == "active", said["error"])
        nodes.record_report(node=Node.objects.get(pk=self.node.pk), report=report, at=self.hands.clock())


@pytest.fixture
def pulled(shop: factory.Shop, cluster: LocalCluster) -> Enrolment:
    make_target(cluster_spec("http://127.0.0.1:1"), AT)
    Target.objects.update(delivery="pulled")
    return enroll_node(target_slug="cluster", name="agent", actor=OLGA, at=AT)


def agent(enrolled: Enrolment, wire: Wire, cluster: LocalCluster, folder: Path) -> ClusterAgent:
    keys, token = folder / "keys.json", folder / "token"
    keys.write_text(json.dumps(enrolled.bundle_keys))
    token.write_text(ADMIN)
    server = Server(cluster.url, token, None)
    config = Config(
        "http://console", token, keys, "agent", "cluster", ("shop",), server, folder / "floor", again_seconds=0
    )
    objects = Objects(server, "cluster", ("shop",), "allow")
    return ClusterAgent(config, wire, Verifier(keys), objects)  # type: ignore[arg-type]  # speaks as a console does


def test_what_was_signed_is_applied_and_what_is_gone_is_removed(
    pulled: Enrolment, shop: factory.Shop, cluster: LocalCluster, hands: Hands, tmp_path: Path
) -> None:
    agreed(hands)
    wire = Wire(pulled.node, hands)
    works = agent(pulled, wire, cluster, tmp_path)
    works.step()
    assert wire.said[-1]["state"] == "active"
    grant = standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    works.step()
    assert callers(cluster) == ["cart"]
    assert doors(grant) == {"mesh": "proven"}
    assert grant.doors.get().detail == "Its agent reports that the cluster holds the objects; no call was made."
    cluster.call("DELETE", f"{POLICIES}/sp-payments")
    works.step()
    assert callers(cluster) == ["cart"]
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=AT)
    hands.work()
    works.step()
    assert (callers(cluster), doors(grant)) == ([], {"mesh": "closed"})
    Target.objects.update(config={**Target.objects.get().config, "namespaces": ["elsewhere"]})
    assert policy(cluster) is not None
    Objects(Server(cluster.url, tmp_path / "token", None), "cluster", ("shop",), "allow").bring({}, {}, 9)
    assert policy(cluster) is None


def test_somebody_else_in_the_way_is_reported_and_not_overrun(
    pulled: Enrolment, shop: factory.Shop, cluster: LocalCluster, hands: Hands, tmp_path: Path
) -> None:
    agreed(hands)
    wire = Wire(pulled.node, hands)
    works = agent(pulled, wire, cluster, tmp_path)
    works.step()
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"ingress": [{}]}}
    assert cluster.apply(f"{POLICIES}/sp-payments", body, "argocd", force="true").status_code == 200
    with pytest.raises(ClusterError, match="argocd"):
        works.step()
    assert wire.said[-1]["state"] == "failed"
    assert "argocd" in Node.objects.get().error


def test_nothing_is_believed_that_was_not_signed_or_is_older(
    pulled: Enrolment, cluster: LocalCluster, hands: Hands, tmp_path: Path
) -> None:
    agreed(hands)
    wire = Wire(pulled.node, hands)
    works = agent(pulled, wire, cluster, tmp_path)
    first = wire.wait_for_bundle("", 0)
    assert first is not None
    head, body, seal = first.signed.split(".")
    wire.forged = f"{head}.{body[:-4]}AAAA.{seal}"
    with pytest.raises(BundleError):
        works.step()
    (tmp_path / "floor").write_text("7")
    wire.forged = ""
    with pytest.raises(BundleError, match="Revision 1 is older than 7"):
        works.step()
    assert policy(cluster) is None
