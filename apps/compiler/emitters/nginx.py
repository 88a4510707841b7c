"""The mesh as configuration for NGINX with njs: what every service shares, and one shard for each service.

A grant changes the shard of its service and nothing else. Shards are picked up by a glob, so that the shared part only
changes with addresses, keys and identities.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from ipaddress import IPv4Address

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import item_key
from apps.compiler.emitters.nginx_policy import denied_rows, grant_rows, guard_rows, limit_rows, route_rows
from apps.compiler.emitters.nginx_text import Form, map_file, quoted
from apps.compiler.emitters.nginx_trials import trials
from apps.compiler.emitters.traffic_rows import header_lines, header_maps, map_rows
from apps.compiler.graph import AccessGraph, Point, Service
from apps.compiler.reasons import TEXTS
from apps.compiler.slices import members
from apps.compiler.surroundings import MeshSurroundings, VerifyKey
from apps.compiler.tokens import ALGORITHM, CONTEXT_TOKEN_TYPE, LEEWAY_SECONDS

_CONF = "text/x-nginx-conf"
_SCRIPT = "text/javascript"
_JSON = "application/json"
TRIALS = "trials.json"
_WATCH = "\n        js_header_filter doors.answered;"
DOOR_NAMES = "door_names.json"
_ASSETS = resources.files("apps.compiler.emitters") / "assets" / "nginx"
_TEXTS = {asset.name: asset.read_text() for asset in _ASSETS.iterdir() if asset.is_file()}
_SCRIPTS = {f"js/{asset.name}": asset.read_bytes() for asset in (_ASSETS / "js").iterdir()}
_SHARED = ("forward.conf", "forward_bare.conf", "sidecar_forward.conf", "nginx.conf", "rehearsal.conf")


def emit_static(graph: AccessGraph, surroundings: MeshSurroundings) -> tuple[Artifact, ...]:
    """What all services share. Of the graph only the exposures matter."""
    values = {
        "ingress_port": str(surroundings.ingress_port),
        "listen": _listen(surroundings),
        "identity": identity_slug(surroundings.ingress_workload),
        "bearer": quoted(surroundings.edge_workload),
        "key_set": _key_set(surroundings),
    }
    texts = {name: _TEXTS[name] for name in _SHARED}
    texts |= {name: _filled(name, values) for name in ("door.conf", "ingress.conf", "ingress_forward.conf")}
    texts["answers.conf"] = _answers()
    texts["traffic.conf"] = header_maps()
    texts["traffic_forward.conf"] = header_lines()
    texts["identities.map"] = map_file((key, value) for key, value in surroundings.identities.items())
    data = json.dumps(_data(graph, surroundings), indent=1, sort_keys=True) + "\n"
    return (
        *(Artifact.of(path, _CONF, text.encode()) for path, text in sorted(texts.items())),
        *(Artifact.of(path, _SCRIPT, content) for path, content in sorted(_SCRIPTS.items())),
        Artifact.of("mesh.json", _JSON, data.encode()),
        Artifact.of(DOOR_NAMES, _JSON, _door_names(graph).encode()),
    )


def emit_shard(graph: AccessGraph, service_id: str, surroundings: MeshSurroundings) -> tuple[Artifact, ...]:
    """The sidecar of one service and its policy; nothing for a service that the mesh does not expose.

    Nor for one of plain TCP: a sidecar knows calls, and there are none.
    """
    service = graph.services[service_id]
    if service.mesh is None or service.is_tcp:
        return ()
    values = {
        "service": json.dumps(service.id),
        "quoted": quoted(service.id),
        "key": upstream_key(service.id),
        "port": str(service.mesh.port),
        "listen": _listen(surroundings),
        "upstream_port": str(service.mesh.upstream_port),
        "identity": identity_slug(service.mesh.workload),
        "bearer": quoted(surroundings.ingress_workload),
        "variants": _variants(service),
        "watch": _WATCH if _breaks(graph, service) else "",
    }
    texts = {"server.conf": _filled("server.conf", values), **policy_maps(graph, service)}
    folder = f"services/{item_key(service_id)}"
    table = Artifact.of(f"{folder}/{TRIALS}", _JSON, trials(graph, service).encode())
    return (*(Artifact.of(f"{folder}/{name}", _CONF, text.encode()) for name, text in sorted(texts.items())), table)


def _breaks(graph: AccessGraph, service: Service) -> bool:
    """Whether failures of the service count for anything: only then do its answers pass through a script."""
    mine = (rule for rule in graph.traffic if rule.service == service.id and Point.MESH in rule.points)
    return any(rule.breaker is not None for rule in mine)


def policy_maps(graph: AccessGraph, service: Service) -> dict[str, str]:
    """The policy of one service by file; those that are rare are left out where they would be empty."""
    texts = {
        "routes.map": map_file(route_rows(service)),
        "grants.map": map_file(grant_rows(graph, service)),
        "guards.map": map_file(guard_rows(graph, service)),
    }
    rare = {
        "denied.map": denied_rows(graph, service),
        "limits.map": limit_rows(graph, service),
        "traffic.map": map_rows(graph, service, members(graph.subjects)),
    }
    return texts | {name: text for name, rows in rare.items() if (text := map_file(rows))}


def identity_slug(spiffe_id: str) -> str:
    """The directory in which a node keeps the key and certificate of a workload."""
    return f"{spiffe_id.rpartition('/')[2][:40]}-{hashlib.sha256(spiffe_id.encode()).hexdigest()[:8]}"


def server_name(spiffe_id: str) -> str:
    """The DNS name in a workload's certificate: what a caller checks before it talks to a sidecar."""
    trust_domain = spiffe_id.removeprefix("spiffe://").partition("/")[0]
    return f"{identity_slug(spiffe_id)}.{trust_domain}"


def upstream_key(service_id: str) -> str:
    """Part of an upstream's name. NGINX compares those without respect to case."""
    key = item_key(service_id)
    return key if key == key.lower() else "h-" + hashlib.sha256(service_id.encode()).hexdigest()[:32]


def _listen(surroundings: MeshSurroundings) -> str:
    """``*`` or an IPv4 address; anything else raises ValueError, for it would be read as configuration."""
    return "*" if surroundings.listen == "*" else str(IPv4Address(surroundings.listen))


def _variants(service: Service) -> str:
    """An upstream for each version beside the usual one. A dot separates, because no service's key has one."""
    return "".join(
        f"""
upstream sp_app_{upstream_key(service.id)}.{variant.name} {{
    server 127.0.0.1:{variant.upstream_port};
    keepalive 32;
    keepalive_timeout 4s;
}}
"""
        for variant in service.variants
    )


def _filled(name: str, values: Mapping[str, str]) -> str:
    return Form(_TEXTS[name]).substitute(values)


def _answers() -> str:
    """A named location for each status and form of a refusal: NGINX takes no status from a variable."""
    statuses = sorted({text.status for text in TEXTS.values() if text.status >= 400})
    forms = (("problem", "application/problem+json"), ("page", "text/html; charset=utf-8"))
    blocks = [
        f"location @{status}_{form} {{\n    default_type {quoted(media_type)};\n    return {status} $sp_body;\n}}\n"
        for status in statuses
        for form, media_type in forms
    ]
    return "# Generated. How a door refuses.\n" + "\n".join(blocks)


def _key_set(surroundings: MeshSurroundings) -> str:
    keys = sorted((key.kid, key.spki_pem) for key in surroundings.context_keys)
    names = [surroundings.context_issuer, surroundings.context_audience]
    return hashlib.sha256(json.dumps([keys, names]).encode()).hexdigest()[:16]


def _data(graph: AccessGraph, surroundings: MeshSurroundings) -> dict[str, object]:
    hosts = _hosts(graph)
    return {
        "console": surroundings.console_url,
        "trustDomain": surroundings.ingress_workload.removeprefix("spiffe://").partition("/")[0],
        "edge": surroundings.edge_workload,
        "ingress": surroundings.ingress_workload,
        "hosts": hosts,
        "deepestBase": max((base.count("/") + 1 for bases in hosts.values() for base in bases), default=0),
        "context": {
            "issuer": surroundings.context_issuer,
            "audience": surroundings.context_audience,
            "type": CONTEXT_TOKEN_TYPE,
            "algorithm": ALGORITHM,
            "leeway": LEEWAY_SECONDS,
            "keys": [[key.kid, _spki(key)] for key in sorted(surroundings.context_keys, key=lambda key: key.kid)],
        },
        "texts": {reason.value: [text.status, text.sentence, text.next_step] for reason, text in TEXTS.items()},
    }


def _spki(key: VerifyKey) -> str:
    """The key as base64 of its DER, which is what stands between the PEM lines."""
    body = "".join(line for line in key.spki_pem.splitlines() if not line.startswith("-----"))
    return base64.b64encode(base64.b64decode(body)).decode()


def _hosts(graph: AccessGraph) -> dict[str, dict[str, list[str]]]:
    """Host, base path, then service id, upstream and the name in its sidecar's certificate."""
    found: dict[str, dict[str, list[str]]] = {}
    for service in sorted(graph.services.values(), key=lambda service: service.id):
        if service.edge is not None and service.mesh is not None:
            bases = found.setdefault(service.edge.host.lower(), {})
            bases[service.edge.base_path] = _destination(service, service.mesh.workload)
    return found


def _door_names(graph: AccessGraph) -> str:
    """The name in the certificate of each service's door: whom a node's own calls are made to, and to nobody else."""
    named = ((service.id, service.mesh) for service in graph.services.values() if not service.is_tcp)
    found = {item_key(service): server_name(mesh.workload) for service, mesh in named if mesh is not None}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _destination(service: Service, workload: str) -> list[str]:
    return [service.id, f"sp_door_{upstream_key(service.id)}", server_name(workload)]
