"""Asking the doors, and drawing the conclusion: a door is proven, closed, or not as it should be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from apps.access import services as access
from apps.rollout.drivers.base import DoorAnswer, Expectation, Proof
from apps.rollout.models import Activation, DriverName, Expect, Node, Point, Probe, Runner, Target
from apps.rollout.services.driving import akamai_driver
from apps.rollout.services.evidence import announce_activation
from apps.rollout.states import DUE_PROBES, OPEN_PROBES, ActivationState, ProbeState, move
from apps.trust import services as trust

AT_ONCE = 50
RETRY_FIRST, RETRY_LONGEST = timedelta(seconds=0.1), timedelta(seconds=30)
PATIENCE = 3
"""A store that is eventually consistent may answer from before; only after so many tries a door is said to fail."""

REPORTED = "reported"


def make_ready(target: Target, *, services: Collection[str] | None, at: datetime) -> None:
    """What the target's activations promised to these services (None: to all) is in force: it may be asked about now.

    The caller has opened a transaction.
    """
    waiting = Probe.objects.select_for_update().filter(activation__target=target, state=ProbeState.WAITING)
    if services is not None:
        waiting = waiting.filter(service__in=services)
    probes = list(waiting.select_related("activation__target", "activation__revision").order_by("pk"))
    hosted = _hosted(target) if any(probe.runner == Runner.NODE for probe in probes) else set()
    for probe in probes:
        move(probe, ProbeState.READY)
        probe.ready_at = probe.due_at = at
        if probe.runner == Runner.NODE and probe.call["workload"] not in hosted:
            probe.runner = Runner.REPORT
        probe.save(update_fields=["state", "ready_at", "due_at", "runner"])
        if probe.expect == Expect.ALLOW:
            access.mark_door(grant_id=probe.grant_id, point=probe.point, state="open", detail=_where(probe), at=at)
        if probe.runner == Runner.REPORT:
            said = "allow" if probe.expect == Expect.ALLOW else "deny"
            grants = (probe.grant_id,) if probe.expect == Expect.ALLOW else ()
            conclude(probe_id=probe.pk, answer=DoorAnswer(said, REPORTED, grants), detail=_reported(target), at=at)


def _hosted(target: Target) -> set[str]:
    """The workloads some node holds a certificate for: only as one of those it can make a call."""
    rows = Node.objects.filter(target=target).values_list("identities", flat=True)
    return {str(one.get("workload", "")) for identities in rows for one in identities}


def _where(probe: Probe) -> str:
    return f"{probe.activation.target.name} has revision {probe.activation.revision.number}."


def _reported(target: Target) -> str:
    who = "Every live node" if target.driver == DriverName.NGINX else "The edge"
    return f"{who} took the revision; there is no call that could show more."


def prove(*, target: Target, at: datetime) -> bool:
    """Ask the edge about what is due. False when nothing is. The caller holds the target's lock."""
    due = list(due_at_edge(target, at).select_related("activation__target", "activation__revision")[:AT_ONCE])
    if not due:
        return False
    with akamai_driver(target) as driver:
        proofs = driver.probe([_expectation(probe, at) for probe in due])
    for probe, proof in zip(due, proofs, strict=True):
        conclude(probe_id=probe.pk, answer=_answer(probe, proof), detail=proof.detail, at=at)
    return True


def due_at_edge(target: Target, at: datetime) -> QuerySet[Probe]:
    """A call through the edge that asks about the mesh waits until the edge itself has what it needs."""
    edge_behind = Probe.objects.filter(grant_id=OuterRef("grant_id"), point=Point.EDGE, state=ProbeState.WAITING)
    return (
        Probe.objects.filter(target=target, runner=Runner.EDGE, state__in=DUE_PROBES, due_at__lte=at)
        .filter(~Exists(edge_behind))
        .order_by("due_at", "pk")
    )


def _expectation(probe: Probe, at: datetime) -> Expectation:
    call = probe.call
    return Expectation(
        id=str(probe.pk),
        host=call["host"],
        method=call["method"],
        path=call["base"] + call["path"],
        token=trust.sign_probe_token(subject=probe.subject, at=at),
    )


def _answer(probe: Probe, proof: Proof) -> DoorAnswer | None:
    """What the door in question said. A mesh that was not reached because the edge refused has said nothing."""
    return proof.doors.get(probe.point)


def conclude(*, probe_id: int, answer: DoorAnswer | None, detail: str, at: datetime) -> None:
    """Note the answer to a probe and what follows from it. An answer to a question no longer asked is dropped."""
    with transaction.atomic():
        probe = (
            Probe.objects.select_for_update(of=("self",))
            .select_related("activation__target", "activation__revision")
            .filter(pk=probe_id, state__in=DUE_PROBES)
            .first()
        )
        if probe is None:
            return
        _write_answer(probe, answer, detail, at)
        if _as_expected(probe, answer):
            _passed(probe, at)
        else:
            _failed(probe, at)


def _write_answer(probe: Probe, answer: DoorAnswer | None, detail: str, at: datetime) -> None:
    probe.verdict = answer.verdict if answer else "error"
    probe.reason = answer.reason if answer else ""
    probe.grants = list(answer.grants) if answer else []
    probe.detail, probe.tried_at, probe.attempts = detail, at, probe.attempts + 1


def _as_expected(probe: Probe, answer: DoorAnswer | None) -> bool:
    """Open means: by this grant. Closed means: not by this grant, though another may still allow the call."""
    if answer is None:
        return False
    by_this = answer.verdict == "allow" and probe.grant_id in answer.grants
    return by_this if probe.expect == Expect.ALLOW else not by_this


def _passed(probe: Probe, at: datetime) -> None:
    move(probe, ProbeState.PASSED)
    probe.passed_at = at
    probe.save()
    to = "proven" if probe.expect == Expect.ALLOW else "closed"
    access.mark_door(grant_id=probe.grant_id, point=probe.point, state=to, detail=sentence(probe), at=at)
    if probe.expect == Expect.ALLOW and _all_proven(probe):
        access.activate(grant_id=probe.grant_id, at=at)
    access.record_error(grant_id=probe.grant_id, error="", at=at)
    finish(probe.activation, at=at)


def _all_proven(probe: Probe) -> bool:
    """Asked after the grant's row was locked (by ``mark_door``), so two doors proven at once are both seen."""
    passed = Probe.objects.filter(grant_id=probe.grant_id, expect=Expect.ALLOW, state=ProbeState.PASSED)
    return set(probe.call["points"]) <= set(passed.values_list("point", flat=True))


def _failed(probe: Probe, at: datetime) -> None:
    if probe.state == ProbeState.READY:
        move(probe, ProbeState.FAILING)
    probe.due_at = at + min(RETRY_FIRST * 2 ** min(probe.attempts - 1, 12), RETRY_LONGEST)
    probe.save()
    if probe.attempts >= PATIENCE:
        said = sentence(probe)
        access.mark_door(grant_id=probe.grant_id, point=probe.point, state="failing", detail=said, at=at)
        access.record_error(grant_id=probe.grant_id, error=f"{probe.activation.target.name}: {said}", at=at)


def sentence(probe: Probe) -> str:
    """The evidence in words."""
    if probe.runner == Runner.REPORT:
        return probe.detail
    call = f"{probe.call['method']} {probe.call.get('base', '')}{probe.call['path']} as {probe.subject}"
    if probe.verdict == "error":
        return f"{call}: {probe.detail}"
    return f"{call}: {probe.verdict} ({probe.reason})."


def finish(activation: Activation, *, at: datetime) -> None:
    """An activation whose every question is answered is proven. One that raised none stays applied."""
    asked = set(Probe.objects.filter(activation=activation).values_list("state", flat=True))
    if ProbeState.PASSED not in asked or asked & set(OPEN_PROBES):
        return
    locked = (
        Activation.objects.select_for_update(of=("self",)).select_related("target", "revision").get(pk=activation.pk)
    )
    if locked.state == ActivationState.ACTIVE:
        move(locked, ActivationState.PROVEN)
        locked.proven_at = at
        locked.save(update_fields=["state", "proven_at"])
        announce_activation(locked, at)


def next_due(target: Target) -> datetime | None:
    """When the next probe through the edge is due."""
    rows: Sequence[Probe] = list(
        Probe.objects.filter(target=target, runner=Runner.EDGE, state__in=DUE_PROBES).order_by("due_at")[:1]
    )
    return rows[0].due_at if rows else None
