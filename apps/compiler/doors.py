"""What the edge must answer to a whole call: address, path, token, then the decision. The reference for its JavaScript.

The edge knows less than the graph: it sees who holds what, not who exists. ``EdgeDoor`` says what it answers then.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from apps.compiler.decide import Action, Decision, Pdp, Resource, meet
from apps.compiler.graph import AccessGraph, Point
from apps.compiler.paths import segments
from apps.compiler.reasons import Reason
from apps.compiler.sessions import OWN_PATH


@dataclass(frozen=True, slots=True)
class EdgeCall:
    """``host`` is the Host header, ``path`` the path of the request target as sent, without query."""

    host: str
    method: str
    path: str


class EdgeDoor:
    def __init__(self, graph: AccessGraph) -> None:
        self._pdp = Pdp(graph)
        self._exposed: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for service in graph.services.values():
            if service.edge is not None:
                self._exposed[service.edge.host.lower()].append((service.edge.base_path, service.id))
        for exposures in self._exposed.values():
            exposures.sort(key=lambda exposure: -len(exposure[0]))

    def locate(self, host: str, path: str) -> Resource | None:
        """Which service answers, and the path below its base: whole segments as sent, the longest base wins.

        What is below the edge's own path is no service's.
        """
        name, _, port = host.lower().rpartition(":")
        known = name if name and port.isdecimal() else host.lower()
        for base, service in () if path.startswith(OWN_PATH) else self._exposed.get(known, ()):
            if base == "" or path == base or path.startswith(f"{base}/"):
                return Resource(service, path[len(base) :] or "/")
        return None

    def judge(
        self,
        call: EdgeCall,
        token_fault: Reason | None,
        subject: str,
        at: int,
        actor: str | None = None,
        issued: float | None = None,
    ) -> Decision:
        """``token_fault`` is what ``tokens`` says of the call's token; ``subject`` is whom it names if nothing.

        ``actor`` acts for the subject: the right is what both hold. ``issued`` is when the token was made out.
        """
        resource = self.locate(call.host, call.path)
        if resource is None:
            return Decision(False, Reason.NO_SERVICE)
        if segments(resource.path) is None:
            return Decision(False, Reason.BAD_PATH)
        if token_fault is not None:
            return Decision(False, token_fault)
        action = Action(call.method)
        decision = self._pdp.decide_at_door(subject, action, resource, Point.EDGE, at, issued)
        if actor is None:
            return decision
        return meet(decision, self._pdp.decide_at_door(actor, action, resource, Point.EDGE, at, issued))
