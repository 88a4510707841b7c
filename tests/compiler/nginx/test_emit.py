"""The emitted configuration: golden, the same twice, touched only by what it is about, and accepted by every NGINX."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.nginx import emit_shard, emit_static, identity_slug
from apps.compiler.emitters.nginx_text import LONGEST_KEY, UnspeakableError, policy_key
from apps.compiler.graph import AccessGraph, Grant, Guardrail, Point, Service, Subject, SubjectKind
from apps.compiler.slices import service_slice
from apps.compiler.surroundings import MeshSurroundings
from tests.agreement.forge import KeyPair
from tests.compiler.estate import GRANTS, NIGHT, PAYMENTS, estate
from tests.meshfixtures import Authority, Build, MeshNode, builds, compile_mesh

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "SALLYPORT_REWRITE_GOLDEN"
"""Set it to 1 to write the golden files anew, then read their diff."""

DOMAIN = "spiffe://shop.test/ns/shop/sa"
SURROUNDINGS = MeshSurroundings(
    mesh_id="test",
    console_url="https://console.shop.test",
    ingress_port=8443,
    ingress_workload=f"{DOMAIN}/ingress",
    edge_workload=f"{DOMAIN}/edge",
    context_keys=(KeyPair.of("context-1", 0x3333).verifying,),
    context_issuer="edge:test",
    context_audience="mesh:test",
    identities={"00" * 20: f"{DOMAIN}/cart", "ab" * 20: f"{DOMAIN}/ingress"},
)


def emitted(graph: AccessGraph) -> dict[str, Artifact]:
    return {artifact.path: artifact for artifact in compile_mesh(graph, SURROUNDINGS)}


@pytest.mark.parametrize(
    "path",
    [
        "answers.conf",
        "door.conf",
        "door_names.json",
        "identities.map",
        "ingress.conf",
        "mesh.json",
        "services/payments/grants.map",
        "services/payments/guards.map",
        "services/payments/routes.map",
        "services/payments/server.conf",
        "services/payments/trials.json",
    ],
)
def test_golden(path: str) -> None:
    content, golden = emitted(estate())[path].content, GOLDEN / path.replace("/", "_")
    if os.environ.get(REWRITE) == "1":
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(content)
    assert content == golden.read_bytes()


def test_the_order_of_things_in_a_graph_does_not_matter() -> None:
    graph = estate()
    turned = AccessGraph(
        subjects=dict(reversed(graph.subjects.items())),
        services=dict(reversed(graph.services.items())),
        grants=tuple(reversed(graph.grants)),
        guardrails=tuple(reversed(graph.guardrails)),
    )
    assert emitted(turned) == emitted(graph)


def test_a_grant_touches_the_grants_and_the_trials_of_one_service() -> None:
    more = Grant("g-new", "person:ben", "payments", frozenset({"charge"}), frozenset({Point.MESH}), NIGHT)
    before, after = emitted(estate()), emitted(replace(estate(), grants=(*GRANTS, more)))
    assert {path for path in after if after[path] != before.get(path)} == {
        "services/payments/grants.map",
        "services/payments/trials.json",
    }


def test_a_slice_compiles_to_the_same_as_the_whole() -> None:
    graph = estate()
    assert emit_shard(service_slice(graph, "payments"), "payments", SURROUNDINGS) == emit_shard(
        graph, "payments", SURROUNDINGS
    )


def test_a_service_that_is_not_in_the_mesh_has_no_files_and_no_address() -> None:
    alone = AccessGraph(services={"payments": replace(PAYMENTS, mesh=None)})
    assert emit_shard(alone, "payments", SURROUNDINGS) == ()
    data = next(a for a in emit_static(alone, SURROUNDINGS) if a.path == "mesh.json")
    assert json.loads(data.content)["hosts"] == {}


def test_keys_that_nginx_would_confuse_are_different() -> None:
    assert policy_key("grants", "person:Ada") != policy_key("grants", "person:ada").upper().lower()
    assert policy_key("a", "b c") != policy_key("a b", "c")
    assert policy_key("~^.*$") == "~^94..*^36."
    assert len(policy_key("x" * LONGEST_KEY + "A")) <= LONGEST_KEY


@pytest.mark.parametrize("build", builds(), ids=lambda build: build.name)
def test_nginx_accepts_it(build: Build, tmp_path: Path) -> None:
    assert _complaints(estate(), build, tmp_path) == ""


@pytest.mark.parametrize("build", builds(), ids=lambda build: build.name)
def test_nginx_accepts_ids_that_look_like_its_own_syntax(build: Build, tmp_path: Path) -> None:
    names = ("Ada", "ada", '"', "'", "$host", "{", "}", ";", "default", "~^.*$", "\\", "zoë", "x" * 2000, "a b", "\t")
    people = [Subject(f"person:{name}", SubjectKind.PERSON) for name in names]
    odd = [
        replace(PAYMENTS, id=name, mesh=replace(PAYMENTS.mesh, port=9300 + place, upstream_port=9400 + place))  # type: ignore[type-var]
        for place, name in enumerate(("odd.id", "Odd.Id", "a b;c", "default", '"', "\n'"))
    ]
    graph = AccessGraph(
        subjects={one.id: one for one in people},
        services={one.id: one for one in odd},
        grants=tuple(_grant(one, service, place) for service in odd for place, one in enumerate(people)),
        guardrails=(Guardrail("~$\"'", "Never.", subjects=frozenset({people[0].id})),),
    )
    assert _complaints(graph, build, tmp_path) == ""


def test_a_name_that_nginx_cannot_hold_is_refused_by_name() -> None:
    graph = AccessGraph(services={"$uri": replace(PAYMENTS, id="$uri")})
    with pytest.raises(UnspeakableError, match=r"\$uri"):
        emit_shard(graph, "$uri", SURROUNDINGS)


def _grant(who: Subject, service: Service, place: int) -> Grant:
    return Grant(f'g"{place}$', who.id, service.id, frozenset({"charge"}), frozenset({Point.MESH}), 0)


def _complaints(graph: AccessGraph, build: Build, folder: Path) -> str:
    authority = Authority()
    node = MeshNode(folder, build, authority)
    workloads = {SURROUNDINGS.ingress_workload, *(s.mesh.workload for s in graph.services.values() if s.mesh)}
    node.lay_out([authority.issue(workload) for workload in workloads])
    assert all((folder / "identities" / identity_slug(one)).exists() for one in workloads)
    node.write(emitted(graph).values())
    return node.check()
