"""The emitted bytes: golden, the same twice, and touched only by what they are about."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from apps.compiler.artifacts import Artifact, Bundle
from apps.compiler.emitters.edgekv import ITEM_LIMIT, ItemTooLargeError, emit_item, item_key, subject_hash
from apps.compiler.emitters.edgeworker import BundleTooLargeError, emit_code, pack
from apps.compiler.graph import AccessGraph, EdgeExposure, Grant, Guardrail, Service, Subject, SubjectKind
from apps.compiler.slices import service_slice, split
from tests.agreement.strategies import Situation, situations
from tests.compiler.estate import EDGE, GRANTS, NIGHT, SURROUNDINGS, estate

GOLDEN = Path(__file__).with_name("golden")
REWRITE = "SALLYPORT_REWRITE_GOLDEN"
"""Set it to 1 to write the golden files anew, then read their diff."""

VERSION = re.compile(r"^(?!.*?\.{2})[.a-zA-Z0-9_~-]{1,32}$")


def emitted(graph: AccessGraph) -> dict[str, Artifact]:
    """The generated part of everything the edge gets; the hand-written modules are their own golden files."""
    code = [a for a in emit_code(graph, SURROUNDINGS) if a.path in ("policy.js", "bundle.json")]
    items = [emit_item(part, service, SURROUNDINGS) for service, part in split(graph)]
    return {artifact.path: artifact for artifact in (*code, *items)}


def golden_path(path: str) -> Path:
    return GOLDEN / (path.replace("/", "_") if "." in path else f"{path.replace('/', '_')}.json")


@pytest.mark.parametrize("path", ["bundle.json", "policy.js", "services/cart", "services/payments"])
def test_golden(path: str) -> None:
    content = emitted(estate())[path].content
    if os.environ.get(REWRITE) == "1":
        golden_path(path).write_bytes(content)
    assert content == golden_path(path).read_bytes()


def test_the_code_is_the_same_twice_and_its_version_is_one() -> None:
    first, second = emit_code(estate(), SURROUNDINGS), emit_code(estate(), SURROUNDINGS)
    assert first == second
    assert pack(first) == pack(tuple(reversed(second)))
    manifest = json.loads(next(a.content for a in first if a.path == "bundle.json"))
    assert VERSION.match(manifest["edgeworker-version"])


def test_the_upload_holds_plain_files_only() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(emit_code(estate(), SURROUNDINGS)))) as archive:
        entries = archive.getmembers()
    assert {"main.js", "policy.js", "bundle.json"} <= {entry.name for entry in entries}
    assert {(entry.mode, entry.mtime, entry.uid, entry.isfile()) for entry in entries} == {(0o644, 0, 0, True)}


def test_a_grant_never_changes_the_code() -> None:
    assert emit_code(replace(estate(), grants=()), SURROUNDINGS) == emit_code(estate(), SURROUNDINGS)


def test_an_exposure_or_a_key_changes_the_version() -> None:
    def digest(graph: AccessGraph, issuer: str) -> str:
        return Bundle.of(emit_code(graph, replace(SURROUNDINGS, issuer=issuer))).digest

    graph = estate()
    moved = replace(graph.services["cart"], edge=EdgeExposure("other.test"))
    other = replace(graph, services={**graph.services, "cart": moved})
    assert len({digest(graph, "a"), digest(graph, "b"), digest(other, "a")}) == 3


@settings(max_examples=35, deadline=None)
@given(situations(faulty=0))
def test_compiling_twice_gives_the_same_bytes_from_slice_and_whole(situation: Situation) -> None:
    graph = situation.graph
    shuffled = replace(
        graph,
        subjects=dict(reversed(list(graph.subjects.items()))),
        services=dict(reversed(list(graph.services.items()))),
        grants=tuple(reversed(graph.grants)),
        guardrails=tuple(reversed(graph.guardrails)),
    )
    assert emit_code(graph, SURROUNDINGS) == emit_code(shuffled, SURROUNDINGS)
    for service, part in split(graph):
        whole = emit_item(graph, service, SURROUNDINGS)
        assert part == service_slice(graph, service)
        assert whole == emit_item(part, service, SURROUNDINGS) == emit_item(shuffled, service, SURROUNDINGS)


@settings(max_examples=35, deadline=None)
@given(situations(faulty=0))
def test_a_grant_touches_the_item_of_its_service_only(situation: Situation) -> None:
    graph = situation.graph
    if not graph.grants:
        return
    fewer = replace(graph, grants=graph.grants[1:])
    before = {service: emit_item(part, service, SURROUNDINGS) for service, part in split(graph)}
    after = {service: emit_item(part, service, SURROUNDINGS) for service, part in split(fewer)}
    assert {service for service in before if before[service] != after[service]} <= {graph.grants[0].service}


def test_items_hold_no_names_of_subjects() -> None:
    subjects = estate().subjects.values()
    for service, part in split(estate()):
        text = emit_item(part, service, SURROUNDINGS).content.decode()
        assert [subject.id for subject in subjects if subject.id in text] == []


def test_a_hash_depends_on_the_salt_and_has_sixteen_letters() -> None:
    assert subject_hash("person:ada", "salt") != subject_hash("person:ada", "pepper")
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", subject_hash("person:ada", "salt"))


def test_keys_fit_the_alphabet_of_edgekv() -> None:
    assert item_key("payments") == "payments"
    odd = [item_key(name) for name in ("odd.id", "a/b", "é", "", "a" * 129)]
    assert all(re.fullmatch(r"x-[A-Za-z0-9_-]{32}", key) for key in odd)
    assert len(set(odd)) == 5


def test_a_guardrail_on_an_empty_team_is_not_one_on_everybody() -> None:
    empty = Subject("team:empty", SubjectKind.TEAM)
    graph = estate()
    graph = replace(
        graph,
        subjects={**graph.subjects, empty.id: empty},
        guardrails=(Guardrail("k", "Never.", subjects=frozenset({empty.id})),),
    )
    item = json.loads(emit_item(graph, "cart", SURROUNDINGS).content)
    assert item["guards"] == [["k", [], [subject_hash("team:empty", "salt")], [[0, ["DELETE"]], [1, ["GET"]]]]]


def test_an_item_that_the_edge_could_not_read_is_refused() -> None:
    many = tuple(Grant(f"g{n:06}", "person:ada", "cart", frozenset({"read"}), EDGE, NIGHT) for n in range(4000))
    with pytest.raises(ItemTooLargeError, match=str(ITEM_LIMIT)):
        emit_item(replace(estate(), grants=many), "cart", SURROUNDINGS)


def test_a_bundle_that_akamai_would_not_take_is_refused() -> None:
    many = {f"s{n}": Service(f"s{n}", "S", (), EdgeExposure(f"h{n}.test", "/" + "x" * 400)) for n in range(3000)}
    with pytest.raises(BundleTooLargeError):
        emit_code(AccessGraph(services=many), SURROUNDINGS)


def test_grants_through_other_doors_are_not_told_to_the_edge() -> None:
    item = json.loads(emit_item(estate(), "payments", SURROUNDINGS).content)
    assert [grant[0] for grant in item["grants"]] == [
        grant.id for grant in GRANTS if grant.points & EDGE and grant.service == "payments"
    ]
