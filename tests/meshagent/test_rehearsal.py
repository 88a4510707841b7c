"""Before it serves a revision, a node has it answer its own decision tables; what answers otherwise is refused."""

from __future__ import annotations

import json

from apps.compiler.artifacts import Artifact
from apps.compiler.graph import Breaker, Point, TrafficRule
from apps.meshagent.bundle import Manifest
from apps.meshagent.rehearsal import services_to_try
from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import CART, Agent, Mesh
from tests.meshfixtures import Authority

TABLE = "services/payments/trials.json"


def spoiled(artifacts: tuple[Artifact, ...], path: str, old: str, new: str) -> tuple[Artifact, ...]:
    texts = {one.path: one.content.decode() for one in artifacts}
    assert old in texts[path]
    made = Artifact.of(path, "text/plain", texts[path].replace(old, new).encode())
    return (*(one for one in artifacts if one.path != path), made)


def test_policy_that_contradicts_its_table_is_refused_and_the_old_one_stays(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    console.publish(mesh.artifacts(mesh.grant()), 1)
    console.wait_report(revision=1, state="active")
    console.publish(mesh.artifacts(), 2)
    console.wait_report(revision=2, state="active")
    console.publish(spoiled(mesh.artifacts(mesh.grant()), TABLE, '"granted"', '"no_grant"'), 3)
    refused = console.wait_report(revision=3, state="failed")
    assert refused["error"].startswith("Rehearsal: GET /charges/x1 on payments by workload:")
    assert refused["error"].endswith("is granted here; it must be no_grant.")
    with agent.client(authority, CART) as cart:
        assert cart.send("GET", "/charges/7", port=mesh.port).json()["reason"] == "no_grant"


def test_policy_that_treats_a_call_otherwise_is_refused(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    rule = TrafficRule(
        id="t1",
        subject="",
        service="payments",
        routes=frozenset({"read"}),
        points=frozenset({Point.MESH}),
        starts_at=5,
        variant="v2",
        set_headers=(("X-Canary", "on"),),
        calls_per_minute=9,
        breaker=Breaker(5, 30),
    )
    artifacts = mesh.artifacts(mesh.grant(), traffic=(rule,))
    console.publish(artifacts, 1)
    console.wait_report(revision=1, state="active")
    console.publish(spoiled(artifacts, TABLE, '"v2"', '""'), 2)
    refused = console.wait_report(revision=2, state="failed")["error"]
    rest = f'{{"X-Canary": "on"}}, [["t1 workload:{CART}", 9]], [["t1", 5, 30]]]'
    assert f'is granted [["t1"], "v2", {rest} here; it must be granted [["t1"], "", {rest}.' in refused


def test_scripts_that_decide_otherwise_are_refused(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    console.publish(mesh.artifacts(mesh.grant()), 1)
    console.wait_report(revision=1, state="active")
    early = "if (at < grant[1]) return 'grant_not_started';"
    careless = spoiled(mesh.artifacts(mesh.grant()), "js/policy.js", early, "")
    console.publish(careless, 2)
    assert "it must be grant_not_started" in console.wait_report(revision=2, state="failed")["error"]
    broken = spoiled(
        mesh.artifacts(mesh.grant()),
        "js/policy.js",
        "function decide(r, call) {",
        "function decide(r, call) {\n throw 1;",
    )
    console.publish(broken, 3)
    assert "failed in its rehearsal" in console.wait_report(revision=3, state="failed")["error"]


def test_only_what_changed_is_tried_unless_the_scripts_did() -> None:
    before = {
        "js/policy.js": "1",
        "services/a/grants.map": "1",
        "services/a/trials.json": "1",
        "services/b/trials.json": "1",
    }

    def tried(**changes: str) -> set[str]:
        after = before | {path.replace("_", "/").replace("-", "."): sha for path, sha in changes.items()}
        return services_to_try(Manifest("mesh", 2, "", after), Manifest("mesh", 1, "", before))

    assert tried() == set()
    assert tried(**{"services/a/grants.map": "2"}) == {"services/a"}
    assert tried(**{"js/policy.js": "2"}) == {"services/a", "services/b"}
    assert services_to_try(Manifest("mesh", 1, "", before), None) == {"services/a", "services/b"}


def test_a_table_is_a_list_of_whole_calls(mesh: Mesh) -> None:
    [table] = [one for one in mesh.artifacts(mesh.grant()) if one.path == TABLE]
    assert {len(row) for row in json.loads(table.content)} == {7}
