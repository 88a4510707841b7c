"""Real NGINX, on compiled configuration, answers every call as the reference does: same verdict, reason and grants."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from apps.compiler.decide import Decision
from apps.compiler.graph import AccessGraph, EdgeExposure, Grant, Point, Route, Service, Subject, SubjectKind
from apps.compiler.paths import METHODS, segments
from apps.compiler.reasons import TEXTS, Reason
from tests.agreement.mesh import (
    CALLERS,
    EDGE,
    INGRESS,
    MOST_SERVICES,
    SERVER,
    Layout,
    Reference,
    as_of_now,
    lay_out,
    surroundings,
    tokens,
)
from tests.agreement.strategies import T0, Case, Situation, TokenFault, situations
from tests.meshclient import Answer, Client, EchoApplication
from tests.meshfixtures import Authority, MeshNode, compile_mesh, free_ports

CASES = int(os.environ.get("SALLYPORT_AGREEMENT_CASES", "20000"))
CASES_PER_SITUATION = 150
"""Rather less than a situation has on average."""

ENOUGH_FOR_ALL_REASONS = 20_000
TESTED_ELSEWHERE = {
    Reason.NO_TOKEN,
    Reason.BAD_CLIENT_CERTIFICATE,
    Reason.UNKNOWN_WORKLOAD,
    Reason.SERVICE_MISMATCH,
    Reason.POLICY_UNAVAILABLE,
    Reason.RATE_LIMITED,
}
REACHABLE = {reason.value for reason in set(Reason) - TESTED_ELSEWHERE}
TOKEN_REASONS = {reason.value for reason in Reason if TEXTS[reason].status == 401} - {Reason.NO_TOKEN.value}


@dataclass(frozen=True)
class Told:
    allowed: bool
    reason: str
    grants: tuple[str, ...]

    @classmethod
    def by(cls, decision: Decision) -> Told:
        return cls(decision.allowed, decision.reason.value, decision.grant_ids)


@dataclass
class Running:
    """One situation, served."""

    layout: Layout
    reference: Reference
    clients: Mapping[str, Client]
    ingress_port: int

    def ask(self, case: Case, turn: int) -> tuple[Told, Told]:
        """What the mesh says of a case and what the reference says; there are three ways in."""
        caller = case.subject.removeprefix("workload:")
        if case.service is None or turn % 3 == 0:
            return self._through_ingress(case)
        if caller in CALLERS and case.fault is TokenFault.NONE:
            return self._at_sidecar(case, caller, (), None)
        made = tokens(case, self.layout.name(case.service, case.at))
        return self._at_sidecar(case, INGRESS, made.values, made.fault)

    def _through_ingress(self, case: Case) -> tuple[Told, Told]:
        made = tokens(case, "" if case.service is None else self.layout.name(case.service, case.at))
        headers = [("X-Sallyport-Probe", "1"), *(("Txn-Token", value) for value in made.values)]
        host = self.layout.host(case.host, case.at)
        answer = self.clients[EDGE].send(case.method, case.target, port=self.ingress_port, host=host, headers=headers)
        return _told(answer, case), Told.by(self.reference.at_ingress(case, made.fault))

    def _at_sidecar(self, case: Case, caller: str, values: tuple[str, ...], fault: Reason | None) -> tuple[Told, Told]:
        assert case.service is not None
        headers = [("X-Sallyport-Probe", "1"), *(("Txn-Token", value) for value in values)]
        port = self.layout.port(case.service, case.at)
        answer = self.clients[caller].send(case.method, case.path, port=port, headers=headers)
        return _told(answer, case), Told.by(self.reference.at_sidecar(case, fault))


def _told(answer: Answer, case: Case) -> Told:
    """The answer to a probe, cross-checked with its status; a request line NGINX will not take has only the latter."""
    said = answer.header("X-Sallyport-Mesh")
    if not said:
        assert not _is_legible(case), f"{case}\n  {answer}"
        assert answer.status == TEXTS[Reason.BAD_PATH].status, f"{case}\n  {answer}"
        return Told(False, Reason.BAD_PATH.value, ())
    verdict, reason, grants = said.split(";")
    assert answer.status == (204 if verdict == "allow" else TEXTS[Reason(reason)].status), f"{case}\n  {answer}"
    return Told(verdict == "allow", reason, tuple(grants.split(",")) if grants else ())


def _is_legible(case: Case) -> bool:
    return segments(case.path) is not None and case.method.isupper()


def agree(case: Case, told: Told, wanted: Told) -> bool:
    """A request line that NGINX itself refuses is a bad path, whatever else may be wrong with the call."""
    illegible = not _is_legible(case) and told == Told(False, Reason.BAD_PATH.value, ())
    return told == wanted or (illegible and not wanted.allowed)


class Estate:
    """Ports, identities and an application that serve all situations of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ingress_port, self.upstream_port, *ports = free_ports(2 + MOST_SERVICES)
        self.ports = tuple(ports)
        self.authority = Authority()
        self.identities = [self.authority.issue(name) for name in (INGRESS, EDGE, SERVER, *CALLERS)]
        self.runs = 0

    def disagreement(
        self, situation: Situation, seen: Counter[str], *, served: AccessGraph | None = None
    ) -> str | None:
        """The first case in which NGINX and reference differ, in words; None when there is none."""
        layout = lay_out(situation.graph, situation.cases, self.ports)
        now = as_of_now(served or situation.graph, layout, self.upstream_port, int(time.time()))
        known = {one.fingerprint: one.workload for one in self.identities if one.workload != CALLERS[1]}
        artifacts = compile_mesh(now, surroundings(self.ingress_port, known))
        self.runs += 1
        root = self.folder / str(self.runs)
        with MeshNode.start(root, artifacts, self.authority, self.identities) as node, ExitStack() as stack:
            clients = {one.workload: stack.enter_context(node.client(one)) for one in self.identities}
            running = Running(layout, Reference(situation.graph), clients, self.ingress_port)
            for turn, case in enumerate(situation.cases):
                told, wanted = running.ask(case, turn)
                seen[wanted.reason] += 1
                if not agree(case, told, wanted):
                    return f"{case}\n  reference: {wanted}\n  mesh:      {told}\n  {situation.graph}"
        return None


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def test_nginx_answers_like_the_reference(estate: Estate) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=max(1, CASES // CASES_PER_SITUATION),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(situations(faulty=8))
    def all_agree(situation: Situation) -> None:
        difference = estate.disagreement(situation, seen)
        assert difference is None, difference

    with EchoApplication([estate.upstream_port]):
        all_agree()
    assert seen.total() >= CASES, f"only {seen.total()} cases were generated"
    missing = REACHABLE - seen.keys()
    assert CASES < ENOUGH_FOR_ALL_REASONS or not missing, f"no case reached {sorted(missing)}"


def test_every_fault_of_a_token_is_named(estate: Estate) -> None:
    """By the ingress and by the sidecar alike, whatever the generator happens to draw."""
    today = _one_grant()
    cases = tuple(Case("person:ada", "GET", "cart", "shop.test", "", "/a", T0, fault) for fault in TokenFault)
    seen: Counter[str] = Counter()
    for shift in range(3):
        turned = cases[shift:] + cases[:shift]
        assert estate.disagreement(Situation(today, turned), seen) is None
    assert seen.keys() >= TOKEN_REASONS


def _one_grant() -> AccessGraph:
    service = Service("cart", "Cart", (Route("r0", frozenset(METHODS), "/a"),), EdgeExposure("shop.test", ""))
    ada = Subject("person:ada", SubjectKind.PERSON)
    grant = Grant("g0", ada.id, "cart", frozenset({"r0"}), frozenset({Point.MESH}), T0 - 10)
    return AccessGraph({ada.id: ada}, {"cart": service}, (grant,))


def test_a_difference_is_noticed(estate: Estate) -> None:
    """The comparison itself works: a mesh that still holds yesterday's policy is caught."""
    today = _one_grant()
    yesterday = replace(today, grants=())
    cases = (Case("person:ada", "GET", "cart", "shop.test", "", "/a", T0),)
    assert estate.disagreement(Situation(today, cases), Counter()) is None
    caught = estate.disagreement(Situation(today, cases), Counter(), served=yesterday)
    assert caught is not None
    assert "no_grant" in caught
