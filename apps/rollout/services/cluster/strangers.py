"""What must stay denied: beside a call that shows a grant open, a call of a workload that nobody let in.

Being let in shows little where everybody is. So where a probe pod of another workload runs, its call to the same
service has to be refused before a cluster's proof is whole. When it is let through, the door is not as it should be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db.models import Q

from apps.compiler import graph as policy
from apps.compiler.decide import Pdp
from apps.compiler.graph import Service
from apps.compiler.lint import READING
from apps.rollout.cluster.settings import SMI, settings_of
from apps.rollout.models import Expect, Probe, Runner, Target
from apps.rollout.services.cluster.probing import CONNECT, example
from apps.rollout.states import OPEN_PROBES, ProbeState, move

Pair = tuple[str, int]
"""A grant's id and the target's key."""


def beside(
    fresh: Collection[Probe],
    *,
    target: Target,
    services: Mapping[str, Service],
    pdp: Pdp,
    hosted: Collection[str],
    at: datetime,
) -> list[Probe]:
    """For each question that a pod will answer by being let in: one that another pod must answer by being refused."""
    asked = [probe for probe in fresh if probe.runner == Runner.NODE and probe.expect == Expect.ALLOW]
    others = [one for one in hosted if not _is_ingress(target, one)]
    found = []
    for probe in asked:
        service = services[probe.service]
        stranger = _stranger(service, str(probe.call["workload"]), pdp, others, at)
        call = _call(target, service, probe.call) if stranger else None
        if stranger and call:
            found.append(_question(probe, stranger, {**call, "workload": stranger}, at))
    return found


def _is_ingress(target: Target, workload: str) -> bool:
    """The ingress is let through for whoever comes by it, so that it passes shows nothing."""
    namespace, _, account = settings_of(target.config).ingress.partition("/")
    return workload.endswith(f"/ns/{namespace}/sa/{account}")


def _stranger(service: Service, holder: str, pdp: Pdp, hosted: Collection[str], at: datetime) -> str:
    """The first by name of those a pod runs as that may call nothing there; empty where there is none."""
    own = service.mesh.workload if service.mesh is not None else ""
    known = {holder, own, *_let_in(service.id, pdp, at)}
    return min((one for one in hosted if one not in known), default="")


def _let_in(service: str, pdp: Pdp, at: datetime) -> set[str]:
    rows = pdp.entitlements(service, int(at.timestamp()))
    return {row.subject.partition(":")[2] for row in rows if row.point is policy.Point.MESH}


def _call(target: Target, service: Service, holders: Mapping[str, object]) -> dict[str, object] | None:
    """A connection where only networks are told apart; else a call that only reads, of any route: all are shut."""
    where = {name: holders[name] for name in ("host", "port", "points")}
    if SMI not in settings_of(target.config).emitters:
        return {**where, "how": CONNECT, "method": holders["method"], "path": holders["path"]}
    reading = (
        {"method": method, "path": example(route.template)}
        for route in sorted(service.routes, key=lambda route: route.id)
        for method in sorted(route.methods & READING)
    )
    call = next(reading, None)
    return {**where, **call} if call is not None else None


def _question(probe: Probe, stranger: str, call: Mapping[str, object], at: datetime) -> Probe:
    return Probe(
        activation=probe.activation,
        target=probe.target,
        runner=Runner.NODE,
        grant_id=probe.grant_id,
        point=probe.point,
        expect=Expect.DENY,
        subject=f"workload:{stranger}",
        service=probe.service,
        call=dict(call),
        stranger=stranger,
        created_at=at,
    )


def drop_answered(*, target: Target, services: Collection[str], pdp: Pdp, fresh: Iterable[Probe], at: datetime) -> None:
    """Questions that are none any more: the stranger was let in since, or another question about the grant is asked.

    The caller holds the target.
    """
    anew = {probe.grant_id for probe in fresh}
    open_ones = Probe.objects.filter(target=target, service__in=services, state__in=OPEN_PROBES).exclude(stranger="")
    rows = list(open_ones.select_for_update().order_by("pk"))
    let_in = {service: _let_in(service, pdp, at) for service in {probe.service for probe in rows}}
    gone = [probe for probe in rows if probe.grant_id in anew or probe.stranger in let_in[probe.service]]
    for probe in gone:
        move(probe, ProbeState.DROPPED)
    Probe.objects.bulk_update(gone, ["state"], batch_size=200)


def answers(probes: Iterable[Probe]) -> dict[Pair, Probe]:
    """What strangers were last answered about the grants of these, by grant and target; without what is not known."""
    grants = {probe.grant_id for probe in probes}
    rows = Probe.objects.filter(Q(state=ProbeState.PASSED) | Q(state=ProbeState.FAILING), grant_id__in=grants)
    newest = rows.exclude(stranger="").order_by("grant_id", "target", "-pk").distinct("grant_id", "target")
    return {(one.grant_id, one.target_id): one for one in newest}


def companions(probes: Iterable[Probe]) -> list[Probe]:
    """The questions these were asked beside, as far as they were answered well; with their activations."""
    asked = {(probe.grant_id, probe.target_id) for probe in probes}
    rows = Probe.objects.filter(
        grant_id__in={grant for grant, _ in asked}, stranger="", state=ProbeState.PASSED, expect=Expect.ALLOW
    )
    newest = rows.order_by("grant_id", "target", "-pk").distinct("grant_id", "target")
    found = newest.select_related("activation__target", "activation__revision")
    return [one for one in found if (one.grant_id, one.target_id) in asked]
