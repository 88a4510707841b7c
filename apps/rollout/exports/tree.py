"""The files of an export: where each lies, and the manifest over them.

A change of one service changes the file of its item, and the manifest. Nothing in here is secret: of the code, the
generated module stays out, and what it knows is shown without keys, salt and token reference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.compiler.emitters.edgekv import GROUP
from apps.compiler.emitters.edgeworker import POLICY, policy_in
from apps.rollout.drivers.akamai.property import RULE_FORMAT
from apps.rollout.drivers.akamai.rules import with_our_rule
from apps.rollout.exports import beside
from apps.rollout.exports.laid_out import laid_out, pretty
from apps.rollout.exports.readme import README
from apps.rollout.exports.state import EdgeState, require_exportable
from apps.rollout.exports.terraform import rule_of, terraform

FORMAT = 1
MANIFEST, SIGNED = "manifest.json", "manifest.jws"
ITEMS = f"edgekv/{GROUP}"
_SAID_BY_BUNDLE = "see the code bundle"
_OPEN = frozenset({"browser", "console", "hosts", "kinds", "mark", "texts", "token"})
_PARTLY_OPEN: Mapping[str, frozenset[str]] = {
    "context": frozenset({"issuer", "audience", "type", "algorithm", "lifetime", "kid"}),
    "store": frozenset({"namespace", "group", "timeout", "format"}),
}

Sign = Callable[[Mapping[str, object]], str]


@dataclass(frozen=True, slots=True)
class Export:
    """``files`` by path, the manifest among them. The same revision and the same signing key give the same bytes."""

    target: str
    revision: int
    files: Mapping[str, bytes]
    cautions: tuple[str, ...]


def export(state: EdgeState, sign: Sign) -> Export:
    """Raises NotExportable."""
    require_exportable(state)
    files = {"README.md": README, **_items(state), **_code(state), **_property(state)}
    files |= beside.files(state.beside)
    files |= {f"terraform/{name}": content for name, content in terraform(state).items()}
    manifest = _manifest(state, files)
    signed = sign(manifest).encode("ascii") + b"\n"
    whole = {**files, MANIFEST: pretty(manifest), SIGNED: signed}
    return Export(state.target, state.revision, dict(sorted(whole.items())), state.cautions)


def _items(state: EdgeState) -> dict[str, bytes]:
    return {f"{ITEMS}/{key}.json": laid_out(json.loads(content)) for key, content in state.items.items()}


def _code(state: EdgeState) -> dict[str, bytes]:
    if not state.code:
        return {}
    modules = {f"edgeworker/{one.path}": one.content for one in state.code if one.path != POLICY}
    return {**modules, "edgeworker/policy.json": pretty(_shown(policy_in(state.code)))}


def _shown(policy: Mapping[str, Any]) -> dict[str, Any]:
    """What the code knows, as far as it is known to be no secret: whatever is not named above is left to the bundle."""
    return {name: _part(name, value) for name, value in policy.items()}


def _part(name: str, value: Any) -> Any:
    if name in _OPEN:
        return value
    if name not in _PARTLY_OPEN:
        return _SAID_BY_BUNDLE
    return {key: said if key in _PARTLY_OPEN[name] else _SAID_BY_BUNDLE for key, said in value.items()}


def _property(state: EdgeState) -> dict[str, bytes]:
    if not state.code or not state.hosts:
        return {}
    variables = with_our_rule({}, state.wish)["variables"]
    rule = {"ruleFormat": RULE_FORMAT, "rule": rule_of(state)}
    return {"property/rule.json": pretty(rule), "property/variables.json": pretty(variables)}


def _manifest(state: EdgeState, files: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "target": state.target,
        "revision": state.revision,
        "digest": state.digest,
        "code": {"version": state.code_version, "bundle_sha256": state.code_sha256},
        "files": [
            {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for path, content in sorted(files.items())
        ],
    }
