"""One treatment, no disagreement: the reference, the bundle in V8 and real NGINX send the same generated calls to the
same version, with the same headers, and count them alike."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

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
)
from apps.compiler.traffic import EVERYBODY, HEADERS, Traffic, TrafficRule, Treatment, Variant
from apps.compiler.tokens import take_apart
from apps.localedge.runner import EdgeRunner, Request
from tests.agreement import edge
from tests.agreement.mesh import AUDIENCE, CALLERS, EDGE, FORGE, INGRESS, ISSUER, SERVER, surroundings
from tests.agreement.strategies import TokenFault
from tests.meshclient import Answer, Client, EchoApplication
from tests.meshfixtures import Authority, Identity, MeshNode, compile_mesh
from tests.ports import free_ports

EXAMPLES = max(1, int(os.environ.get("SALLYPORT_AGREEMENT_CASES", "2000")) // 250)
NOW = int(time.time())
LONG = 100_000
PEOPLE = tuple(f"person:p{number}" for number in range(14))
WORKLOADS = tuple(f"workload:{caller}" for caller in CALLERS)
ACTORS = (*PEOPLE, "agent:bot", *WORKLOADS)
TEAMS = ("team:red", "team:blue")
CALLS = (("GET", "/a"), ("POST", "/b/7"))
SENT = {"X-Canary": "theirs", "Cache-Control": "no-cache", "X-Debug": "1"}
HOST = "shop.test"


def rule(place: int) -> st.SearchStrategy[TrafficRule]:
    names = st.sampled_from(HEADERS)
    values = st.sampled_from(("on", 'a "b"', "$host", "x; y=1", "{}\\"))
    return st.builds(
        TrafficRule,
        id=st.just(f"t{place}"),
        subject=st.sampled_from((EVERYBODY, EVERYBODY, *TEAMS, *TEAMS, *ACTORS[:3], *WORKLOADS)),
        service=st.just("payments"),
        routes=st.frozensets(st.sampled_from(("r0", "r1")), min_size=1),
        points=st.frozensets(st.sampled_from(Point), min_size=1),
        starts_at=st.sampled_from((NOW - 2 * LONG, NOW - 2 * LONG, NOW + LONG)),
        ends_at=st.sampled_from((None, NOW + 2 * LONG, NOW - LONG)),
        percent=st.sampled_from((1, 30, 50, 99, 100, 100)),
        variant=st.sampled_from(("", "v2", "v3", "gone")),
        set_headers=st.dictionaries(names, values, max_size=2).map(lambda found: tuple(sorted(found.items()))),
        remove_headers=st.lists(names, max_size=2, unique=True).map(lambda found: tuple(sorted(found))),
        calls_per_minute=st.sampled_from((None, None, 1, 2)),
    )


def subject(name: str) -> st.SearchStrategy[Subject]:
    return st.builds(
        Subject,
        id=st.just(name),
        kind=st.just(SubjectKind(name.partition(":")[0])),
        active=st.sampled_from((True, True, True, False)),
        teams=st.frozensets(st.sampled_from(TEAMS)),
    )


@dataclass(frozen=True)
class Ports:
    ingress: int
    door: int
    usual: int
    v2: int
    v3: int


@st.composite
def graphs(draw: st.DrawFn, ports: Ports) -> AccessGraph:
    people = [draw(subject(name)) for name in ACTORS]
    teams = [Subject(name, SubjectKind.TEAM, active=draw(st.sampled_from((True, True, False)))) for name in TEAMS]
    service = Service(
        "payments",
        "Payments",
        (Route("r0", frozenset({"GET"}), "/a"), Route("r1", frozenset({"POST"}), "/b/{id}")),
        EdgeExposure(HOST, ""),
        MeshExposure("shop", SERVER, ports.door, ports.usual),
        (Variant("v2", ports.v2), Variant("v3", ports.v3)),
    )
    both = frozenset(Point)
    grants = tuple(
        Grant(f"g{place}", one.id, "payments", draw(st.frozensets(st.sampled_from(("r0", "r1")))), both, NOW - LONG)
        for place, one in enumerate(people)
    )
    rules = tuple(draw(rule(place)) for place in range(draw(st.integers(0, 7))))
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
        found = (told.get("vr", ""), tuple(told.get("t", ())), seen({k: v[0] for k, v in result["headers"].items()}))
        if found != (wanted.variant, wanted.rules, carried(wanted)):
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
    folder: Path, graph: AccessGraph, ports: Ports, authority: Authority, identities: Sequence[Identity], stack: ExitStack
) -> Mesh:
    known = {one.fingerprint: one.workload for one in identities}
    artifacts = compile_mesh(graph, surroundings(ports.ingress, known))
    node = stack.enter_context(MeshNode.start(folder, artifacts, authority, identities))
    clients = {one.workload: stack.enter_context(node.client(one)) for one in identities}
    return Mesh(ports, clients, "sp_minutes" in (node.root / "node_http.conf").read_text(), Counter())


def folders(root: Path) -> Iterator[Path]:
    place = 0
    while True:
        place += 1
        yield root / str(place)


def test_reference_v8_and_nginx_treat_alike(tmp_path: Path) -> None:
    ports = Ports(*free_ports(5))
    authority, made = Authority(), folders(tmp_path)
    identities = [authority.issue(name) for name in (INGRESS, EDGE, SERVER, *CALLERS)]
    cases = [(who, method, path) for who in ACTORS for method, path in CALLS]
    treated: Counter[str] = Counter()
    with edge.empty_edge() as runner, EchoApplication([ports.usual, ports.v2, ports.v3]):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(graphs(ports))
        def all_agree(graph: AccessGraph) -> None:
            edge.load(runner, graph)
            reference = Reference(graph)
            for case in cases:
                found = reference.at(Point.MESH, *case)
                treated.update(() if found is None else ([found.variant or "usual"] + ["limit"] * bool(found.limits)))
            difference = disagreement_at_edge(runner, reference, cases)
            assert difference is None, f"{difference}\n  {graph}"
            minute_with_room()
            with ExitStack() as stack:
                mesh = running(next(made), graph, ports, authority, identities, stack)
                difference = mesh.disagreement(reference, cases)
            assert difference is None, f"{difference}\n  {graph}"

        all_agree()
    assert treated.keys() == {"usual", "v2", "v3", "limit"}, treated
