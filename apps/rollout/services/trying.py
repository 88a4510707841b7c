"""What new code is asked, through staging before it reaches production and through production afterwards.

The questions come from what the policy says at this moment: calls that must pass, by those who hold a grant, and calls
that must not, by a stranger and by nobody. Probes never reach an application.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import F

from apps.compiler.acceptance import STRANGER
from apps.compiler.decide import Decision
from apps.compiler.doors import EdgeCall, EdgeDoor
from apps.compiler.graph import AccessGraph, Grant, Point, Service
from apps.compiler.paths import example_path
from apps.compiler.reasons import Reason
from apps.compiler.slices import holders, members
from apps.rollout.drivers.akamai.api import STAGING
from apps.rollout.drivers.base import Expectation, Proof
from apps.rollout.models import Point as DoorPoint
from apps.rollout.models import Shard, Target, TargetArtifact
from apps.rollout.services.driving import akamai_driver
from apps.rollout.snapshots import from_json, merged
from apps.trust import services as trust

MOST_SERVICES, MOST_GRANTS = 10, 2
MARGIN = 60
"""Seconds from now in which the policy must not change its mind, while the calls are made."""

Answer = dict[str, object]
"""``call``, ``expected``, ``answered`` in words; ``good``; ``said``: the door said something at all."""


@dataclass(frozen=True, slots=True)
class Question:
    """``subject`` is empty for a call without a token."""

    call: EdgeCall
    subject: str
    verdict: str
    reason: str

    @property
    def name(self) -> str:
        who = f"as {self.subject}" if self.subject else "without a token"
        return f"{self.call.method} {self.call.host}{self.call.path} {who}"


def questions(target: Target, at: datetime) -> list[Question]:
    """About a few services of which everything is in force."""
    behind = TargetArtifact.objects.filter(target=target).exclude(sha256=F("applied_sha256")).values("service")
    rows = Shard.objects.filter(target=target).exclude(service__in=behind).order_by("pk")
    graph = merged(from_json(row.graph) for row in islice(rows.iterator(), 3 * MOST_SERVICES))
    exposed = [graph.services[slug] for slug in sorted(graph.services) if graph.services[slug].edge is not None]
    door, moment = EdgeDoor(graph), int(at.timestamp())
    found: dict[Question, None] = {}
    for service in exposed[:MOST_SERVICES]:
        found |= dict.fromkeys(_of_service(graph, service, door, moment))
    return list(found)


def _of_service(graph: AccessGraph, service: Service, door: EdgeDoor, at: int) -> Iterator[Question]:
    calls = _calls(service)
    for call in list(calls.values())[:1]:
        yield _question(call, "", door.judge(call, Reason.NO_TOKEN, "", at))
        if _is_steady(door, call, STRANGER, at):
            yield _question(call, STRANGER, door.judge(call, None, STRANGER, at, issued=at))
    yield from islice(_held(graph, service, calls, door, at), MOST_GRANTS)


def _calls(service: Service) -> dict[str, EdgeCall]:
    edge = service.edge
    if edge is None:
        return {}
    return {
        route.id: EdgeCall(edge.host, min(route.methods), edge.base_path + example_path(route.template))
        for route in sorted(service.routes, key=lambda route: route.id)
        if route.methods
    }


def _held(
    graph: AccessGraph, service: Service, calls: dict[str, EdgeCall], door: EdgeDoor, at: int
) -> Iterator[Question]:
    teams = members(graph.subjects)
    for grant in sorted(_of_edge(graph, service), key=lambda grant: grant.id):
        for holder in holders(grant, graph.subjects, teams)[:1]:
            for route in sorted(grant.routes & calls.keys())[:1]:
                call = calls[route]
                decision = door.judge(call, None, holder, at, issued=at)
                if decision.allowed and _is_steady(door, call, holder, at):
                    yield _question(call, holder, decision)


def _of_edge(graph: AccessGraph, service: Service) -> list[Grant]:
    return [grant for grant in graph.grants if grant.service == service.id and Point.EDGE in grant.points]


def _is_steady(door: EdgeDoor, call: EdgeCall, subject: str, at: int) -> bool:
    verdicts = {door.judge(call, None, subject, moment, issued=at).allowed for moment in (at, at + MARGIN)}
    return len(verdicts) == 1


def _question(call: EdgeCall, subject: str, decision: Decision) -> Question:
    return Question(call, subject, "allow" if decision.allowed else "deny", decision.reason.value)


def ask(target: Target, network: str, asked: Sequence[Question], at: datetime) -> list[Answer] | None:
    """The answers, in the same order. None when no way into the staging network is known."""
    tokens = trust.sign_probe_tokens(subjects={one.subject for one in asked if one.subject}, at=at)
    calls = [
        Expectation(one.name, one.call.host, one.call.method, one.call.path, tokens.get(one.subject, ""))
        for one in asked
    ]
    with akamai_driver(target) as driver:
        proofs = driver.probe_staging(calls) if network == STAGING else driver.probe(calls)
    if proofs is None:
        return None
    by_name = {proof.id: proof for proof in proofs}
    return [_answer(one, by_name.get(one.name)) for one in asked]


def _answer(question: Question, proof: Proof | None) -> Answer:
    said = proof.doors.get(DoorPoint.EDGE) if proof else None
    good = said is not None and (said.verdict, said.reason) == (question.verdict, question.reason)
    silent = proof.detail if proof else "It was not asked: the calls before took too long."
    return {
        "call": question.name,
        "expected": f"{question.verdict} ({question.reason})",
        "answered": f"{said.verdict} ({said.reason})" if said else silent,
        "good": good,
        "said": said is not None,
    }
