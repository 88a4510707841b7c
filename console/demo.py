"""Loading the sample estate into a fresh console, and writing down what the demo's other processes need to know."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.access.seeding import seed_demo_access
from apps.audit.actors import SYSTEM, Actor
from apps.catalog import selectors as catalog
from apps.catalog import services as catalog_services
from apps.identity import selectors as identity
from apps.identity import services as identity_services
from apps.rollout.services import targets as rollout
from apps.rollout.services.targets import TargetSpec
from apps.telemetry import services as telemetry
from apps.trust import pki
from apps.trust import services as trust
from console import demo_cluster

EDGE_TARGET, MESH_TARGET, NODE = "edge", "mesh", "node-1"
TOKEN_DAYS = 30
_PORT = re.compile(r"""(sallyport\.dev/(?:mesh-port|upstream-port|variants):\s*["']?(?:v2:)?)9([12])(\d\d)""")


class EstateRefused(Exception):
    """The sample estate did not import; the message lists why."""


@dataclass(frozen=True)
class Wish:
    """What the supervisor asks for: where the estate is, where state goes, and which ports were chosen."""

    estate: Path
    state: Path
    ports: dict[str, int]
    mesh_base: int
    edge: dict[str, str]
    cluster: dict[str, str]

    @classmethod
    def from_json(cls, text: str) -> Wish:
        raw = json.loads(text)
        state = Path(raw["state"])
        return cls(Path(raw["estate"]), state, raw["ports"], raw["mesh_base"], raw["edge"], raw["cluster"])

    @property
    def edge_workload(self) -> str:
        return f"spiffe://{settings.SALLYPORT_TRUST_DOMAIN}/ns/edge/sa/edge"

    @property
    def ingress_workload(self) -> str:
        return f"spiffe://{settings.SALLYPORT_TRUST_DOMAIN}/ns/ingress/sa/ingress"


def set_up(wish: Wish, *, at: datetime) -> dict[str, Any]:
    """Idempotent: a second start finds everything there. Returns what scripts may know (``.demo/setup.json``)."""
    import_estate(wish, at=at)
    seed_demo_access(at=at)
    ensure_targets(wish, at=at)
    _enrol_node(wish, at=at)
    _edge_certificate(wish, at=at)
    _telemetry_tokens(wish, at=at)
    _write_configurations(wish)
    setup = {
        "people": _people(),
        "tokens": _api_tokens(wish, at=at),
        "cluster_admin_token": wish.cluster["cluster_admin_token"],
    }
    _write_private(wish.state / "setup.json", json.dumps(setup, indent=2))
    return setup


def import_estate(wish: Wish, *, at: datetime) -> None:
    text = _with_ports(wish.estate.read_text(encoding="utf-8"), wish.mesh_base)
    result = catalog_services.import_catalog(text=text, source=wish.estate.name, actor=SYSTEM, at=at)
    if not result.ok:
        raise EstateRefused("\n".join(str(problem) for problem in result.errors))


def _with_ports(text: str, mesh_base: int) -> str:
    """The file names ports 9101.. and 9201..; whoever moved the mesh gets the same shape elsewhere."""

    def moved(match: re.Match[str]) -> str:
        return f"{match[1]}{mesh_base + (int(match[2]) - 1) * 100 + int(match[3])}"

    return _PORT.sub(moved, text)


def ensure_targets(wish: Wish, *, at: datetime) -> None:
    edge = TargetSpec(
        slug=EDGE_TARGET,
        name="Akamai edge (local)",
        driver="akamai",
        config={
            "base_url": f"http://127.0.0.1:{wish.ports['edge_control']}",
            "probe_url": f"http://127.0.0.1:{wish.ports['edge']}",
            "group_id": 1,
            "resource_tier_id": 200,
            "edgekv_hits_per_second": 2000,
            "list_activations_per_hour": 2000,
            "probe_from": "127.0.0.1",
            "safety": {"staging_entry": f"http://127.0.0.1:{wish.ports['edge_staging']}"},
        },
        credentials={name.removeprefix("edge_"): value for name, value in wish.edge.items()},
    )
    mesh = TargetSpec(
        slug=MESH_TARGET,
        name="NGINX mesh (local)",
        driver="nginx",
        config={
            "ingress_port": wish.ports["ingress"],
            "ingress_workload": wish.ingress_workload,
            "edge_workload": wish.edge_workload,
            "edge": EDGE_TARGET,
        },
    )
    cluster = demo_cluster.spec(
        url=f"http://127.0.0.1:{wish.ports['cluster']}", token=wish.cluster["cluster_token"], edge=EDGE_TARGET
    )
    for spec in (edge, mesh, cluster):
        rollout.ensure_target(spec=spec, actor=SYSTEM, at=at)


def _enrol_node(wish: Wish, *, at: datetime) -> None:
    token, keys = wish.state / "node.token", wish.state / "bundle-keys.json"
    if token.exists() and keys.exists():
        return
    enrolment = rollout.enroll_node(target_slug=MESH_TARGET, name=NODE, actor=SYSTEM, at=at)
    _write_private(token, enrolment.token)
    _write_private(keys, json.dumps(enrolment.bundle_keys))


def _edge_certificate(wish: Wish, *, at: datetime) -> None:
    """The edge's own client certificate, made again when two thirds of its life are over."""
    stamp = wish.state / "edge-cert.json"
    if stamp.exists() and datetime.fromisoformat(json.loads(stamp.read_text())["renew_at"]) > at:
        return
    key = pki.new_private_key()
    issued = trust.issue_certificate(
        workload=wish.edge_workload, csr_pem=pki.new_request(key), node="edge", actor=SYSTEM, at=at
    )
    _write_private(wish.state / "edge.key", pki.private_pem(key).decode())
    _write_private(wish.state / "edge.crt", issued.certificate_pem)
    _write_private(wish.state / "ca.crt", issued.ca_pem)
    renew_at = at + (issued.not_after - at) * 2 / 3
    _write_private(stamp, json.dumps({"renew_at": renew_at.isoformat()}))


def _telemetry_tokens(wish: Wish, *, at: datetime) -> None:
    for name, points in {"edge": ["edge"], "mesh": ["ingress", "sidecar"]}.items():
        path = wish.state / f"telemetry-{name}.token"
        if not path.exists():
            _write_private(path, telemetry.register_source(name=name, points=points, actor=SYSTEM, at=at))


def _write_configurations(wish: Wish) -> None:
    state, ports = wish.state, wish.ports
    ingest = f"http://127.0.0.1:{ports['web']}/telemetry/v1/events"
    edge = {
        "control": f"127.0.0.1:{ports['edge_control']}",
        "data": f"127.0.0.1:{ports['edge']}",
        "data_staging": f"127.0.0.1:{ports['edge_staging']}",
        "state_dir": str(state / "edge"),
        "origin": f"https://127.0.0.1:{ports['ingress']}",
        "origin_identity": wish.ingress_workload,
        "origin_ca": str(state / "ca.crt"),
        "origin_cert": str(state / "edge.crt"),
        "origin_key": str(state / "edge.key"),
        "credentials": [{name.removeprefix("edge_"): value for name, value in wish.edge.items()}],
        "log_file": str(state / "logs" / "edge-decisions.ndjson"),
        "ship": {"url": ingest, "token_file": str(state / "telemetry-edge.token")},
        "guarded_hosts": {"*": f"sallyport-{EDGE_TARGET}-{{host}}"},
    }
    services = _mesh_services()
    agent = {
        "console": f"http://127.0.0.1:{ports['web']}",
        "token_file": str(state / "node.token"),
        "node": NODE,
        "root": str(state / "agent"),
        "bundle_keys": str(state / "bundle-keys.json"),
        "workloads": [wish.ingress_workload, *(one["workload"] for one in services)],
        "ship": {"url": ingest, "token_file": str(state / "telemetry-mesh.token")},
    }
    samples = {
        "identities": str(state / "agent" / "identities"),
        "ca": str(state / "agent" / "ca.pem"),
        "services": services,
        "calls": _sample_calls(),
    }
    _write_private(state / "cluster-kinds.yaml", demo_cluster.definitions())
    cluster = demo_cluster.configuration(state, port=ports["cluster"], tokens=wish.cluster)
    for name, document in (("edge", edge), ("agent", agent), ("samples", samples), ("cluster", cluster)):
        _write_private(state / f"{name}.json", json.dumps(document, indent=2))


def _mesh_services() -> list[dict[str, Any]]:
    found = catalog.graph_services(None)
    return [
        {
            "service": slug,
            "workload": service.mesh.workload,
            "port": service.mesh.upstream_port,
            "sidecar_port": service.mesh.port,
            "variants": {variant.name: variant.upstream_port for variant in service.variants},
            "routes": [
                {"key": route.id, "methods": sorted(route.methods), "template": route.template}
                for route in service.routes
            ],
        }
        for slug, service in sorted(found.items())
        if service.mesh and not service.is_tcp
    ]


def _sample_calls() -> list[dict[str, str]]:
    return [{"caller": call.caller, "callee": call.callee} for call in catalog.list_dependencies()]


def _people() -> dict[str, str]:
    """Short names of everybody who may sign in or ask, for scripts: ``ada`` is ``person:ada``."""
    return {key.partition(":")[2]: key for key in _keys(("person", "agent"))}


def _keys(kinds: Iterable[str]) -> list[str]:
    return [one.key for kind in kinds for one in identity.list_subjects(kind=kind)]


def _api_tokens(wish: Wish, *, at: datetime) -> dict[str, str]:
    """An API token for each, kept in the state folder; made again when the database is new or they near their end."""
    path = wish.state / "api-tokens.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    wanted = _people()
    if stored.get("tokens", {}).keys() >= wanted.keys() and datetime.fromisoformat(stored["renew_at"]) > at:
        return {name: stored["tokens"][name] for name in wanted}
    tokens = {name: _api_token(key, at) for name, key in wanted.items()}
    renew_at = at + timedelta(days=TOKEN_DAYS // 2)
    _write_private(path, json.dumps({"tokens": tokens, "renew_at": renew_at.isoformat()}))
    return tokens


def _api_token(key: str, at: datetime) -> str:
    issued = identity_services.issue_api_token(
        subject_key=key,
        name="Demo scripts",
        scopes=["read", "write", "edge"],
        expires_at=at + timedelta(days=TOKEN_DAYS),
        actor=_holder(key),
        at=at,
    )
    return issued.plain


def _holder(key: str) -> Actor:
    """People make their own tokens; an agent's are made by the person who owns it."""
    subject = identity.get_subject(key)
    return (subject.owner or subject).actor


def _write_private(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
