"""One treatment, no disagreement: the reference, the bundle in V8 and real NGINX send the same generated calls to the
same version, with the same headers, and count them alike."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from apps.compiler.decide import Action, Pdp, Resource
from apps.compiler.graph import (
    AccessGraph,
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
from apps.compiler.tokens import take_apart
from apps.compiler.traffic import EVERYBODY, HEADERS, Traffic, Treatment
from apps.localedge.runner import EdgeRunner, Request
from tests.agreement import edge
from tests.agreement.mesh import AUDIENCE, CALLERS, EDGE, FORGE, INGRESS, ISSUER, SERVER, surroundings
from tests.agreement.strategies import TokenFault
from tests.meshclient import Answer, Client, EchoApplication
from tests.meshfixtures import Authority, Identity, MeshNode, compile_mesh
from tests.ports import free_ports

GRAPHS = max(6, int(os.environ.get("SALLYPORT_AGREEMENT_CASES", "1200")) // 250)
"""Each with 34 calls, twice at the mesh. The same ones every time."""

NOW = int(time.time())
LONG = 100_000
PEOPLE = tuple(f"person:p{number}" for number in range(14))
WORKLOADS = tuple(f"workload:{caller}" for caller in CALLERS)
ACTORS = (*PEOPLE, "agent:bot", *WORKLOADS)
TEAMS = ("team:red", "team:blue")
CALLS = (("GET", "/a"), ("POST", "/b/7"))
SENT = {"X-Canary": "theirs", "Cache-Control": "no-cache", "X-Debug": "1"}
HOST = "shop.test"
BOTH = frozenset(Point)
VALUES = ("on", 'a "b"', "$host", "x; y=1", "{}\\")
T = TypeVar("T")


def some(chance: Random, among: Sequence[T], most: int) -> list[T]:
    return chance.sample(list(among), chance.randint(0, most))


def rule(chance: Random, place: int) -> TrafficRule:
    headers = some(chance, HEADERS, 4)
    sets = chance.randint(0, len(headers))
    return TrafficRule(
        id=f"t{place}",
        subject=chance.choice((EVERYBODY, EVERYBODY, *TEAMS, *TEAMS, *ACTORS[:3], *WORKLOADS)),
        service="payments",
        routes=frozenset(chance.choice((("r0",), ("r1",), ("r0", "r1")))),
        points=chance.choice((BOTH, BOTH, BOTH, frozenset({Point.EDGE}), frozenset({Point.MESH}))),
        starts_at=chance.choice((*(NOW - 2 * LONG,) * 5, NOW + LONG)),
        ends_at=chance.choice((None, None, NOW + 2 * LONG, NOW + 2 * LONG, NOW - LONG)),
        percent=chance.choice((1, 30, 50, 99, 100, 100)),
        variant=chance.choice(("", "v2", "v3", "gone")),
        set_headers=tuple(sorted((name, chance.choice(VALUES)) for name in headers[:sets])),
        remove_headers=tuple(sorted(headers[sets:])),
        calls_per_minute=chance.choice((None, None, 1, 2)),
    )


def subject(chance: Random, name: str) -> Subject:
    return Subject(
        name,
        SubjectKind(name.partition(":")[0]),
        active=chance.random() < 0.8,
        teams=frozenset(some(chance, TEAMS, 2)),
    )


@dataclass(frozen=True)
class Ports:
    ingress: int
    door: int
    usual: int
    v2: int
    v3: int


def graph_of(chance: Random, ports: Ports) -> AccessGraph:
    people = [subject(chance, name) for name in ACTORS]
    teams = [Subject(name, SubjectKind.TEAM, active=chance.random() < 0.8) for name in TEAMS]
    service = Service(
        "payments",
        "Payments",
        (Route("r0", frozenset({"GET"}), "/a"), Route("r1", frozenset({"POST"}), "/b/{id}")),
        EdgeExposure(HOST, ""),
        MeshExposure("shop", SERVER, ports.door, ports.usual),
        (Variant("v2", ports.v2), Variant("v3", ports.v3, "blue")),
    )
    opened = (("r0", "r1"), ("r0", "r1"), ("r0",), ())
    grants = tuple(
        Grant(f"g{place}", one.id, "payments", frozenset(chance.choice(opened)), BOTH, NOW - LONG)
        for place, one in enumerate(people)
    )
    rules = tuple(rule(chance, place) for place in range(chance.choice((0, 3, 5, 8))))
    found = {one.id: one for one in (*people, *teams)}
    return AccessGraph(found, {"payments": service}, grants, traffic=rules)


class Reference:
    def __init__(self, graph: AccessGraph) -> None:
        self._pdp, self._traffic = Pdp(graph), Traffic(graph)

    def at(self, point: Point, who: str, method: str, path: str) -> Treatment | None:
        """None for a call that is not let in."""
        decision = self._pdp.decide_at_door(who, Action(method), Resource("payments", path), point, NOW, NOW)
        return self._traffic.treat(decision, who, "payments", point, NOW) if decision.allowed else None


def carried(treatment: Treatment) -> dict[str, str]:
    """The headers of a call as it was sent, after the treatment."""
    kept = {name: value for name, value in SENT.items() if name not in treatment.remove_headers}
    return {name.lower(): value for name, value in {**kept, **dict(treatment.set_headers)}.items()}


def seen(headers: Mapping[str, str]) -> dict[str, str]:
    known = {name.lower() for name in HEADERS}
    return {name.lower(): value for name, value in headers.items() if name.lower() in known}


def edge_request(who: str, method: str, path: str) -> Request:
    values = edge.forged(who, None, TokenFault.NONE, NOW).values
    sent = {name: [value] for name, value in SENT.items()}
    return {"method": method, "host": HOST, "path": path, "headers": {"Authorization": list(values), **sent}}


Called = tuple[str, str, str]


def disagreement_at_edge(runner: EdgeRunner, reference: Reference, cases: Sequence[Called]) -> str | None:
    for case, result in zip(cases, runner.run_many([edge_request(*case) for case in cases], now=NOW), strict=True):
        wanted = reference.at(Point.EDGE, *case)
        if wanted is None:
            if result["action"] != "respond":
                return f"{case}: refused by the reference, {result['action']} by the edge"
            continue
        told = json.loads(result["variables"]["PMUSER_SP_V"])
        headers = seen({name: values[0] for name, values in result["headers"].items()})
        found = (told.get("vr", ""), result["origin"], tuple(told.get("t", ())), headers)
        if found != (wanted.variant, wanted.origin, wanted.rules, carried(wanted)):
            return f"{case}: reference {wanted}, edge {found}"
        claims = claims_of(result["headers"]["txn-token"][0])
        if claims["tctx"].get("vr", "") != wanted.variant:
            return f"{case}: the token tells {claims['tctx']}"
    return None


def claims_of(token: str) -> dict[str, Any]:
    _, claims = take_apart(token)
    assert claims is not None
    return dict(claims)


@dataclass
class Mesh:
    ports: Ports
    clients: Mapping[str, Client]
    counts: bool
    counted: Counter[str]

    def disagreement(self, reference: Reference, cases: Sequence[Called]) -> str | None:
        for case in (*cases, *cases):
            offered = reference.at(Point.EDGE, *case)
            variant = "" if offered is None else offered.variant
            answer, by_certificate = self._call(case, variant)
            wanted = reference.at(Point.MESH, *case)
            told = self._misfit(case, answer, wanted, "" if by_certificate else variant)
            if told is not None:
                return f"{case}: {told}; the reference says {wanted}, the edge would choose {variant!r}"
        return None

    def _call(self, case: Called, variant: str) -> tuple[Answer, bool]:
        who, method, path = case
        caller = who.removeprefix("workload:")
        if caller in self.clients:
            return self.clients[caller].send(method, path, port=self.ports.door, headers=[*SENT.items()]), True
        at = int(time.time())
        context = {"svc": "payments", "gr": [], "iat": at, **({"vr": variant} if variant else {})}
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": who, "iat": at, "exp": at + 60, "tctx": context}
        [value] = FORGE.make(claims, TokenFault.NONE, at).values
        headers = [("Txn-Token", value.removeprefix("Bearer ")), *SENT.items()]
        return self.clients[EDGE].send(method, path, port=self.ports.ingress, host=HOST, headers=headers), False

    def _misfit(self, case: Called, answer: Answer, wanted: Treatment | None, offered: str) -> str | None:
        if wanted is None:
            return None if answer.status in (401, 403) else f"answered {answer.status}"
        for key, _ in wanted.limits if self.counts else ():
            self.counted[key] += 1
        if self.counts and any(self.counted[key] > most for key, most in wanted.limits):
            return None if answer.status == 429 else f"answered {answer.status} above a limit"
        if answer.status != 200:
            return f"answered {answer.status} {answer.body!r}"
        port = {"": self.ports.usual, "v2": self.ports.v2, "v3": self.ports.v3}[wanted.variant or offered]
        if answer.header("X-Port") != str(port):
            return f"answered by port {answer.header('X-Port')} of {self.ports}"
        headers = answer.json()["headers"]
        assert isinstance(headers, list)
        found = seen(dict(headers))
        return None if found == carried(wanted) else f"carries {found}"


def minute_with_room() -> None:
    left = 60 - time.time() % 60
    if left < 12:
        time.sleep(left)


def running(
    folder: Path,
    graph: AccessGraph,
    ports: Ports,
    authority: Authority,
    identities: Sequence[Identity],
    stack: ExitStack,
) -> Mesh:
    known = {one.fingerprint: one.workload for one in identities}
    artifacts = compile_mesh(graph, surroundings(ports.ingress, known))
    node = stack.enter_context(MeshNode.start(folder, artifacts, authority, identities))
    clients = {one.workload: stack.enter_context(node.client(one)) for one in identities}
    return Mesh(ports, clients, "sp_minutes" in (node.root / "node_http.conf").read_text(), Counter())


def test_reference_v8_and_nginx_treat_alike(tmp_path: Path) -> None:
    ports, authority = Ports(*free_ports(5)), Authority()
    identities = [authority.issue(name) for name in (INGRESS, EDGE, SERVER, *CALLERS)]
    cases = [(who, method, path) for who in ACTORS for method, path in CALLS]
    treated: Counter[str] = Counter()
    with edge.empty_edge() as runner, EchoApplication([ports.usual, ports.v2, ports.v3]):
        for seed in range(GRAPHS):
            graph = graph_of(Random(seed), ports)
            edge.load(runner, graph)
            reference = Reference(graph)
            found = [reference.at(Point.MESH, *case) for case in cases]
            treated.update(what for one in found if one is not None for what in kinds(one))
            assert disagreement_at_edge(runner, reference, cases) is None, (seed, graph)
            minute_with_room()
            with ExitStack() as stack:
                mesh = running(tmp_path / str(seed), graph, ports, authority, identities, stack)
                assert mesh.disagreement(reference, cases) is None, (seed, graph)
    assert treated.keys() == {"usual", "v2", "v3", "limit", "header"}, treated


def kinds(one: Treatment) -> list[str]:
    said = {"limit": one.limits, "header": one.set_headers or one.remove_headers}
    return [one.variant or "usual", *(kind for kind, what in said.items() if what)]
