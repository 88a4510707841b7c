"""Deciding what to ask of the doors after a change, and how."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.compiler import graph as policy
from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.emitters.cluster.objects import service_name
from apps.compiler.graph import AccessGraph, Service, SubjectKind
from apps.identity import selectors as identity
from apps.rollout.models import Activation, Delivery, DriverName, Expect, Probe, Runner, Target
from apps.rollout.services import proving
from apps.rollout.services.cluster import strangers
from apps.rollout.services.cluster.driving import held_of
from apps.rollout.services.cluster.probing import call_for, example
from apps.rollout.services.doors import DoorTask, door_tasks, unasked_tasks
from apps.rollout.services.holding import hold_probes
from apps.rollout.services.trying_rules import Caller, find_caller
from apps.rollout.states import OPEN_PROBES, ActivationState, ProbeState, move

DOOR_HOST = "door_host"
"""In a mesh target's ``config``: how a door is found from another node, such as ``{service}.{namespace}.svc``."""

IN_FORCE = (ActivationState.ACTIVE, ActivationState.PROVEN)


@dataclass(frozen=True, slots=True)
class Question:
    """How one door is asked about one grant: who runs it, as whom, and which call."""

    runner: Runner
    subject: str
    call: Mapping[str, object]


def expect(
    *,
    target: Target,
    services: Collection[str],
    graph: AccessGraph,
    at: datetime,
    joined: Collection[str] = frozenset(),
) -> None:
    """Set the probes that will show whether the target's door is where it should be for the grants of these services.

    Of those that ``joined`` also what is open already, where others kept it before. The caller has opened a transaction
    and holds the target's lock. What is being asked already is left alone.
    """
    held = held_of(target, services)
    tasks = door_tasks(services=held, point=target.point, environment=target.environment.slug)
    old_doors = unasked_tasks(target=target, services=held & set(joined)) if joined else []
    tasks += old_doors
    activation = Activation.objects.filter(target=target).order_by("-pk").first()
    if not tasks or activation is None:
        return
    subjects = {**identity.graph_subjects({task.subject for task in tasks}), **graph.subjects}
    pdp = Pdp(graph)
    edges = Target.objects.filter(environment=target.environment, driver=DriverName.AKAMAI)
    edge = edges.exclude(delivery=Delivery.REMOVED).first()
    asked = _asked_already(target, tasks, activation)
    fresh: list[Probe] = []
    dropped: list[Probe] = []
    for task in tasks:
        question = _question_for(target, task, graph, pdp, subjects, at, through_edge=edge is not None)
        runs_on = edge if question.runner == Runner.EDGE and edge is not None else target
        probe = _probe(task, question, activation, runs_on, at)
        old = asked.get(task.grant_id)
        if old is None or not _asks_the_same(old, probe):
            fresh.append(probe)
            if old is not None:
                move(old, ProbeState.DROPPED)
                dropped.append(old)
    Probe.objects.bulk_update(dropped, ["state"], batch_size=proving.BATCH)
    fresh += _strangers(target, held, fresh, graph, pdp, at)
    Probe.objects.bulk_create(fresh, batch_size=proving.BATCH)
    proving.note_joined(target, [task.grant_id for task in old_doors], at)
    if activation.state in IN_FORCE:
        proving.make_ready(target, services=services, at=at)


def _strangers(
    target: Target, services: Collection[str], fresh: Collection[Probe], graph: AccessGraph, pdp: Pdp, at: datetime
) -> list[Probe]:
    """What a cluster is asked beside, where other pods run. What is no such question any more is dropped."""
    if target.driver != DriverName.KUBERNETES:
        return []
    strangers.drop_answered(target=target, services=services, pdp=pdp, fresh=fresh, at=at)
    hosted = proving.hosted(target, at)
    return strangers.beside(fresh, target=target, services=graph.services, pdp=pdp, hosted=hosted, at=at)


def _question_for(
    target: Target,
    task: DoorTask,
    graph: AccessGraph,
    pdp: Pdp,
    subjects: Mapping[str, policy.Subject],
    at: datetime,
    *,
    through_edge: bool,
) -> Question:
    if target.driver == DriverName.KUBERNETES:
        return _cluster_question(target, task, graph, pdp, subjects, at)
    doors = str(target.config.get(DOOR_HOST, ""))
    return _question(task, graph, pdp, subjects, at, through_edge=through_edge, doors=doors)


def _question(
    task: DoorTask,
    graph: AccessGraph,
    pdp: Pdp,
    subjects: Mapping[str, policy.Subject],
    at: datetime,
    *,
    through_edge: bool,
    doors: str,
) -> Question:
    """A call where one can be made, else the target's own report. ``doors`` is where those of the mesh's nodes are."""
    service = graph.services.get(task.service)
    caller = _caller(task, service, graph, pdp, subjects, at) if service is not None else None
    if service is None or caller is None:
        return Question(Runner.REPORT, task.subject, {})
    holder, call = caller
    if _asks_the_node(task, holder) and service.mesh is not None:
        where: dict[str, object] = {
            "workload": holder.id.partition(":")[2],
            **_door_place(service.id, service.mesh, doors),
        }
        return Question(Runner.NODE, holder.id, {**where, **call})
    if _asks_the_edge(task) and through_edge and service.edge is not None:
        where = {"host": service.edge.host, "base": service.edge.base_path}
        return Question(Runner.EDGE, holder.id, {**where, **call})
    return Question(Runner.REPORT, holder.id, {})


def _door_place(slug: str, exposure: policy.MeshExposure, doors: str) -> dict[str, object]:
    """On the caller's own node, or where ``doors`` says: there the application's port leads to the door."""
    if not doors:
        return {"port": exposure.port}
    host = doors.replace("{service}", service_name(slug)).replace("{namespace}", exposure.namespace)
    return {"host": host, "port": exposure.upstream_port}


def _cluster_question(
    target: Target,
    task: DoorTask,
    graph: AccessGraph,
    pdp: Pdp,
    subjects: Mapping[str, policy.Subject],
    at: datetime,
) -> Question:
    """A call by a pod that runs as the workload, where one would show something."""
    service, holder = graph.services.get(task.service), _holder(task.subject, subjects)
    if service is None or holder is None:
        return Question(Runner.REPORT, task.subject, {})
    if task.wish is not None or holder.kind is not SubjectKind.WORKLOAD:
        return Question(Runner.REPORT, holder.id, {})
    calls = _calls(task, service, pdp, holder.id, at)
    wanted = task.expect == Expect.ALLOW
    call = call_for(target, service, holder.id, pdp, calls=calls, wanted=wanted, at=at)
    return Question(Runner.REPORT, holder.id, {}) if call is None else Question(Runner.NODE, holder.id, call)


def _caller(
    task: DoorTask,
    service: Service,
    graph: AccessGraph,
    pdp: Pdp,
    subjects: Mapping[str, policy.Subject],
    at: datetime,
) -> Caller | None:
    """Who makes which call. A traffic rule only shows where somebody is let in."""
    rule = task.rule()
    if rule is not None:
        return find_caller(graph, service, rule, policy.Point(task.point), int(at.timestamp()), example)
    holder = _holder(task.subject, subjects)
    call = next(_calls(task, service, pdp, holder.id, at), None) if holder else None
    return None if holder is None or call is None else (holder, call)


def _asks_the_node(task: DoorTask, holder: policy.Subject) -> bool:
    """Workloads call each other inside the mesh; a node can do as they do."""
    return task.point == policy.Point.MESH and holder.kind is SubjectKind.WORKLOAD


def _asks_the_edge(task: DoorTask) -> bool:
    """Others come in by the edge. That the mesh is shut behind it cannot be seen from outside."""
    return task.point == policy.Point.EDGE or (task.expect == Expect.ALLOW and policy.Point.EDGE in task.points)


def _holder(subject: str, subjects: Mapping[str, policy.Subject]) -> policy.Subject | None:
    """Who makes the call: the subject itself, or a member of the team, an active one if there is any."""
    found = subjects.get(subject)
    if found is None or found.kind is not SubjectKind.TEAM:
        return found
    team = sorted((one for one in subjects.values() if subject in one.teams), key=lambda one: (not one.active, one.id))
    return team[0] if team else None


def _calls(task: DoorTask, service: Service, pdp: Pdp, subject: str, at: datetime) -> Iterator[dict[str, object]]:
    """Calls of the grant's routes; first those for which the policy itself expects what the probe expects."""
    moment = int(at.timestamp())
    point = policy.Point(task.point)
    candidates = [
        (method, example(route.template))
        for route in sorted(service.routes, key=lambda route: route.id)
        if route.id in task.routes
        for method in sorted(route.methods)
    ]

    def unexpected(candidate: tuple[str, str]) -> bool:
        method, path = candidate
        decision = pdp.decide(subject, Action(method), Resource(service.id, path), Context(point), moment)
        return decision.allowed != (task.expect == Expect.ALLOW)

    for method, path in sorted(candidates, key=unexpected):
        yield {"method": method, "path": path}


def _asked_already(target: Target, tasks: Collection[DoorTask], activation: Activation) -> dict[str, Probe]:
    """What is being asked about this door, by grant; held, and the activation with it."""
    ids = {task.grant_id for task in tasks}
    rows = hold_probes(
        Probe.objects.filter(
            grant_id__in=ids, point=target.point, activation__target=target, state__in=OPEN_PROBES, stranger=""
        ),
        also=[activation.pk],
    )
    return {row.grant_id: row for row in rows}


def _asks_the_same(old: Probe, new: Probe) -> bool:
    """A call that turned out to be nobody's to make is still the same question."""
    same_runner = old.runner in (new.runner, Runner.REPORT)
    return same_runner and (old.expect, old.call) == (new.expect, new.call)


def _probe(task: DoorTask, question: Question, activation: Activation, runs_on: Target, at: datetime) -> Probe:
    return Probe(
        activation=activation,
        target=runs_on,
        runner=question.runner,
        grant_id=task.grant_id,
        point=task.point,
        expect=task.expect,
        subject=question.subject,
        service=task.service,
        call={**question.call, "points": list(task.points)},
        created_at=at,
    )
