"""Asking the doors, and drawing the conclusion: a door is proven, closed, or not as it should be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When

from apps.access import services as access
from apps.access.services import DoorReport
from apps.rollout.drivers.base import DoorAnswer, Expectation, Proof
from apps.rollout.models import Activation, DriverName, Expect, Node, Point, Probe, Runner, Target
from apps.rollout.services.cluster import strangers
from apps.rollout.services.doorkeepers import Door, Lag, lags
from apps.rollout.services.driving import STALE_AFTER, caller_of, is_here
from apps.rollout.services.evidence import announce_activation
from apps.rollout.services.holding import hold_probes
from apps.rollout.states import DUE_PROBES, OPEN_PROBES, ActivationState, ProbeState, move
from apps.trust import services as trust

AT_ONCE, BATCH = 50, 200
RETRY_FIRST, RETRY_LONGEST = timedelta(seconds=0.1), timedelta(seconds=30)
PATIENCE = 3
"""Only after so many tries a door is said to fail."""

SPREADS_WITHIN = 10.0
"""Seconds: so long EdgeKV may answer from before in most cases, by Akamai's own word; sometimes it is more."""

REPORTED, NOT_ENFORCED = "reported", "not_enforced"


def make_ready(target: Target, *, services: Collection[str] | None, at: datetime) -> None:
    """What the target's activations promised to these services (None: to all) is in force: it may be asked about now.

    The caller has opened a transaction.
    """
    waiting = Probe.objects.filter(activation__target=target, state=ProbeState.WAITING)
    if services is not None:
        waiting = waiting.filter(service__in=services)
    probes = hold_probes(waiting)
    standing = hosted(target, at) if any(probe.runner == Runner.NODE for probe in probes) else set()
    for probe in probes:
        gone = probe.runner == Runner.NODE and probe.call["workload"] not in standing
        move(probe, ProbeState.DROPPED if gone and probe.stranger else ProbeState.READY)
        probe.ready_at = probe.due_at = at
        if gone and not probe.stranger:
            probe.runner = Runner.REPORT
    Probe.objects.bulk_update(probes, ["state", "ready_at", "due_at", "runner"], batch_size=BATCH)
    reported = [probe for probe in probes if probe.runner == Runner.REPORT]
    behind = lags(probes, PATIENCE)
    there = [probe for probe in probes if not probe.stranger and not _lag(behind, probe).without]
    on_the_way = {Expect.ALLOW: "open", Expect.DENY: "closing"}
    reports = [DoorReport(one.grant_id, one.point, on_the_way[Expect(one.expect)], _where(one)) for one in there]
    access.mark_doors(reports=reports, at=at)
    _draw({probe: _as_reported(probe, target) for probe in reported}, at)


def ask_no_more(edge: Target, at: datetime) -> None:
    """Nobody calls through this edge any more: of its own doors nothing is asked, of the mesh its report has to do.

    The caller holds the edge.
    """
    probes = hold_probes(Probe.objects.filter(target=edge, state__in=OPEN_PROBES))
    through = [probe for probe in probes if probe.activation.target_id != edge.pk]
    for probe in probes:
        if probe in through:
            probe.runner = Runner.REPORT
        else:
            move(probe, ProbeState.DROPPED)
    Probe.objects.bulk_update(probes, ["state", "runner"], batch_size=BATCH)
    asked = [probe for probe in through if probe.state in DUE_PROBES]
    _draw({probe: _as_reported(probe, probe.activation.target) for probe in asked}, at)


def ask_no_node(target: Target, at: datetime) -> None:
    """Questions that only a node could answer which is no more: the target's own report has to do.

    Where no node is left, nobody reports either, and they wait for the next one. The caller holds the target.
    """
    if target.is_fetched and not Node.objects.filter(target=target, applies=True).exists():
        return
    standing = hosted(target, at)
    waiting = Probe.objects.filter(target=target, runner=Runner.NODE, state__in=DUE_PROBES)
    probes = [one for one in hold_probes(waiting) if one.call["workload"] not in standing]
    for probe in probes:
        if probe.stranger:
            move(probe, ProbeState.DROPPED)
        else:
            probe.runner = Runner.REPORT
    Probe.objects.bulk_update(probes, ["state", "runner"], batch_size=BATCH)
    _draw({one: _as_reported(one, target) for one in probes if not one.stranger}, at)


def _as_reported(probe: Probe, target: Target) -> Found:
    said = "allow" if probe.expect == Expect.ALLOW else "deny"
    grants = (probe.grant_id,) if probe.expect == Expect.ALLOW else ()
    return Found(DoorAnswer(said, REPORTED, grants), _reported(target))


def note_joined(target: Target, grant_ids: Sequence[str], at: datetime) -> None:
    """Doors that stay proven, and say that one more keeper has to show it."""
    said = f"Shown where it was kept before. Still to be shown at {target.name}."
    if grant_ids:
        access.mark_doors(reports=[DoorReport(one, target.point, "proven", said) for one in grant_ids], at=at)


def hosted(target: Target, at: datetime) -> set[str]:
    """The workloads some node holds a certificate for: only as one of those it can make a call.

    A pod that tries calls in a cluster may come and go, so only one that was heard of lately counts there.
    """
    nodes = Node.objects.filter(target=target)
    if target.driver == DriverName.KUBERNETES:
        nodes = nodes.filter(last_seen_at__gt=at - STALE_AFTER)
    rows = nodes.values_list("identities", flat=True)
    return {str(one.get("workload", "")) for identities in rows for one in identities}


def _where(probe: Probe) -> str:
    """What whoever waits reads meanwhile."""
    target = probe.activation.target
    said, spreads = f"{target.name} has revision {probe.activation.revision.number}.", spreads_within(target)
    if not spreads:
        return said
    return f"{said} Akamai spreads it within about {spreads:g} seconds, sometimes more; it is tried until it is seen."


def spreads_within(target: Target) -> float:
    """Seconds until what was written is read everywhere, as a rule. An edge on this machine takes none."""
    if target.driver != DriverName.AKAMAI:
        return 0.0
    return float(target.config.get("edgekv_spreads_within", 0.0 if is_here(target) else SPREADS_WITHIN))


def _reported(target: Target) -> str:
    if target.driver == DriverName.KUBERNETES:
        how = "Its agent reports that the cluster holds" if target.is_pulled else "Read back, the cluster holds"
        return f"{how} the objects; no call was made."
    who = "Every live node" if target.driver == DriverName.NGINX else "The edge"
    return f"{who} took the revision; there is no call that could show more."


def prove(*, target: Target, at: datetime) -> bool:
    """Ask the edge about what is due. False when nothing is. The caller holds the target's lock.

    Nothing is locked while the edge is asked. What one and the same call answers is asked once.
    """
    due = list(due_at_edge(target, at)[:AT_ONCE])
    if not due:
        return False
    tokens = trust.sign_probe_tokens(subjects={probe.subject for probe in due}, at=at)
    asked = {probe.pk: _expectation(probe, tokens) for probe in due}
    proofs = caller_of(target).probe(list(dict.fromkeys(asked.values())))
    answers = {proof.id: proof for proof in proofs}
    found = {
        probe.pk: Found(_answer(probe, answers[asked[probe.pk].id]), answers[asked[probe.pk].id].detail)
        for probe in due
        if asked[probe.pk].id in answers
    }
    conclude(found=found, at=at)
    return True


def due_at_edge(target: Target, at: datetime) -> QuerySet[Probe]:
    """Doors that should be shut come first, the first time they are asked.

    A call through the edge that asks about the mesh waits until the edge itself has what it needs.
    """
    edge_behind = Probe.objects.filter(grant_id=OuterRef("grant_id"), point=Point.EDGE, state=ProbeState.WAITING)
    first = Case(When(state=ProbeState.READY, expect=Expect.DENY, then=0), default=1)
    return (
        Probe.objects.filter(target=target, runner=Runner.EDGE, state__in=DUE_PROBES, due_at__lte=at)
        .filter(~Exists(edge_behind))
        .order_by(first, "due_at", "pk")
    )


def _expectation(probe: Probe, tokens: Mapping[str, str]) -> Expectation:
    host, method, path = probe.call["host"], probe.call["method"], probe.call["base"] + probe.call["path"]
    name = f"{method} {host}{path} {probe.subject}"
    return Expectation(name, host, method, path, tokens[probe.subject])


def _answer(probe: Probe, proof: Proof) -> DoorAnswer | None:
    """What the door in question said. A mesh that was not reached because the edge refused has said nothing."""
    return proof.doors.get(probe.point)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a probe: what the door said, or None, and what there is to say about it."""

    answer: DoorAnswer | None
    detail: str


def conclude(*, found: Mapping[int, Found], at: datetime) -> None:
    """Note the answers to probes and what follows from them. An answer to a question no longer asked is dropped."""
    with transaction.atomic():
        probes = hold_probes(Probe.objects.filter(pk__in=found, state__in=DUE_PROBES))
        _draw({probe: found[probe.pk] for probe in probes}, at)


def _draw(found: Mapping[Probe, Found], at: datetime) -> None:
    """The conclusion for probes that are held with their activations, in statements that do not grow with them."""
    for probe, what in found.items():
        _write_answer(probe, what.answer, what.detail, at)
        if _as_expected(probe, what.answer):
            move(probe, ProbeState.PASSED)
            probe.passed_at = at
        else:
            _ask_again(probe, at)
    Probe.objects.bulk_update(list(found), ANSWERED, batch_size=BATCH)
    closed = [probe for probe in found if probe.state == ProbeState.PASSED]
    passed = _with_companions(closed)
    failed = [probe for probe in found if probe.state == ProbeState.FAILING and _is_overdue(probe, at)]
    behind = lags(passed, PATIENCE) if passed else {}
    refused = strangers.answers(one for one in passed if _in_cluster(one))
    told = [one for one in passed if not _lag(behind, one).failing and not _open_to_all(one, refused)]
    reports = [*(_report(one, _lag(behind, one), refused) for one in told), *(_report(one, Lag()) for one in failed)]
    access.mark_doors(reports=reports, at=at)
    for grant_id in _all_proven([probe for probe in told if probe.expect == Expect.ALLOW], behind):
        access.activate(grant_id=grant_id, at=at)
    errors = {one.grant_id: f"{one.activation.target.name}: {sentence(one)}" for one in failed}
    well = (one.grant_id for one in passed if not _lag(behind, one).behind)
    access.record_errors(errors={**dict.fromkeys(well, ""), **errors}, at=at)
    for activation in {probe.activation.pk: probe.activation for probe in closed}.values():
        finish(activation, at=at)


def _is_overdue(probe: Probe, at: datetime) -> bool:
    """Whether it should have answered as expected by now: a store that is spreading may answer from before."""
    since = at - (probe.ready_at or probe.created_at)
    spreads = spreads_within(probe.activation.target)
    return probe.attempts >= PATIENCE and since >= timedelta(seconds=spreads)


ANSWERED = (
    "state", "verdict", "reason", "grants", "detail", "tried_at", "attempts", "passed_at", "due_at"
)  # fmt: skip


def _write_answer(probe: Probe, answer: DoorAnswer | None, detail: str, at: datetime) -> None:
    probe.verdict = answer.verdict if answer else "error"
    probe.reason = answer.reason if answer else ""
    probe.grants = list(answer.grants) if answer else []
    probe.detail, probe.tried_at, probe.attempts = detail, at, probe.attempts + 1


def _with_companions(passed: Sequence[Probe]) -> list[Probe]:
    """Those that tell of a grant's own door: of a stranger that was refused, the question it was asked beside."""
    own = [one for one in passed if not one.stranger]
    beside = strangers.companions(one for one in passed if one.stranger)
    known = {one.pk for one in own}
    return [*own, *(one for one in beside if one.pk not in known)]


def _in_cluster(probe: Probe) -> bool:
    return probe.runner == Runner.NODE and probe.activation.target.driver == DriverName.KUBERNETES


def _open_to_all(probe: Probe, refused: Mapping[strangers.Pair, Probe]) -> bool:
    """Whether somebody was let through as well whom nobody let in: then being let in shows nothing."""
    one = refused.get((probe.grant_id, probe.target_id))
    open_to_all = one is not None and one.state == ProbeState.FAILING and one.verdict == "allow"
    return open_to_all and probe.expect == Expect.ALLOW


def _as_expected(probe: Probe, answer: DoorAnswer | None) -> bool:
    """Open means: by this grant. Closed means: not by this grant, though another may still allow the call."""
    if answer is None:
        return False
    if probe.stranger:
        return answer.verdict == "deny"
    by_this = answer.verdict == "allow" and probe.grant_id in answer.grants
    return by_this if probe.expect == Expect.ALLOW else not by_this


def _lag(behind: Mapping[Door, Lag], probe: Probe) -> Lag:
    return behind.get((probe.grant_id, probe.point), Lag())


def _report(probe: Probe, lag: Lag, refused: Mapping[strangers.Pair, Probe] | None = None) -> DoorReport:
    """A door with several keepers is where the slowest of them is."""
    if probe.state == ProbeState.FAILING:
        return DoorReport(probe.grant_id, probe.point, "failing", sentence(probe))
    beside = (refused or {}).get((probe.grant_id, probe.target_id)) if probe.expect == Expect.ALLOW else None
    said = f"{sentence(probe)} {sentence(beside)}" if beside is not None else sentence(probe)
    if lag.behind:
        return DoorReport(probe.grant_id, probe.point, _on_the_way(probe.expect, lag), f"{said} {lag.sentence}")
    there = "proven" if probe.expect == Expect.ALLOW else "closed"
    return DoorReport(probe.grant_id, probe.point, there, said)


def _on_the_way(expect: str, lag: Lag) -> str:
    if expect != Expect.ALLOW:
        return "closing"
    return "opening" if lag.without else "open"


def _all_proven(passed: Sequence[Probe], behind: Mapping[Door, Lag]) -> list[str]:
    """The grants of which every door is proven now, by all who keep it.

    Asked after their rows were locked (by ``mark_doors``), so two doors proven at once are both seen.
    """
    wanted = {probe.grant_id: set(probe.call["points"]) for probe in passed}
    rows = Probe.objects.filter(grant_id__in=wanted, expect=Expect.ALLOW, state=ProbeState.PASSED, stranger="")
    proven: defaultdict[str, set[str]] = defaultdict(set)
    for grant_id, point in rows.values_list("grant_id", "point"):
        proven[grant_id].add(point)
    return [
        grant_id
        for grant_id, points in wanted.items()
        if points <= proven[grant_id] and not any((grant_id, point) in behind for point in points)
    ]


def _ask_again(probe: Probe, at: datetime) -> None:
    if probe.state == ProbeState.READY:
        move(probe, ProbeState.FAILING)
    probe.due_at = at + min(RETRY_FIRST * 2 ** min(probe.attempts - 1, 12), RETRY_LONGEST)


def sentence(probe: Probe) -> str:
    """The evidence in words."""
    if probe.runner == Runner.REPORT:
        return probe.detail
    what = (
        "a connection"
        if probe.call.get("how")
        else f"{probe.call['method']} {probe.call.get('base', '')}{probe.call['path']}"
    )
    call = f"{what} as {probe.subject}"
    if probe.verdict == "error":
        return f"{call}: {probe.detail}"
    if probe.stranger and probe.verdict == "allow":
        return f"{call}, whom nobody let in, was let through: nothing is enforced there."
    if probe.stranger:
        return f"{call}, whom nobody let in, was refused."
    said = "was let through" if probe.verdict == "allow" else f"was refused ({probe.reason})"
    control = probe.call.get("control")
    if control is None:
        return f"{call} {said}."
    other = f"{control['method']} {control['path']}, which nobody opened to it,"
    if probe.reason == NOT_ENFORCED:
        return f"{call} {said}, but {other} was let through as well: nothing is enforced there."
    return f"{call} {said}; {other} stayed shut."


def finish(activation: Activation, *, at: datetime) -> None:
    """An activation whose every question is answered is proven. One that raised none stays applied.

    The caller holds the activation.
    """
    asked = Probe.objects.filter(activation=activation)
    waited_for = asked.filter(state__in=OPEN_PROBES).filter(Q(stranger="") | Q(state=ProbeState.FAILING))
    if activation.state != ActivationState.ACTIVE or waited_for.exists():
        return
    if not asked.filter(state=ProbeState.PASSED).exists():
        return
    move(activation, ActivationState.PROVEN)
    activation.proven_at = at
    activation.save(update_fields=["state", "proven_at"])
    announce_activation(activation, at)


def next_due(target: Target) -> datetime | None:
    """When the next probe through the edge is due."""
    rows: Sequence[Probe] = list(
        Probe.objects.filter(target=target, runner=Runner.EDGE, state__in=DUE_PROBES).order_by("due_at")[:1]
    )
    return rows[0].due_at if rows else None
