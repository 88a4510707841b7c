"""Generated situations served by real NGINX, and what it says of each case beside what the reference says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from apps.compiler.decide import Decision
from apps.compiler.graph import AccessGraph
from apps.compiler.paths import segments
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
from tests.agreement.strategies import Case, Situation, TokenFault
from tests.meshclient import Answer, Client
from tests.meshfixtures import Authority, MeshNode, compile_mesh
from tests.ports import free_ports

TESTED_ELSEWHERE = {
    Reason.NO_TOKEN,
    Reason.BAD_CLIENT_CERTIFICATE,
    Reason.UNKNOWN_WORKLOAD,
    Reason.SERVICE_MISMATCH,
    Reason.POLICY_UNAVAILABLE,
    Reason.RATE_LIMITED,
    Reason.BREAKER_OPEN,
    Reason.CROSS_SITE,
    Reason.OTHER_BROWSER,
    Reason.SIGN_IN,
}
REACHABLE = {reason.value for reason in set(Reason) - TESTED_ELSEWHERE}
NO_FAULT_OF_A_TOKEN = {Reason.NO_TOKEN, Reason.TOKEN_REVOKED, Reason.OTHER_BROWSER}
TOKEN_REASONS = {reason.value for reason in set(Reason) - NO_FAULT_OF_A_TOKEN if TEXTS[reason].status == 401}


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
        if caller in CALLERS and case.fault is TokenFault.NONE and case.actor is None:
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
        return _told(answer, case), Told.by(self.reference.at_sidecar(case, fault, shown=bool(values)))


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
