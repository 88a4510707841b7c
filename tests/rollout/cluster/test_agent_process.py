"""The agent as it runs: a process in a cluster, with the rights of its manifest and a token of its service account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from apps.access import services as access
from apps.access.models import Grant
from apps.rollout.models import Drift, Node, Preflight, Sight, Target
from apps.rollout.services import changes, drifting, preflights
from apps.rollout.services.cluster import closing, objects, sights
from tests.factories import access as factory
from tests.localcluster.cluster import LocalCluster, eventually
from tests.rollout.cluster.inside import AgentProcess, Line, let_in
from tests.rollout.cluster.world import OLGA, POLICIES, POLICY, agreed, callers, cluster_spec, policy
from tests.rollout.world import Hands, doors, make_target, now, read_signed, standing_grant

pytestmark = pytest.mark.django_db(transaction=True)
OURS = f"{POLICIES}/sp-payments"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def line(live_server: LiveServer) -> Iterator[Line]:
    made = Line(str(live_server.url))
    yield made
    made.stop()


@pytest.fixture
def agent(shop: factory.Shop, cluster: LocalCluster, line: Line, tmp_path: Path) -> Iterator[AgentProcess]:
    """Let in by its account, and running."""
    make_target(cluster_spec(""))
    Target.objects.update(delivery="pulled")
    let_in(keys=cluster.account_keys())
    made = AgentProcess(tmp_path, line, cluster)
    made.install()
    made.start()
    yield made
    made.kill()


def target() -> Target:
    return Target.objects.get()


def told(grant: Grant) -> str:
    return Grant.objects.get(pk=grant.pk).doors.get(point="mesh").detail


def drifts() -> list[tuple[str, bool]]:
    return list(Drift.objects.filter(resolved_at=None).values_list("path", "opens"))


def shown(grant: Grant, state: str, hands: Hands) -> bool:
    hands.work()
    return doors(grant) == {"mesh": state}


def test_from_its_account_to_proven_doors_and_back(
    agent: AgentProcess, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    hands.work()
    eventually(lambda: Node.objects.get().last_seen_at)
    assert [one.service for one in closing.closings(target())] == ["payments"]
    assert policy(cluster) is None
    agreed(hands)
    eventually(lambda: policy(cluster))
    grant = standing_grant(shop.cart, shop.cyd)
    eventually(lambda: shown(grant, "proven", hands))
    assert callers(cluster) == ["cart"]
    assert told(grant) == "Its agent reports that the cluster holds the objects; no call was made."
    assert target().facts["server_version"].startswith("v1.")
    assert policy(cluster)["metadata"]["managedFields"][0]["manager"] == "sallyport"  # type: ignore[index]  # it is there

    cluster.merge(OURS, {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}})
    eventually(lambda: drifts() == [(POLICY, True)])
    drift = Drift.objects.get()
    assert '-                "kubernetes.io/metadata.name": "shop"' in drift.diff
    assert policy(cluster)["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]  # type: ignore[index]  # it is there
    drifting.put_back(drift_id=drift.pk, actor=OLGA, at=now())
    eventually(lambda: drifts() == [])
    assert callers(cluster) == ["cart"]
    assert Drift.objects.get().resolution == "Put back by Olga."
    assert agent.memory()["done"] == 1

    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"ingress": [{"from": []}]}}
    assert cluster.apply(OURS, body, "argocd", force="true").status_code == 200
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=now())
    hands.work()
    eventually(lambda: target().facts["conflicts"])
    assert objects.managers_of(target().facts["conflicts"][POLICY]) == "argocd"
    eventually(lambda: hands.work() or target().trouble == "conflict")
    assert doors(grant) == {"mesh": "closing"}
    objects.take_over(slug="cluster", path=POLICY, managers="argocd", actor=OLGA, at=now())
    eventually(lambda: shown(grant, "closed", hands))
    assert callers(cluster) == []
    eventually(lambda: (target().facts["conflicts"], target().facts["taken"], target().error) == ({}, {}, ""))


def test_what_it_may_do_is_asked_there_and_a_look_is_dated(
    agent: AgentProcess, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    eventually(lambda: Sight.objects.filter(held=1).exists())
    made = preflights.ask(slug="cluster", actor=OLGA, at=now())
    eventually(lambda: Preflight.objects.get(pk=made.pk).finished_at)
    found = Preflight.objects.get(pk=made.pk)
    assert (preflights.stoppers(found), found.error) == (0, "")
    assert {one["said"] for one in found.findings if one["area"] == "Namespace shop"} == {
        "May get, list, create, patch, delete."
    }
    before = now()
    sights.ask(target=target(), at=before)
    eventually(lambda: Sight.objects.get().asked_at is None)
    assert before <= Sight.objects.get().seen_at <= now()  # type: ignore[operator]  # it was seen
    eventually(lambda: target().checked_at == Sight.objects.get().seen_at)


def test_killed_in_the_middle_it_goes_on_where_it_was(
    agent: AgentProcess, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    for number in range(6):
        factory.service(f"s{number}", team=shop.payments_team, doors=("mesh",))
        changes.note_service(slug=f"s{number}", at=now())
    cluster.faults({"method": "PATCH", "path": f"{POLICIES}/.*", "status": 0, "delay": 0.5, "skip": 8, "times": 60})
    agreed(hands)
    names = [f"sp-s{number}" for number in range(6)] + ["sp-payments"]
    eventually(lambda: any(policy(cluster, name) for name in names))
    agent.kill()
    there = [name for name in names if policy(cluster, name)]
    assert 0 < len(there) < 7
    assert set(agent.memory()["brought"].values()) == {"?"}
    cluster.faults()
    agent.start()
    eventually(lambda: target().active_number == 1)
    assert all(policy(cluster, name) for name in names)
    assert "?" not in agent.memory()["brought"].values()


def test_without_the_console_nothing_opens_and_nothing_older_is_believed(
    agent: AgentProcess, line: Line, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    agreed(hands)
    grant = standing_grant(shop.cart, shop.cyd)
    eventually(lambda: shown(grant, "proven", hands))
    line.is_cut = True
    access.end_grant(public_id=grant.public_id, actor=shop.ben, at=now())
    hands.work()
    agent.kill()
    agent.start()
    eventually(lambda: agent.log().count("does not answer") > 1)
    assert callers(cluster) == ["cart"]
    line.is_cut = False
    eventually(lambda: shown(grant, "closed", hands))
    assert callers(cluster) == []

    with_access = next(text for text in reversed(line.bundles) if _revision(text) == 2)
    line.instead = with_access
    eventually(lambda: "Revision 2 is older than 3" in agent.log())
    eventually(lambda: "Revision 2 is older than 3" in Node.objects.get().error)
    head, body, seal = json.loads(with_access)["signed"].split(".")
    line.instead = json.dumps({"signed": f"{head}.{body[:-2]}AA.{seal}", "inline": {}, "probes": []})
    eventually(lambda: "The signature is not right" in Node.objects.get().error)
    assert callers(cluster) == []
    line.instead = ""
    eventually(lambda: Node.objects.get().error == "")


def _revision(text: str) -> int:
    return int(read_signed(json.loads(text)["signed"])["revision"])
