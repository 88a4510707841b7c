"""The code bundle of the edge: the same few modules for everybody, and one generated module of data.

It changes with exposures and keys, never with a grant, because activating code takes minutes where an EdgeKV item takes
seconds. It is confidential: it holds the key that signs context tokens.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from apps.compiler.artifacts import Artifact, Bundle
from apps.compiler.emitters.edgekv import FORMAT, GROUP, item_key, mark_made_of
from apps.compiler.graph import NO_CALLERS, AccessGraph, SubjectKind
from apps.compiler.reasons import TEXTS
from apps.compiler.sessions import OWN_PATH, SIGN_IN_SECONDS, SIGNS_IN, cookie_names
from apps.compiler.surroundings import EdgeSurroundings, VerifyKey
from apps.compiler.tokens import (
    ALGORITHM,
    CONTEXT_TOKEN_SECONDS,
    CONTEXT_TOKEN_TYPE,
    EDGE_SESSION_TYPE,
    EDGE_TOKEN_TYPE,
    LEEWAY_SECONDS,
)

STORE_TIMEOUT_MS = 2000

PACKED_LIMIT = 512 * 1024
UNPACKED_LIMIT = 1024 * 1024

POLICY = "policy.js"
"""The generated module. It is the only one that holds secrets."""

_BEFORE, _AFTER = b"// Generated: what this edge knows.\nexport const policy = ", b";\n"
_SCRIPT = "text/javascript"
_ASSETS = resources.files("apps.compiler.emitters") / "assets" / "edgeworker"
_MODULES = {asset.name: asset.read_bytes() for asset in sorted(_ASSETS.iterdir(), key=lambda asset: asset.name)}


class BundleTooLargeError(ValueError):
    """The code bundle exceeds what Akamai accepts."""


def emit_code(graph: AccessGraph, surroundings: EdgeSurroundings) -> tuple[Artifact, ...]:
    """Every file of the bundle. Of the graph only the edge exposures matter."""
    known = _policy(graph, surroundings)
    marked = {**known, "mark": mark_made_of(b"".join((*_MODULES.values(), _written(known))))}
    scripts = {**_MODULES, POLICY: _BEFORE + _written(marked) + _AFTER}
    code = Bundle.of(Artifact.of(path, _SCRIPT, content) for path, content in scripts.items())
    manifest = {
        "edgeworker-version": version(code.digest),
        "bundle-version": 1,
        "description": "Sallyport edge door",
    }
    described = Artifact.of("bundle.json", "application/json", json.dumps(manifest, indent=2).encode() + b"\n")
    artifacts = Bundle.of((*code.artifacts, described)).artifacts
    if sum(len(artifact.content) for artifact in artifacts) > UNPACKED_LIMIT:
        raise BundleTooLargeError(f"The edge bundle holds more than {UNPACKED_LIMIT} bytes.")
    return artifacts


def _written(known: Mapping[str, object]) -> bytes:
    return json.dumps(known, separators=(",", ":")).encode()


def policy_in(code: Iterable[Artifact]) -> dict[str, Any]:
    """What the generated module of a bundle knows, secrets and all; empty without one."""
    found = next((artifact.content for artifact in code if artifact.path == POLICY), _BEFORE + b"{}" + _AFTER)
    known: dict[str, Any] = json.loads(found.removeprefix(_BEFORE).removesuffix(_AFTER))
    return known


def version(digest: str) -> str:
    """The version that Akamai shows for the code with this digest."""
    return f"sp-{digest[:12]}"


def pack(artifacts: Iterable[Artifact]) -> bytes:
    """The upload: a gzipped tar without clocks, owners or execute bits, so that equal code gives equal bytes."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for artifact in sorted(artifacts, key=lambda artifact: artifact.path):
            entry = tarfile.TarInfo(artifact.path)
            entry.size = len(artifact.content)
            archive.addfile(entry, io.BytesIO(artifact.content))
    packed = gzip.compress(plain.getvalue(), mtime=0)
    if len(packed) > PACKED_LIMIT:
        raise BundleTooLargeError(f"The edge bundle packs to {len(packed)} bytes; {PACKED_LIMIT} are accepted.")
    return packed


def _policy(graph: AccessGraph, surroundings: EdgeSurroundings) -> dict[str, object]:
    return {
        "console": surroundings.console_url,
        "hosts": _hosts(graph),
        "kinds": sorted(kind for kind in SubjectKind if kind not in NO_CALLERS),
        "salt": surroundings.salt,
        "store": _store(surroundings),
        "token": _token(surroundings),
        "context": _context(surroundings),
        "browser": _browser(surroundings),
        "texts": {reason.value: [text.status, text.sentence, text.next_step] for reason, text in TEXTS.items()},
    }


def _hosts(graph: AccessGraph) -> list[list[object]]:
    """``[host, [[base path, service, item key], ...]]``; longest base path first, because the first match wins."""
    exposed: dict[str, list[list[str]]] = defaultdict(list)
    for service in graph.services.values():
        if service.edge is not None:
            entry = [service.edge.base_path, service.id, item_key(service.id)]
            exposed[service.edge.host.lower()].append(entry)
    return [[host, sorted(exposed[host], key=lambda entry: (-len(entry[0]), entry))] for host in sorted(exposed)]


def _store(surroundings: EdgeSurroundings) -> dict[str, object]:
    value = surroundings.kv_token_value
    return {
        "namespace": surroundings.namespace,
        "group": GROUP,
        **({"value": value} if value else {"reference": surroundings.kv_token_ref}),
        "timeout": STORE_TIMEOUT_MS,
        "format": FORMAT,
    }


def _token(surroundings: EdgeSurroundings) -> dict[str, object]:
    return {
        "issuer": surroundings.issuer,
        "audience": surroundings.audience,
        "type": EDGE_TOKEN_TYPE,
        "algorithm": ALGORITHM,
        "leeway": LEEWAY_SECONDS,
        "keys": [[key.kid, _public(key)] for key in sorted(surroundings.token_keys, key=lambda key: key.kid)],
    }


def _public(key: VerifyKey) -> dict[str, str]:
    return {name: key.jwk[name] for name in ("kty", "crv", "x", "y")}


def _context(surroundings: EdgeSurroundings) -> dict[str, object]:
    key = surroundings.context_key
    return {
        "issuer": surroundings.context_issuer,
        "audience": surroundings.context_audience,
        "type": CONTEXT_TOKEN_TYPE,
        "algorithm": ALGORITHM,
        "lifetime": CONTEXT_TOKEN_SECONDS,
        "kid": key.kid,
        "jwk": {name: key.jwk[name] for name in ("kty", "crv", "x", "y", "d")},
    }


def _browser(surroundings: EdgeSurroundings) -> dict[str, object]:
    names = cookie_names(surroundings.edge_url)
    return {
        "url": surroundings.edge_url,
        "own": OWN_PATH,
        "type": EDGE_SESSION_TYPE,
        "session": names.session,
        "signIn": names.sign_in,
        "signInSeconds": SIGN_IN_SECONDS,
        "signsIn": sorted(reason.value for reason in SIGNS_IN),
    }
