"""The pages of a cluster: added, reached, set, looked at, closed only after a yes, objects taken over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.audit.models import Event
from apps.identity.models import Subject
from apps.rollout.models import Drift, Node, PendingChange, Preflight, Revision, Target, TargetArtifact
from apps.rollout.surroundings import secret_of
from apps.rollout.views import healths
from tests.factories import clusters, pages
from tests.factories.clusters import CONTESTED
from tests.reading import text_of

Browse = Callable[[Subject], Client]
SECRET = "cluster-token-1234"


@pytest.fixture
def olga(house: pages.House, browse: Browse) -> Client:
    clusters.cluster_target(datetime.now(UTC))
    return browse(house.olga)


def test_a_cluster_is_shown_with_its_conflicts_and_what_waits(olga: Client) -> None:
    shown = text_of(olga, "/rollout/cluster/")
    assert "<b>kubectl</b> sets .spec.ingress" in shown
    assert "Take over this object" in shown
    assert "1 service waits for a yes" in shown
    assert "end of sale since July 2023" in shown
    assert "v1.32.1" in shown


def test_what_waits_for_a_yes_is_counted_apart_from_what_waits_to_be_compiled(olga: Client) -> None:
    at = datetime.now(UTC)
    asks = Target.objects.get(slug="cluster")
    plain = clusters.cluster_target(at, "plain", facts={})
    for target, service in ((asks, "payments"), (asks, "payments"), (asks, "billing"), (plain, "payments")):
        PendingChange.objects.create(target=target, service=service, topic="t", cause="c", at=at, retry_at=at)
    Drift.objects.create(target=plain, path="a", expected="1", observed="2", found_at=at, seen_at=at)
    Drift.objects.create(target=plain, path="b", expected="1", observed="2", found_at=at, seen_at=at, resolved_at=at)
    told = {one.target.slug: one for one in healths(Target.objects.all(), at)}
    assert (told["cluster"].asking, told["cluster"].pending, told["cluster"].drifted) == (1, 1, 0)
    assert (told["plain"].asking, told["plain"].pending, told["plain"].drifted) == (0, 1, 1)
    assert "1 service waits for a yes" in text_of(olga, "/rollout/")


def test_it_says_how_soon_a_change_by_hand_is_seen(olga: Client) -> None:
    assert "Seen within a minute: no process watches it" in text_of(olga, "/rollout/cluster/")
    Target.objects.update(watched_at=datetime.now(UTC))
    assert "Seen at once: it is watched" in text_of(olga, "/rollout/cluster/")


def test_the_plan_names_who_called_lately_and_may_not_then(house: pages.House, olga: Client) -> None:
    shown = text_of(olga, "/rollout/cluster/plan/")
    assert "1 service would be closed: it waits for your yes" in shown
    assert "payments is closed to every pod that is not named." in shown
    assert "workload:spiffe://shop.test/ns/shop/sa/cart" in shown
    assert '<div class="faint mono tiny wraps">person:ada</div><div class="quiet">1 call, the last' in shown


def test_the_plan_says_how_bad_it_is_what_a_revision_brings_along(olga: Client) -> None:
    made = pages.revise(Target.objects.get(slug="cluster"), 7, datetime.now(UTC))
    trap = {"service": "payments", "code": "netpol_reopens", "sentence": "Everybody can reach it.", "severity": "error"}
    Revision.objects.filter(pk=made.pk).update(traps=[trap])
    shown = text_of(olga, "/rollout/cluster/plan/")
    assert '<span class="tag tone-bad">error</span><div class="sub">Everybody can reach it.</div>' in shown


def test_a_yes_is_kept_and_asked_only_once(olga: Client) -> None:
    answer = olga.post("/rollout/cluster/plan/", {"service": "payments"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/cluster/plan/")
    facts = Target.objects.get(slug="cluster").facts
    assert (facts["held"], facts["closings"]["payments"]["by"]) == ({}, "Olga")
    again = olga.post("/rollout/cluster/plan/", {"service": "payments"})
    assert again.status_code == 422
    assert "None of these waits for a yes any more." in again.content.decode()
    assert "Nothing waits for a yes" in text_of(olga, "/rollout/cluster/plan/")


def test_a_plan_of_five_thousand_objects_is_turned_page_by_page(olga: Client) -> None:
    target = Target.objects.get(slug="cluster")
    said = {**target.facts["held"]["payments"], "allowed": [f"person:p{number:03}" for number in range(200)]}
    paths = [CONTESTED.replace("payments", f"payments-{number:02}") for number in range(100)]
    held = {f"s{number:02}": {**said, "paths": paths} for number in range(50)}
    Target.objects.filter(pk=target.pk).update(facts={**target.facts, "held": held})
    first = text_of(olga, "/rollout/cluster/plan/")
    assert "50 services would be closed: they wait for your yes" in first
    assert [f'id="s-s{number:02}"' in first for number in (0, 9, 10)] == [True, True, False]
    assert "And 70 more." in first
    assert len(first) < 80 * 1024
    assert "?after=s09" in first
    last = text_of(olga, "/rollout/cluster/plan/?after=s39")
    assert [f'id="s-s{number:02}"' in last for number in (39, 40, 49)] == [False, True, True]
    assert "More services" not in last


def test_an_object_is_taken_over_from_whom_was_shown_and_from_nobody_else(olga: Client) -> None:
    olga.post("/rollout/cluster/take-over", {"path": CONTESTED, "managers": "argocd"})
    assert Event.objects.filter(action="rollout.object.taken_over").count() == 0
    answer = olga.post("/rollout/cluster/take-over", {"path": CONTESTED, "managers": "kubectl"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/cluster/")
    assert list(Target.objects.get(slug="cluster").facts["taken"]) == [CONTESTED]
    assert "Taken over by Olga" in text_of(olga, "/rollout/cluster/")


def test_settings_are_kept_or_refused_by_name(olga: Client) -> None:
    given = {
        "namespaces": "shop",
        "emitters": ["nic"],
        "access_control": "deny",
        "mtls": "strict",
        "ingress": "nic/nic",
    }
    answer = olga.post("/rollout/cluster/settings", {**given, "sure": "on"})
    assert answer.status_code == 302
    config = Target.objects.get(slug="cluster").config
    assert (config["emitters"], config["access_control"], config["server"]) == (["nic"], "deny", "https://127.0.0.1:1")
    answer = olga.post("/rollout/cluster/settings", {**given, "namespaces": "Shop"})
    assert answer.status_code == 422
    assert "Namespaces have lower-case letters" in answer.content.decode()


def test_what_guards_pods_is_taken_off_by_who_read_that_they_are_open_then(olga: Client) -> None:
    given = {"namespaces": "shop", "access_control": "allow", "mtls": "permissive", "ingress": "nic/nic"}
    before = Target.objects.get(slug="cluster").config
    assert "networkpolicy" in before["emitters"]
    answer = olga.post("/rollout/cluster/settings", {**given, "emitters": ["nic"]})
    assert answer.status_code == 422
    assert "everybody in the cluster can connect to the pods it guards now" in answer.content.decode()
    assert "Take it off all the same" in answer.content.decode()
    assert Target.objects.get(slug="cluster").config == before
    answer = olga.post("/rollout/cluster/settings", {**given, "emitters": [*before["emitters"], "nic"]})
    assert answer.status_code == 302
    assert "Take it off" not in text_of(olga, "/rollout/cluster/settings")


def test_a_credential_is_never_put_back_into_a_page(olga: Client) -> None:
    file = SimpleUploadedFile("kubeconfig", b"apiVersion: v1\ntoken: fresh-secret-token\n")
    given = {"by": "kubeconfig", "kubeconfig": "token: another-secret", "file": file}
    answer = olga.post("/rollout/cluster/connect", given)
    assert answer.status_code == 422
    assert "secret" not in answer.content.decode().replace("client_ca_secret", "")
    for path in ("connect", "preflight/", "settings", "plan/", ""):
        assert SECRET not in text_of(olga, f"/rollout/cluster/{path}"), path
    assert secret_of(Target.objects.get(slug="cluster"))["token"] == SECRET


def test_the_least_it_has_to_grant_can_be_copied(olga: Client) -> None:
    shown = text_of(olga, "/rollout/cluster/preflight/")
    assert "Nobody has asked the cluster yet what we may do" in shown
    assert "networkpolicies" in shown
    assert "kind: Role" in shown
    assert olga.post("/rollout/cluster/preflight/").status_code == 302
    assert Preflight.objects.get().asked > 1


def test_a_new_cluster_that_cannot_be_reached_leaves_nothing(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    assert "Add a Kubernetes cluster" in text_of(client, "/rollout/add/cluster")
    given = {
        "name": "Shop",
        "slug": "shop-cluster",
        "namespaces": "shop",
        "emitters": ["networkpolicy"],
        "access_control": "allow",
        "mtls": "permissive",
        "ingress": "nginx-ingress/nginx-ingress",
        "by": "token",
        "server": "http://127.0.0.1:1",
        "token": "fresh-secret-token",
    }
    answer = client.post("/rollout/add/cluster", given)
    assert answer.status_code == 422
    assert "The cluster cannot be reached." in answer.content.decode()
    assert "fresh-secret-token" not in answer.content.decode()
    answer = client.post("/rollout/add/cluster", {**given, "by": "agent"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/shop-cluster/preflight/")
    made = Target.objects.get(slug="shop-cluster")
    assert (made.delivery, made.production, made.config["reached"]) == ("pulled", "approved", "agent")


def test_what_differs_in_a_cluster_can_be_put_back(house: pages.House, olga: Client) -> None:
    at = datetime.now(UTC)
    Drift.objects.create(
        target=Target.objects.get(slug="cluster"), path=CONTESTED, expected="a", observed="b", found_at=at, seen_at=at
    )
    assert "Put back" in text_of(olga, "/rollout/cluster/drift/")


def test_only_who_keeps_targets_may_change_a_cluster(house: pages.House, olga: Client, browse: Browse) -> None:
    cyd = browse(house.shop.cyd)
    assert cyd.get("/rollout/cluster/plan/").status_code == 200
    assert "Close Payments" not in cyd.get("/rollout/cluster/plan/").content.decode()
    given = {"service": "payments", "path": CONTESTED, "managers": "kubectl", "namespaces": "shop", "emitters": ["nic"]}
    before = Target.objects.get(slug="cluster")
    for path in ("plan/", "settings", "take-over", "connect"):
        assert "role" in cyd.post(f"/rollout/cluster/{path}", given, follow=True).content.decode(), path
    after = Target.objects.get(slug="cluster")
    assert (after.facts, after.config) == (before.facts, before.config)
    assert cyd.get("/rollout/add/cluster").status_code == 403
    assert olga.get("/rollout/mesh/plan/").status_code == 404


HELD_BY_PAYMENTS = {"service": "payments", "media_type": "application/json", "size": 1}


@pytest.fixture
def opening(olga: Client) -> Client:
    """An object of payments is there that keeps somebody out, and one that is only wanted."""
    target = Target.objects.get(slug="cluster")
    for name, applied in (("sp-payments", "1"), ("sp-later", "")):
        path = f"shop/networkpolicies.networking.k8s.io/{name}.json"
        TargetArtifact.objects.create(target=target, path=path, sha256="1", applied_sha256=applied, **HELD_BY_PAYMENTS)
    return olga


def test_taking_it_out_says_first_what_becomes_open(opening: Client) -> None:
    assert "Take out" in text_of(opening, "/rollout/cluster/")
    shown = text_of(opening, "/rollout/cluster/take-out")
    assert "1 service becomes open: calls go through that are refused today." in shown
    assert "Every pod that reaches it may connect" in shown
    assert "1 NetworkPolicy" in shown
    assert "Take it out, and leave 1 service open" in shown


def test_it_is_taken_out_by_whoever_saw_the_plan_and_comes_back(opening: Client) -> None:
    refused = opening.post("/rollout/cluster/take-out", {"revision": "7"})
    assert (refused.status_code, Target.objects.get(slug="cluster").is_kept) == (302, True)
    answer = opening.post("/rollout/cluster/take-out", {"revision": "0"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/cluster/take-out")
    shown = text_of(opening, "/rollout/cluster/take-out")
    assert "Shop cluster is being taken out" in shown
    assert "Still there: 1 NetworkPolicy." in shown
    assert "stop waiting for it" not in shown, "it has answered so far"
    Target.objects.filter(slug="cluster").update(error="no answer")
    assert "The cluster is no more: stop waiting for it" in text_of(opening, "/rollout/cluster/take-out")
    assert "is being taken out" in text_of(opening, "/rollout/cluster/")
    opening.post("/rollout/cluster/take-out", {"act": "forget"})
    assert "Nothing of ours is in Shop cluster any more" in text_of(opening, "/rollout/cluster/take-out")
    assert "was taken out" in text_of(opening, "/rollout/cluster/")
    assert "It was taken out." in text_of(opening, "/rollout/")
    opening.post("/rollout/cluster/take-out", {"act": "back"})
    assert Target.objects.get(slug="cluster").is_kept
    assert PendingChange.objects.filter(target__slug="cluster", service="payments").exists()


def test_a_node_that_was_lost_is_removed_on_its_targets_page(house: pages.House, browse: Browse) -> None:
    target, client = clusters.pulled_target(datetime.now(UTC)), browse(house.olga)
    seen = {"expected": "online", "observed": "offline", "found_at": target.created_at, "seen_at": target.created_at}
    Drift.objects.create(target=target, path="node/agent", **seen)
    assert 'aria-label="Remove agent"' in text_of(client, "/rollout/inside/")
    assert 'aria-label="Remove agent"' not in text_of(browse(house.shop.flo), "/rollout/inside/")
    assert client.post("/rollout/inside/remove-node", {"node": "other"}).status_code == 404
    answer = client.post("/rollout/inside/remove-node", {"node": "agent"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/inside/")
    assert not Node.objects.filter(target=target).exists()
    assert Drift.objects.get(path="node/agent").resolution == "The node was removed."
    assert Event.objects.get(action="rollout.node.removed").actor_id == "person:olga"
