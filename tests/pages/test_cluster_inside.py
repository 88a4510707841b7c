"""The pages of a cluster that lets nobody in: as its agent saw it, and when; what a person says goes there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.models import Subject
from apps.identity.proofs import issuers
from apps.identity.proofs.issuers import IssuerInput
from apps.rollout.models import Drift, Node, Preflight, Sight, Target
from tests.factories import clusters, pages
from tests.factories.clusters import ACCOUNT, CONTESTED

Browse = Callable[[Subject], Client]
JWKS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}


@pytest.fixture
def olga(house: pages.House, browse: Browse) -> Client:
    clusters.pulled_target(datetime.now(UTC))
    return browse(house.olga)


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def inside() -> Target:
    return Target.objects.get(slug="inside")


def test_it_shows_what_its_agent_saw_and_when(olga: Client) -> None:
    shown = text(olga, "/rollout/inside/")
    assert "Seen by its agent" in shown
    assert "11 objects, seen" in shown
    assert "<b>kubectl</b> sets .spec.ingress" in shown
    assert "1 service waits for a yes" in shown
    assert "Look at the plan" in shown
    Sight.objects.all().delete()
    Target.objects.update(checked_at=None)
    assert "not seen yet" in text(olga, "/rollout/inside/")
    assert "Its agent has not looked yet." in text(olga, "/rollout/inside/drift/")


def test_what_differs_is_put_back_by_its_agent_when_a_person_says_so(olga: Client) -> None:
    drift = Drift.objects.get(path=CONTESTED)
    shown = text(olga, "/rollout/inside/drift/")
    assert "As its agent saw it" in shown
    assert ("Put back" in shown, "Leaves a door open" in shown) == (True, True)
    told = olga.post(f"/rollout/inside/drift/{drift.pk}/put-back", follow=True).content.decode()
    assert "Its agent is told to put it back." in told
    taken = inside().facts["taken"][CONTESTED]
    assert (taken["by"], taken["order"], inside().facts["order"]) == ("Olga", 1, 1)
    assert Event.objects.filter(action="rollout.drift.put_back").count() == 1


def test_looking_asks_its_agent_and_says_when_it_is_silent(olga: Client) -> None:
    assert "Its agent is asked to look." in olga.post("/rollout/inside/look", follow=True).content.decode()
    assert Sight.objects.get().asked_at is not None
    Node.objects.update(last_seen_at=datetime.now(UTC) - timedelta(minutes=5))
    assert "Its agent is silent." in olga.post("/rollout/inside/look", follow=True).content.decode()


def test_what_it_may_do_is_asked_of_its_agent(olga: Client) -> None:
    assert "by its agent, with the agent" in text(olga, "/rollout/inside/preflight/")
    olga.post("/rollout/inside/preflight/")
    assert Preflight.objects.get().asked > 1
    assert "The first answers are on their way" in text(olga, "/rollout/inside/preflight/")
    Node.objects.all().delete()
    assert "Its agent is silent" in text(olga, "/rollout/inside/preflight/")


def test_the_manifest_is_printed_with_the_image_that_was_asked_for(olga: Client) -> None:
    shown = text(olga, "/rollout/inside/agent?image=registry.test/agent:7")
    assert "registry.test/agent:7" in shown
    assert "serviceAccountToken" in shown
    assert ACCOUNT in shown
    assert "The agent of Inner cluster is online" in shown
    secret = text(olga, "/rollout/inside/agent?by=secret")
    assert ("serviceAccountToken" in secret, "sallyport-agent-token" in secret) == (False, True)


def test_an_account_is_let_in_from_a_cluster_that_is_trusted(olga: Client) -> None:
    assert "No cluster" in text(olga, "/rollout/inside/agent")
    given = IssuerInput(slug="inner", kind="eks", issuer="https://kubernetes.default.svc", jwks=JWKS)
    issuers.add_issuer(given=issuers.completed(given), actor=SYSTEM, at=datetime.now(UTC))
    form = {"issuer": "inner", "account": "sallyport"}
    assert olga.post("/rollout/inside/agent", form).status_code == 422
    form["account"] = "sallyport/other"
    assert olga.post("/rollout/inside/agent", form).status_code == 302
    node = Node.objects.get(name="agent")
    assert (node.issuer, node.account) == ("inner", "system:serviceaccount:sallyport:other")


def test_only_who_keeps_targets_lets_an_agent_in_and_only_where_there_is_one(
    house: pages.House, olga: Client, browse: Browse
) -> None:
    cyd = browse(house.shop.cyd)
    assert "Let it in" not in text(cyd, "/rollout/inside/agent")
    cyd.post("/rollout/inside/agent", {"issuer": "inner", "account": "a/b"})
    assert Node.objects.get(name="agent").account == ACCOUNT
    clusters.cluster_target(datetime.now(UTC))
    assert olga.get("/rollout/cluster/agent").status_code == 404
