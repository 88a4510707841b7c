"""The pages on what is made for a cluster say what the emitters do: kinds, versions, and all a reviewer is told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.compiler.emitters.cluster.objects import PLURALS
from apps.compiler.surroundings import CLUSTER_EMITTERS
from tests.arch.source import ROOT
from tests.compiler.cluster.estate import SURROUNDINGS, emitted, parsed
from tests.contract.test_cluster_schemas import everything

EMITTERS, REFERENCE = ROOT / "apps/compiler/emitters/cluster", ROOT / "docs/reference"
INGRESS = ("outside", "treatments")
MODULES = {
    "smi": ("smi", "treatments", "traps"),
    "nic": ("nic", *INGRESS),
    "gateway": ("gateway", *INGRESS),
    "networkpolicy": ("networkpolicy", "traps"),
}
"""Where the traps of each emitter are told."""

SHARED = {"ConfigMap", "Deployment", "Service"}
"""What the verifier is made of: described on the page of one ingress, and referred to by the other."""


def calls(module: str, name: str) -> Iterator[ast.Call]:
    tree = ast.parse((EMITTERS / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def severities(call: ast.Call) -> set[str]:
    given = [*call.args[2:], *(one.value for one in call.keywords if one.arg == "severity")]
    named = {node.attr.lower() for one in given for node in ast.walk(one) if isinstance(node, ast.Attribute)}
    return named or {"warning"}


def told(emitter: str) -> dict[str, set[str]]:
    """By code, as what it is told."""
    found: dict[str, set[str]] = {}
    for call in (call for module in MODULES[emitter] for call in calls(module, "Trap")):
        code = call.args[0]
        assert isinstance(code, ast.Constant), ast.unparse(call)
        found.setdefault(str(code.value), set()).update(severities(call))
    return found


def page(name: str) -> str:
    return (REFERENCE / f"kubernetes-{name}.md").read_text()


def documented(text: str) -> dict[str, set[str]]:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ((?:error|warning|note)(?: or \w+)?) \|", text, re.MULTILINE)
    return {code: set(said.split(" or ")) for codes, said in rows for code in re.findall(r"`([a-z_]+)`", codes)}


@pytest.mark.parametrize("emitter", CLUSTER_EMITTERS)
def test_all_that_a_reviewer_is_told_is_listed_as_what_it_is(emitter: str) -> None:
    assert documented(page(emitter)) == told(emitter)


@pytest.mark.parametrize("emitter", CLUSTER_EMITTERS)
def test_every_kind_and_version_is_the_one_that_is_made(emitter: str) -> None:
    around = replace(
        SURROUNDINGS, emitters=frozenset({emitter}), plus=True, upstream_tls_secret="a", upstream_ca_secret="b",
        isolated=frozenset({"shop"}),
    )  # fmt: skip
    made = {one["kind"]: one["apiVersion"].rpartition("/")[2] for one in parsed(emitted(everything(), around))}
    text = page(emitter)
    own = {kind: version for kind, version in made.items() if kind not in SHARED}
    if emitter != "networkpolicy":
        assert {kind for kind in own if f"`{kind}`" not in text and f" {kind} " not in text} == set()
    claimed = re.findall(r"`(\w+)` (v\d\w*)", text)
    assert {(kind, version) for kind, version in claimed if made.get(kind) != version} == set()
    mapping = text.split("\n## ")[0 if emitter != "networkpolicy" else 1]
    named = set(re.findall(r"`(\w+)`", mapping)) & PLURALS.keys()
    assert named - made.keys() == set()


def test_every_lint_is_listed_and_no_other() -> None:
    text = page("lints")
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    codes = {str(code.value) for call in calls("lints", "_error") if isinstance(code := call.args[0], ast.Constant)}
    assert sorted(listed) == sorted(codes)
    kinds = set(re.findall(r"`([A-Z]\w+)`", text))
    assert kinds - PLURALS.keys() == set()
