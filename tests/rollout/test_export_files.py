"""The files of an export: what Terraform is told, what a directory holds, and what a change of one grant changes."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from apps.compiler.emitters.edgekv import ITEM_LIMIT, emit_item, item_key
from apps.compiler.emitters.edgeworker import emit_code, pack
from apps.compiler.graph import AccessGraph, Grant, Subject, SubjectKind
from apps.compiler.slices import split
from apps.compiler.surroundings import SigningKey
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.exports.archive import zipped
from apps.rollout.exports.blocks import literal
from apps.rollout.exports.laid_out import compact, laid_out
from apps.rollout.exports.state import EdgeState, NotExportable
from apps.rollout.exports.tree import Export, export
from apps.rollout.exports.writing import NotOurDirectory, write
from apps.trust import jose
from tests.compiler.estate import BOTH, NIGHT, SURROUNDINGS, estate

KEY = SigningKey("bundle-1", jose.new_jwk())

# resource -> the arguments the provider requires and those it allows, by its schemas of version 9 (pkg/providers/
# edgeworkers of akamai/terraform-provider-akamai), and the same in its documentation
DOCUMENTED: Mapping[str, tuple[set[str], set[str]]] = {
    "akamai_edgekv": ({"namespace_name", "network", "group_id", "retention_in_seconds"}, {"geo_location"}),
    "akamai_edgekv_group_items": ({"namespace_name", "network", "group_name", "items"}, set()),
    "akamai_edgeworker": ({"name", "group_id", "resource_tier_id"}, {"local_bundle", "timeouts"}),
    "akamai_edgeworkers_activation": ({"edgeworker_id", "version", "network"}, {"note", "timeouts"}),
}
TYPES = {
    ("akamai_edgekv", "group_id"): int,
    ("akamai_edgekv", "retention_in_seconds"): int,
    ("akamai_edgekv_group_items", "items"): dict,
    ("akamai_edgeworker", "group_id"): str,
    ("akamai_edgeworker", "resource_tier_id"): int,
}
NETWORK_NAMES = {
    "akamai_edgekv": {"staging", "production"},
    "akamai_edgekv_group_items": {"staging", "production"},
    "akamai_edgeworkers_activation": {"STAGING", "PRODUCTION"},
}
META = {"lifecycle", "depends_on"}
IMPORT_IDS = {
    "akamai_edgekv": r"[\w-]+:(staging|production)",
    "akamai_edgekv_group_items": r"[\w-]+:(staging|production):[\w-]+",
    "akamai_edgeworker": r"\d+",
    "akamai_edgeworkers_activation": r"\d+:(STAGING|PRODUCTION)",
}


def sign(manifest: Mapping[str, object]) -> str:
    return jose.sign_the_same(json.dumps(manifest, sort_keys=True).encode(), key=KEY, typ="export+jws")


def state_of(graph: AccessGraph, **more: Any) -> EdgeState:
    code = emit_code(graph, SURROUNDINGS)
    given: dict[str, Any] = {
        "target": "edge",
        "name": "Edge",
        "namespace": "sallyport",
        "group_id": 7,
        "resource_tier_id": 200,
        "edgeworker_name": "sallyport-edge",
        "edgeworker_id": 42,
        "revision": 3,
        "digest": "d" * 64,
        "items": {item_key(name): emit_item(part, name, SURROUNDINGS).content for name, part in split(graph)},
        "code": code,
        "code_version": code_version(code),
        "code_sha256": "c" * 64,
        "taken_over": True,
    }
    return EdgeState(**{**given, **more})


def made(graph: AccessGraph | None = None, **more: Any) -> Export:
    return export(state_of(graph or estate(), **more), sign)


def terraform_of(found: Export) -> dict[str, Any]:
    """All files of Terraform as one document, as Terraform reads them."""
    whole: dict[str, Any] = {}
    for path, content in found.files.items():
        if path.startswith("terraform/"):
            for kind, blocks in json.loads(content).items():
                if isinstance(blocks, list):
                    whole.setdefault(kind, []).extend(blocks)
                else:
                    whole.setdefault(kind, {}).update(blocks)
    return whole


def resources(whole: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind, named in whole["resource"].items():
        for name, arguments in named.items():
            yield kind, name, arguments


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def test_the_rule_names_the_stream_and_the_certificate_the_target_has() -> None:
    with_them = made(stream_id=77, client_certificate="0f1e-guid")
    rule = json.loads(with_them.files["property/rule.json"])["rule"]
    built = terraform_of(with_them)["data"]["akamai_property_rules_builder"]["sallyport"]
    (block,) = built.values()
    assert {one["name"] for one in rule["behaviors"]} == {"edgeWorker", "mtlsOriginKeystore", "datastream", "report"}
    assert {name for one in block["behavior"] for name in one} >= {"mtls_origin_keystore", "datastream", "report"}
    assert "0f1e-guid" in json.dumps(rule)
    assert "0f1e-guid" in json.dumps(block)
    assert {one["name"] for one in json.loads(made().files["property/rule.json"])["rule"]["behaviors"]} == {
        "edgeWorker"
    }


def test_every_resource_has_what_the_provider_requires_and_nothing_it_does_not_know() -> None:
    found = list(resources(terraform_of(made())))
    assert {kind for kind, _, _ in found} == set(DOCUMENTED)
    for kind, name, arguments in found:
        required, optional = DOCUMENTED[kind]
        given = arguments.keys() - META
        assert required <= given <= required | optional, f"{kind}.{name}"
        for argument in given:
            wanted = TYPES.get((kind, argument))
            assert wanted is None or type(arguments[argument]) is wanted, f"{kind}.{name}.{argument}"
        if kind in NETWORK_NAMES:
            assert arguments["network"] in NETWORK_NAMES[kind]


def test_whatever_is_referred_to_is_there() -> None:
    found = made()
    whole = terraform_of(found)
    there = {f"{kind}.{name}" for kind, name, _ in resources(whole)}
    there |= {f"data.{kind}.{name}" for kind, named in whole["data"].items() for name in named}
    there |= {f"var.{name}" for name in whole["variable"]}
    for text in strings({name: whole[name] for name in ("provider", "resource", "data", "output")}):
        for reference in re.findall(r"(?<![\w.])((?:data\.)?akamai_\w+\.\w+|var\.\w+)", text):
            assert reference in there, reference
        for path in re.findall(r'path\.module}/\.\./([^"]+)', text):
            assert path in found.files
    assert [one["to"] for one in whole["import"] if one["to"] not in there] == []


def test_what_exists_is_taken_over_by_its_documented_id() -> None:
    found = {one["to"]: one["id"] for one in terraform_of(made())["import"]}
    assert len(found) == 7
    for to, id_ in found.items():
        assert re.fullmatch(IMPORT_IDS[to.partition(".")[0]], id_), to
    assert found["akamai_edgekv_group_items.production"] == "sallyport:production:services"
    fresh = terraform_of(made(taken_over=False, edgeworker_id=None))
    assert "import" not in fresh


def test_items_come_before_code_and_staging_before_production() -> None:
    activations = terraform_of(made())["resource"]["akamai_edgeworkers_activation"]
    assert activations["staging"]["depends_on"] == ["akamai_edgekv_group_items.staging"]
    assert activations["production"]["depends_on"] == [
        "akamai_edgekv_group_items.production",
        "akamai_edgeworkers_activation.staging",
    ]


def test_the_rule_is_the_one_the_console_would_write() -> None:
    whole = terraform_of(made())
    rules = whole["data"]["akamai_property_rules_builder"]
    outer = rules["sallyport"]["rules_v2025_10_16"]
    assert outer["criterion"] == [
        {"hostname": {"match_operator": "IS_ONE_OF", "values": ["api.shop.test", "shop.test"]}}
    ]
    assert outer["behavior"] == [
        {
            "edge_worker": {
                "enabled": True,
                "create_edge_worker": "",
                "edge_worker_id": "${akamai_edgeworker.edge.edgeworker_id}",
                "continue_on_error": False,
                "m_pulse": False,
            }
        }
    ]
    inner = rules["sallyport_refuses"]["rules_v2025_10_16"]
    assert inner["criterion"] == [{"edge_workers_failure": {"exec_status": "FAILURE"}}]
    assert inner["behavior"] == [{"deny_access": {"reason": "sallyport-code-failed", "enabled": True}}]
    plain = json.loads(made().files["property/rule.json"])["rule"]
    assert plain["behaviors"][0]["options"]["edgeWorkerId"] == "42"
    variables = json.loads(made().files["property/variables.json"])
    assert {one["name"]: one["hidden"] for one in variables} == {"PMUSER_SP_RID": True, "PMUSER_SP_V": True}


@pytest.mark.parametrize("kind", ["kv_token_ref", "kv_token_value"])
def test_nothing_secret_is_in_it(kind: str) -> None:
    """Neither of the two kinds of tokens: one names the token, the other is it."""
    surroundings = replace(SURROUNDINGS, salt="5a17f00d", **{kind: "7e5e-cafe"})
    secrets = ("5a17f00d", "7e5e-cafe", surroundings.context_key.jwk["d"])
    code = emit_code(estate(), surroundings)
    assert all(secret in str([one.content for one in code]) for secret in secrets)
    whole = b"\n".join(made(code=code).files.values()).decode()
    assert [secret for secret in secrets if secret in whole] == []
    assert "edgeworker/policy.js" not in made().files
    assert terraform_of(made())["variable"]["code_bundle"]["sensitive"] is True
    shown = json.loads(made().files["edgeworker/policy.json"])
    assert shown["token"]["keys"], "public keys may be looked at"
    assert shown["store"].keys() - {"reference", "value"} == {"namespace", "group", "timeout", "format"}


def test_the_bundle_has_to_be_the_one_of_this_revision() -> None:
    worker = terraform_of(made())["resource"]["akamai_edgeworker"]["edge"]
    assert worker["lifecycle"]["precondition"] == [
        {
            "condition": '${nonsensitive(filesha256(var.code_bundle)) == "' + "c" * 64 + '"}',
            "error_message": f"This is not the code bundle of version {state_of(estate()).code_version}.",
        }
    ]


def test_the_same_state_gives_the_same_bytes() -> None:
    assert zipped(made()) == zipped(made())
    with zipfile.ZipFile(io.BytesIO(zipped(made()))) as archive:
        entries = archive.infolist()
    assert {(one.date_time, one.external_attr) for one in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644 << 16)}
    assert [one.filename for one in entries] == sorted(f"edge/{path}" for path in made().files)


def test_the_manifest_is_right_and_signed() -> None:
    found = made()
    manifest = json.loads(found.files["manifest.json"])
    keys = KeySet.import_key_set({"keys": [jose.published(KEY.kid, KEY.jwk)]})
    signed = jws.deserialize_compact(found.files["manifest.jws"].decode().strip(), keys, algorithms=["ES256"])
    assert json.loads(signed.payload) == manifest
    assert signed.headers()["typ"] == "export+jws"
    assert (manifest["target"], manifest["revision"]) == ("edge", 3)
    listed = {entry["path"]: entry["size"] for entry in manifest["files"]}
    assert listed == {
        path: len(content) for path, content in found.files.items() if path not in ("manifest.json", "manifest.jws")
    }


def test_one_grant_changes_one_file_and_the_manifest() -> None:
    more = Grant("g-new", "person:ben", "cart", frozenset({"read"}), BOTH, NIGHT, None)
    graph = replace(estate(), grants=(*estate().grants, more))
    before, after = made().files, made(graph, revision=4).files
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {"edgekv/services/cart.json", "manifest.json", "manifest.jws"}
    lines = set(after["edgekv/services/cart.json"].splitlines()) - set(before["edgekv/services/cart.json"].splitlines())
    assert any(b'"g-new"' in line for line in lines)


def test_an_item_says_the_same_in_the_file_in_terraform_and_at_the_edge() -> None:
    state = state_of(estate())
    for key, content in state.items.items():
        file = made().files[f"edgekv/services/{key}.json"]
        assert json.loads(file) == json.loads(compact(file)) == json.loads(content)
        assert laid_out(json.loads(file)) == file
    assert compact(b'{"b":"<a&b>","a":[]}') == '{"a":[],"b":"\\u003ca\\u0026b\\u003e"}'


def crowd(many: int) -> AccessGraph:
    people = {f"person:p{n}": Subject(f"person:p{n}", SubjectKind.PERSON, f"P{n}") for n in range(many)}
    grants = tuple(
        Grant(f"g-{n}", f"person:p{n}", "payments", frozenset({"refund"}), BOTH, NIGHT, None) for n in range(many)
    )
    return replace(estate(), subjects={**estate().subjects, **people}, grants=grants)


def test_an_item_that_would_grow_too_large_on_the_way_is_refused() -> None:
    size = len(made(crowd(1500)).files["edgekv/services/payments.json"])
    assert size > 50_000
    heavy = json.dumps({"v": 1, "svc": "x", "routes": ["&" * (ITEM_LIMIT // 5)]}).encode()
    assert len(heavy) < ITEM_LIMIT
    with pytest.raises(NotExportable, match="as Terraform writes it"):
        made(items={"x": heavy})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"namespace": "n" * 33}, "namespace"),
        ({"namespace": "-n"}, "namespace"),
        ({"items": {"a/b": b"{}"}}, "key"),
        ({"items": {"k" * 513: b"{}"}}, "key"),
    ],
)
def test_names_edgekv_would_refuse_are_refused_here(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotExportable, match=words):
        made(**change)


def test_more_items_than_akamai_lists_are_cautioned_about() -> None:
    many = {f"s{n}": b'{"v":1}' for n in range(101)}
    assert made().cautions == ()
    (caution,) = made(items=many).cautions
    assert "101 items" in caution


def test_without_code_or_items_only_what_there_is_is_written() -> None:
    bare = made(code=(), items={}, taken_over=False, edgeworker_id=None)
    assert set(terraform_of(bare)["resource"]) == {"akamai_edgekv"}
    assert not [path for path in bare.files if path.startswith(("edgeworker/", "property/", "edgekv/"))]


def test_a_string_is_never_taken_for_a_template() -> None:
    assert literal("${danger} and %{ if }") == "$${danger} and %%{ if }"
    worker = terraform_of(made(edgeworker_name="${x}"))["resource"]["akamai_edgeworker"]["edge"]
    assert worker["name"] == "$${x}"


def test_writing_again_changes_nothing_and_a_change_touches_what_differs(tmp_path: Path) -> None:
    first = write(made(), tmp_path)
    assert set(first.changed) == made().files.keys()
    stamps = {path: (tmp_path / path).stat().st_mtime_ns for path in made().files}
    assert write(made(), tmp_path) == type(first)((), ())
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in made().files} == stamps
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_what_is_gone_is_removed_and_what_is_yours_stays(tmp_path: Path) -> None:
    write(made(), tmp_path)
    (tmp_path / "notes.md").write_text("ours")
    (tmp_path / "edgekv/services/own.json").write_text("{}")
    state = state_of(estate())
    fewer = export(replace(state, items={"cart": state.items["cart"]}), sign)
    written = write(fewer, tmp_path)
    assert written.removed == ("edgekv/services/payments.json",)
    assert (tmp_path / "notes.md").exists()
    assert (tmp_path / "edgekv/services/own.json").exists()


def test_a_manifest_cannot_have_files_elsewhere_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("stays")
    directory = tmp_path / "repo"
    directory.mkdir()
    (directory / ".git").mkdir()
    (directory / ".git/config").write_text("stays")
    files = [{"path": path} for path in ("../outside.txt", ".git/config", str(outside))]
    (directory / "manifest.json").write_text(json.dumps({"target": "edge", "files": files}))
    assert write(made(), directory).removed == ()
    assert outside.exists()
    assert (directory / ".git/config").exists()


@pytest.mark.parametrize("text", ['{"target": "other", "files": []}', "[]", "not json"])
def test_a_directory_of_something_else_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(NotOurDirectory):
        write(made(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_the_packed_code_is_the_same_twice() -> None:
    assert pack(state_of(estate()).code) == pack(state_of(estate()).code)
