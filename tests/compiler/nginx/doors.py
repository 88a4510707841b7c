"""A running mesh of one service, for tests of what its doors do beyond the decision itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.compiler.artifacts import Artifact
from apps.compiler.graph import (
    AccessGraph,
    Denial,
    EdgeExposure,
    Grant,
    MeshExposure,
    Point,
    Route,
    Service,
    Subject,
    SubjectKind,
    TrafficRule,
    Variant,
)
from apps.compiler.paths import METHODS
from apps.compiler.surroundings import MeshSurroundings
from tests.agreement.forge import Claims, KeyPair
from tests.meshclient import EchoApplication
from tests.meshfixtures import Authority, Build, Identity, MeshNode, compile_mesh
from tests.ports import free_ports

DOMAIN = "spiffe://shop.test/ns/shop/sa"
INGRESS, EDGE, PAYMENTS, CART = (f"{DOMAIN}/{name}" for name in ("ingress", "edge", "payments", "cart"))
LONG = f"{DOMAIN}/{'a-workload-with-a-very-long-name-' * 20}"
KEY, NEXT_KEY = KeyPair.of("context-1", 0x3333), KeyPair.of("context-2", 0x5555)
HOST = "api.shop.test"
CALL = frozenset({"call"})
MESH = frozenset({Point.MESH})


@dataclass
class Doors:
    """One NGINX with everything around it. ``known`` identities are in the map, the others are not."""

    node: MeshNode
    authority: Authority
    identities: dict[str, Identity]
    ports: list[int]
    grants: tuple[Grant, ...]
    keys: tuple[KeyPair, ...] = (KEY,)
    denials: tuple[Denial, ...] = ()
    distrusted: tuple[str, ...] = ()
    """Fingerprints of certificates that our authority issued, and that stand for nobody any more."""
    minute: int | None = None
    """Calls a minute of every agent."""
    traffic: tuple[TrafficRule, ...] = ()
    """Rules about ``payments``, whose version v2 answers nobody."""

    @property
    def ingress(self) -> int:
        return self.ports[0]

    @property
    def sidecar(self) -> int:
        return self.ports[1]

    def artifacts(self) -> tuple[Artifact, ...]:
        exposure = MeshExposure("shop", PAYMENTS, self.ports[1], self.ports[2])
        route = Route("call", frozenset(METHODS), "/v1/{id}")
        service = Service("payments", "Payments", (route,), EdgeExposure(HOST, "/payments"), exposure, self._versions())
        elsewhere = MeshExposure("shop", PAYMENTS, self.ports[3], self.ports[2])
        other = Service("other", "Other", (route,), EdgeExposure(HOST, "/other"), elsewhere)
        subjects = [self._subject(grant.subject) for grant in self.grants]
        services = {"payments": service, "other": other}
        people = {one.id: one for one in subjects}
        graph = AccessGraph(people, services, self.grants, denials=self.denials, traffic=self.traffic)
        return compile_mesh(graph, self._surroundings())

    def _versions(self) -> tuple[Variant, ...]:
        return (Variant("v2", self.ports[4]),) if self.traffic else ()

    def _subject(self, name: str) -> Subject:
        kind = SubjectKind(name.partition(":")[0])
        return Subject(name, kind, calls_per_minute=self.minute if kind is SubjectKind.AGENT else None)

    def _surroundings(self) -> MeshSurroundings:
        return MeshSurroundings(
            mesh_id="test",
            console_url="https://console.test",
            ingress_port=self.ports[0],
            ingress_workload=INGRESS,
            edge_workload=EDGE,
            context_keys=tuple(key.verifying for key in self.keys),
            context_issuer="edge:test",
            context_audience="mesh:test",
            identities={
                **{self.identities[name].fingerprint: name for name in (INGRESS, EDGE, CART)},
                **dict.fromkeys(self.distrusted, ""),
            },
        )


GRANTS = (
    Grant("g-cart", f"workload:{CART}", "payments", CALL, MESH, 0),
    Grant("g-long", f"workload:{LONG}", "payments", CALL, MESH, 0),
    Grant("g-ada", "person:Ada", "payments", CALL, MESH, 0),
)


@contextlib.contextmanager
def open_doors(folder: Path, build: Build) -> Iterator[Doors]:
    authority = Authority()
    identities = {name: authority.issue(name) for name in (INGRESS, EDGE, PAYMENTS, CART, LONG)}
    node = MeshNode(folder, build, authority)
    doors = Doors(node, authority, identities, free_ports(5), GRANTS)
    node.lay_out(identities.values())
    node.write(doors.artifacts())
    with EchoApplication([doors.ports[2]]):
        node.launch()
        try:
            yield doors
        finally:
            node.stop()


def token(subject: str = "person:Ada", *, service: str = "payments", key: KeyPair = KEY, **changed: object) -> str:
    now = int(time.time())
    claims: Claims = {"iss": "edge:test", "aud": "mesh:test", "sub": subject, "iat": now, "exp": now + 60, "txn": "1"}
    claims |= {"tctx": {"svc": service, "gr": ["g-ada"]}} | changed
    return key.jwt({"alg": "ES256", "typ": "txntoken+jwt", "kid": key.kid}, claims)
