"""A node takes what was signed, makes it true at once, proves it and says so; what it refuses changes nothing."""

from __future__ import annotations

import time

import pytest
from joserfc.jwk import ECKey

from apps.compiler.artifacts import Bundle
from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import ADS, CART, HOSTED, Agent, Mesh, broken
from tests.meshfixtures import Authority


def test_a_grant_is_served_proven_and_reported(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    console.publish(mesh.artifacts(), 1, probes=[mesh.probe(CART, "deny")])
    closed = console.wait_report(revision=1, state="active")
    [probe] = closed["probes"]
    assert (probe["verdict"], probe["reason"], probe["grants"]) == ("deny", "no_grant", [])
    assert {identity["workload"] for identity in closed["identities"]} == set(HOSTED)
    started = time.monotonic()
    console.publish(mesh.artifacts(mesh.grant()), 2, probes=[mesh.probe(CART, "allow"), mesh.probe(ADS, "deny", "p2")])
    opened = console.wait_report(revision=2, state="active")
    assert time.monotonic() - started < 2
    assert [(one["id"], one["verdict"], one["grants"]) for one in opened["probes"]] == [
        ("p1", "allow", ["g1"]),
        ("p2", "deny", []),
    ]
    with agent.client(authority, CART) as cart, agent.client(authority, ADS) as ads:
        assert cart.send("GET", "/charges/7", port=mesh.port).status == 200
        assert ads.send("GET", "/charges/7", port=mesh.port).status == 403


def test_what_did_not_change_is_not_sent_again(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    console.publish(mesh.artifacts(), 1, inline=False)
    console.wait_report(revision=1, state="active")
    before, after = Bundle.of(mesh.artifacts()), Bundle.of(mesh.artifacts(mesh.grant()))
    changed = {one.path for one in after.artifacts} - {one.path for one in after.artifacts if one in before.artifacts}
    assert changed == {"services/payments/grants.map", "services/payments/trials.json"}
    console.publish(after.artifacts, 2, inline=False)
    console.wait_report(revision=2, state="active")
    asked = [path for path in (agent.root / "revisions" / after.digest).rglob("*.map") if path.stat().st_nlink == 1]
    assert [path.name for path in asked] == ["grants.map"]


def test_the_same_content_under_a_new_number_is_active_without_a_reload(
    agent: Agent, console: FakeConsole, mesh: Mesh
) -> None:
    console.publish(mesh.artifacts(), 1)
    console.wait_report(revision=1, state="active")
    digest = Bundle.of(mesh.artifacts()).digest
    console.publish(mesh.artifacts(mesh.grant()), 2)
    console.wait_report(revision=2, state="active")
    console.publish(mesh.artifacts(), 3)
    assert console.wait_report(revision=3, state="active")["digest"] == digest


def test_a_bundle_of_another_signer_is_refused(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    console.publish(mesh.artifacts(), 1)
    console.wait_report(revision=1, state="active")
    console.sign_with = ECKey.generate_key("P-256", {"kid": "bundle-1"})
    console.publish(mesh.artifacts(mesh.grant()), 2)
    assert "The signature is not right" in console.wait_report(revision=0, state="failed")["error"]
    _is_closed(agent, mesh, authority)


def test_another_kind_of_signed_thing_is_refused(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    console.publish(mesh.artifacts(), 1)
    console.wait_report(revision=1, state="active")
    console.publish(mesh.artifacts(mesh.grant()), 2, typ="JWT")
    assert "This is not a bundle" in console.wait_report(revision=0, state="failed")["error"]
    _is_closed(agent, mesh, authority)


@pytest.mark.parametrize(
    ("revision", "rest", "why"),
    [
        (2, {"swapped": {"services/payments/grants.map": b""}}, "is another"),
        (2, {"target": "other"}, "this node belongs to mesh"),
        (4, {"target": "other"}, "this node belongs to mesh"),
        (1, {}, "older than 2"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused_and_reported(
    agent: Agent,
    console: FakeConsole,
    mesh: Mesh,
    authority: Authority,
    revision: int,
    rest: dict[str, object],
    why: str,
) -> None:
    console.publish(mesh.artifacts(), 2)
    console.wait_report(revision=2, state="active")
    console.publish(mesh.artifacts(mesh.grant()), revision, **rest)
    assert why in console.wait_report(revision=revision, state="failed")["error"]
    _is_closed(agent, mesh, authority)


def test_a_configuration_that_nginx_refuses_leaves_the_old_one_in_force(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    console.publish(mesh.artifacts(mesh.grant()), 1)
    console.wait_report(revision=1, state="active")
    console.publish(broken(mesh.artifacts()), 2)
    assert "host not found" in console.wait_report(revision=2, state="failed")["error"]
    with agent.client(authority, CART) as cart:
        assert cart.send("GET", "/charges/7", port=mesh.port).status == 200
    console.publish(mesh.artifacts(), 3)
    console.wait_report(revision=3, state="active")
    _is_closed(agent, mesh, authority)


def test_a_probe_that_cannot_be_made_is_an_error_not_a_verdict(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    nowhere = mesh.probe(CART, "allow") | {"port": mesh.upstream_port}
    stranger = mesh.probe("spiffe://shop.test/ns/shop/sa/unknown", "allow", "p2")
    console.publish(mesh.artifacts(), 1, probes=[nowhere, stranger])
    found = console.wait_report(revision=1, state="active")["probes"]
    assert [one["verdict"] for one in found] == ["error", "error"]
    assert all(one["detail"] for one in found)


def _is_closed(agent: Agent, mesh: Mesh, authority: Authority) -> None:
    with agent.client(authority, CART) as cart:
        answer = cart.send("GET", "/charges/7", port=mesh.port)
        assert (answer.status, answer.json()["reason"]) == (403, "no_grant")
