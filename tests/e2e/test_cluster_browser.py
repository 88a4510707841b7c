"""A Kubernetes cluster in a real browser: closed after a yes and not before, changed by somebody's hand, put right.

The demo's own cluster, which nobody has agreed to anything in yet. Its other pages are among those of ``test_pages``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import LOOKS, Look, assert_no_grave_fault, context_for
from tests.running import Running, wait_until

pytestmark = pytest.mark.e2e

CLUSTER = "/rollout/cluster/"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/outreach/networkpolicies"
PLAIN = Look("plain", 1440, "light", javascript=False)
EVERYBODY = {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}


class Kubectl:
    """Somebody with rights of their own in the demo's cluster."""

    def __init__(self, demo: Running) -> None:
        self._base = demo.state["cluster"] + POLICIES
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {demo.state['cluster_admin_token']}"

    def get(self, name: str) -> Any:
        answer = self._session.get(f"{self._base}/{name}", timeout=10)
        return answer.json() if answer.status_code == 200 else None

    def edit(self, name: str, body: object) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = self._session.patch(
            f"{self._base}/{name}?fieldManager=kubectl-edit", json=body, headers=headers, timeout=10
        )
        answer.raise_for_status()

    def apply(self, name: str, body: dict[str, Any], manager: str) -> None:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        whole = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, **body}
        answer = self._session.patch(
            f"{self._base}/{name}?fieldManager={manager}", json=whole, headers=headers, timeout=10
        )
        answer.raise_for_status()


@pytest.fixture(scope="module")
def kubectl(demo: Running) -> Kubectl:
    return Kubectl(demo)


@pytest.fixture(scope="module")
def olga(demo: Running, browser: Browser) -> Iterator[Page]:
    context = context_for(browser, demo, "olga", LOOKS[0])
    yield context.new_page()
    context.close()


def seen(page: Page, name: str) -> None:
    """Free of grave faults, wide and light as well as narrow and dark; kept where SALLYPORT_PICTURES says."""
    for look in (LOOKS[0], LOOKS[3]):
        page.set_viewport_size({"width": look.width, "height": 900})
        page.emulate_media(color_scheme="dark" if look.scheme == "dark" else "light", reduced_motion="reduce")
        assert_no_grave_fault(page)
        if folder := os.environ.get("SALLYPORT_PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}-{look.name}.png", full_page=True)
    page.set_viewport_size({"width": LOOKS[0].width, "height": 900})


def callers(policy: Any) -> list[str]:
    """Who is let in by name; "*" for a rule that lets everybody in, as somebody's own does until ours is there."""
    rules = policy["spec"].get("ingress", []) if policy else []
    peers = [peer for rule in rules for peer in rule.get("from", [{}])]
    labels = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in peers]
    return [one.get("app.kubernetes.io/name", "*") for one in labels]


def test_a_service_is_closed_after_a_yes_and_not_before(demo: Running, olga: Page, kubectl: Kubectl) -> None:
    olga.goto(CLUSTER)
    expect(olga.get_by_text("2 services wait for a yes")).to_be_visible()
    seen(olga, "cluster-waits")
    olga.get_by_role("link", name="Look at the plan").click()
    row = olga.locator("section[data-row]").filter(has=olga.get_by_role("heading", name="Recommendations"))
    expect(row.get_by_text("workload:spiffe://shop.test/ns/shop/sa/frontend")).to_be_visible()
    row.get_by_text("objects to be brought").click()
    seen(olga, "cluster-plan")

    dialog = olga.get_by_role("dialog")
    row.get_by_role("button", name="Close Recommendations to everybody else").click()
    expect(dialog).to_contain_text("Close Recommendations in Kubernetes (local) to everybody who is not named?")
    dialog.get_by_role("button", name="Not now").click()
    assert kubectl.get("sp-recommendations") is None
    row.get_by_role("button", name="Close Recommendations to everybody else").click()
    dialog.get_by_role("button", name="Close Recommendations to everybody else").click()
    expect(olga.get_by_text("Agreed: Recommendations is closed to everybody else now.")).to_be_visible()

    policy = wait_until(lambda: kubectl.get("sp-recommendations"), what="the object in the cluster")
    assert callers(policy) == ["frontend"]
    [grant] = demo.api("cyd").get("grants/", service="recommendations")["results"]
    wait_until(lambda: "no call was made" in _mesh(demo, grant["id"])["detail"], what="the proof by reading back")


def _mesh(demo: Running, grant_id: str) -> Any:
    return next(door for door in demo.api("cyd").get(f"grants/{grant_id}/")["doors"] if door["point"] == "mesh")


def test_a_change_by_hand_is_put_back_or_adopted(olga: Page, kubectl: Kubectl) -> None:
    kubectl.edit("sp-recommendations", EVERYBODY)
    look_until(olga, differs=True)
    row = olga.locator("li[data-row]").filter(has_text="networkpolicies.networking.k8s.io/sp-recommendations.json")
    expect(row.get_by_text("Leaves a door open")).to_be_visible()
    assert row.get_by_role("button", name="Adopt").count() == 0
    seen(olga, "cluster-drift-open")
    row.get_by_role("button", name="Put back").click()
    expect(olga.get_by_text("It is being put back.")).to_be_visible()
    wait_until(lambda: callers(kubectl.get("sp-recommendations")) == ["frontend"], what="the object as it should be")
    look_until(olga, differs=False)

    kubectl.edit("sp-recommendations", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}})
    look_until(olga, differs=True)
    seen(olga, "cluster-drift-label")
    row.get_by_role("button", name="Adopt").click()
    olga.get_by_role("dialog").get_by_role("button", name="Adopt").click()
    expect(olga.get_by_text("It is taken over and counts as right from now on.")).to_be_visible()
    expect(row).to_have_count(0)


def look_until(page: Page, *, differs: bool) -> None:
    """While something is being brought there, nobody can tell."""

    def looked() -> bool:
        page.goto(CLUSTER)
        page.get_by_role("button", name="Look now").click()
        page.goto(f"{CLUSTER}drift/")
        return (page.get_by_text("networkpolicies.networking.k8s.io/sp-recommendations.json").count() > 0) is differs

    wait_until(looked, what="a look that tells")


def test_somebody_elses_object_is_taken_over_by_a_person_without_a_script(
    demo: Running, browser: Browser, olga: Page, kubectl: Kubectl
) -> None:
    kubectl.apply("sp-email", {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}}, "argocd")
    context = context_for(browser, demo, "olga", PLAIN)
    page = context.new_page()
    page.goto(f"{CLUSTER}plan/")
    page.get_by_role("button", name="Close Email to everybody else").click()
    expect(page.get_by_text("Agreed: Email is closed to everybody else now.")).to_be_visible()

    def contested() -> bool:
        page.goto(CLUSTER)
        return page.get_by_role("heading", name="Somebody else manages this").count() == 1

    wait_until(contested, what="the conflict")
    row = page.locator("li[data-row]").filter(has_text="sp-email.json")
    expect(row).to_contain_text("argocd sets")
    olga.goto(CLUSTER)
    seen(olga, "cluster-conflict")
    row.get_by_role("button", name="Take over this object").click()
    expect(page.get_by_text("Our fields of this object are set now, once.")).to_be_visible()
    wait_until(lambda: callers(kubectl.get("sp-email")) == ["checkout"], what="our fields of the object")
    context.close()


def test_a_cluster_that_lets_nobody_in_is_enrolled(olga: Page) -> None:
    olga.goto("/rollout/")
    olga.get_by_role("link", name="Add a cluster").click()
    olga.get_by_label("Name", exact=True).fill("Warehouse cluster")
    olga.get_by_label("Short name").fill("warehouse")
    olga.get_by_label("Namespaces we may touch").fill("warehouse")
    olga.get_by_role("checkbox", name="NetworkPolicy").check()
    olga.get_by_role("radio", name="not at all").check()
    seen(olga, "cluster-new")
    olga.get_by_role("button", name="Try it, then keep it").click()
    expect(olga.get_by_text("The cluster is known.")).to_be_visible()
    seen(olga, "cluster-pulled-preflight")
    olga.goto("/rollout/warehouse/")
    expect(olga.get_by_text("an agent in the cluster calls the console")).to_be_visible()
    seen(olga, "cluster-pulled")
    olga.goto("/rollout/warehouse/connect")
    seen(olga, "cluster-pulled-connect")
