"""Kubernetes objects, read as their controllers read them, say what decide() says of what they can see."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.doors import EdgeDoor
from apps.compiler.emitters.cluster import emit_common, emit_service
from apps.compiler.emitters.cluster.leaving import Mesh
from apps.compiler.emitters.cluster.lints import lint_objects
from apps.compiler.emitters.cluster.objects import Object, caller_account, ingress_account, server_account
from apps.compiler.emitters.nginx import upstream_key
from apps.compiler.graph import AccessGraph, Grant, MeshExposure, Point, Route, Service, Subject, SubjectKind
from apps.compiler.impact import Call
from apps.compiler.paths import segments
from apps.compiler.slices import split
from apps.compiler.surroundings import ClusterSurroundings
from tests.agreement.clusters import Gateway, Nic, Smi
from tests.agreement.strategies import ACTORS, T0, TRUST_DOMAIN, Case, Situation, graphs, situations
from tests.agreement.strategies import tails as paths_below
from tests.agreement.targets import HOSTILE_PATHS, PLAIN_PATHS

CASES = int(os.environ.get("SALLYPORT_AGREEMENT_CASES", "1200"))
CASES_PER_SITUATION = 150
SURROUNDINGS = ClusterSurroundings(
    cluster="blue",
    console_url="https://console.shop.test",
    trust_domain=TRUST_DOMAIN,
    emitters=frozenset({"smi", "nic", "gateway"}),
    mtls="strict",
    verifier="sallyport/sp-verifier:8080",
    gateway="gateways/outside",
    tls_secret="host-tls",
    client_ca_secret="edge-ca",
)
PEOPLE = [subject for subject in ACTORS if not subject.startswith("workload:")]
thoroughly = settings(
    max_examples=max(1, CASES // CASES_PER_SITUATION),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


def compiled(graph: AccessGraph, surroundings: ClusterSurroundings) -> tuple[Object, ...]:
    shards = [one for service, part in split(graph) for one in emit_service(part, service, surroundings)]
    artifacts = (*emit_common(graph, surroundings), *shards)
    return tuple(json.loads(artifact.content) for artifact in artifacts)


def by_moment(cases: Iterable[Case]) -> dict[int, list[Case]]:
    found: dict[int, list[Case]] = {}
    for case in cases:
        found.setdefault(case.at, []).append(case)
    return found


def is_plainly_spelt(path: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9/!$&'()*+,\-.:=@_~]*", path) is not None


class Targets:
    """SMI's objects at one moment beside the reference."""

    def __init__(self, graph: AccessGraph, at: int, mode: str) -> None:
        surroundings = replace(SURROUNDINGS, at=at, access_control=mode)
        self.graph, self.at, self.surroundings = graph, at, surroundings
        objects = compiled(graph, surroundings)
        assert lint_objects(objects) == ()
        self.model, self.pdp = Smi(objects, mode), Pdp(graph)

    def may(self, subject: str, case: Case, point: Point = Point.MESH) -> bool:
        assert case.service is not None
        resource = Resource(case.service, case.path)
        return self.pdp.decide(subject, Action(case.method), resource, Context(point), self.at).allowed

    def may_come_in(self, subject: str, case: Case) -> bool:
        """A workload calls inside, unless it may come by the edge as well."""
        comes_in = subject in PEOPLE or self.may(subject, case, Point.EDGE)
        return comes_in and self.may(subject, case)

    def passes(self, subject: str, case: Case) -> bool:
        service = self.graph.services[case.service or ""]
        destination = server_account(service, self.surroundings)
        source = caller_account(subject, self.surroundings) or ingress_account(self.surroundings)
        assert destination is not None
        assert service.mesh is not None
        return self.model.allows(source, destination, service.mesh.upstream_port, case.method, case.path)


@thoroughly
@given(situations(faulty=1), st.sampled_from(("allow", "deny")))
def test_targets_let_workloads_do_what_they_may_and_nothing_else(situation: Situation, mode: str) -> None:
    for at, cases in by_moment(situation.cases).items():
        targets = Targets(situation.graph, at, mode)
        for case in cases:
            if case.service is None or caller_account(case.subject, targets.surroundings) is None:
                continue
            wanted, found = targets.may(case.subject, case), targets.passes(case.subject, case)
            assert wanted or not found, f"let through: {case}"
            assert found or not wanted or not is_plainly_spelt(case.path), f"kept out: {case}"


WORKLOADS = [subject for subject in ACTORS if subject.startswith("workload:")]


def given_to_workloads(graph: AccessGraph) -> AccessGraph:
    """The same routes with a method in common, held in turns by two workloads: what is left is whose path it is."""
    services = {
        service.id: replace(
            service, routes=tuple(replace(route, methods=route.methods | {"GET"}) for route in service.routes)
        )
        for service in graph.services.values()
    }
    pairs = [(service.id, route.id) for service in services.values() for route in service.routes]
    grants = tuple(
        Grant(f"g{place}", WORKLOADS[place % 2], service, frozenset({route}), frozenset({Point.MESH}), T0)
        for place, (service, route) in enumerate(pairs)
    )
    subjects = {**graph.subjects, **{who: replace(graph.subjects[who], active=True) for who in WORKLOADS}}
    return AccessGraph(subjects, services, grants, graph.guardrails)


@thoroughly
@given(graphs(), st.data())
def test_every_path_is_let_through_to_the_route_that_answers_it_only(graph: AccessGraph, data: st.DataObject) -> None:
    targets = Targets(given_to_workloads(graph), T0, "deny")
    tails = data.draw(paths_below(graph))
    below = (*tails, *PLAIN_PATHS, *HOSTILE_PATHS)
    for service, tail, who in product(targets.graph.services.values(), below, WORKLOADS):
        for method in sorted({method for route in service.routes for method in route.methods}):
            case = Case(who, method, service.id, "", "", tail, T0)
            wanted, found = targets.may(who, case), targets.passes(who, case)
            assert wanted or not found, f"let through: {case}"
            assert found or not wanted or not is_plainly_spelt(tail), f"kept out: {case}"


@thoroughly
@given(situations(faulty=1))
def test_the_ingress_gets_through_to_what_somebody_outside_may_do(situation: Situation) -> None:
    for at, cases in by_moment(situation.cases).items():
        targets = Targets(situation.graph, at, "deny")
        for case in {replace(case, subject="", actor=None) for case in cases if case.service is not None}:
            wanted = any(targets.may_come_in(subject, case) for subject in ACTORS)
            found = targets.passes("person:anybody", case)
            assert wanted or not found, f"let through: {case}"
            assert found or not wanted or not is_plainly_spelt(case.path), f"kept out: {case}"


@thoroughly
@given(situations(faulty=1))
def test_an_ingress_asks_about_the_service_that_answers_there(situation: Situation) -> None:
    """What it asks, and how the verifier finds the service for itself, agree; or the call is refused."""
    objects = compiled(situation.graph, SURROUNDINGS)
    door = EdgeDoor(situation.graph)
    for case in situation.cases:
        resource = door.locate(case.host, case.target)
        for ingress in (Nic(objects), Gateway(objects)):
            asked = ingress.ask(case.host, case.method, case.target)
            if asked is None:
                assert resource is None or segments(resource.path) is None, case
                continue
            assert (asked.method, asked.target) == (case.method, case.target)
            if resource is not None and is_plainly_spelt(case.target) and segments(resource.path) is not None:
                assert asked.key == upstream_key(resource.service), case
                assert asked.passed_on == resource.path, case


@thoroughly
@given(situations(faulty=1), st.sampled_from(("allow", "deny")))
def test_a_replay_takes_of_the_mesh_what_its_objects_say(situation: Situation, mode: str) -> None:
    """Else the way out could shut somebody out whom the replay did not name."""
    for at, cases in by_moment(situation.cases).items():
        targets = Targets(situation.graph, at, mode)
        meshes = {
            name: Mesh(targets.graph, service, targets.surroundings) for name, service in targets.graph.services.items()
        }
        for case in (case for case in cases if case.service is not None):
            inside = caller_account(case.subject, targets.surroundings) is not None
            wanted = targets.passes(case.subject, case) and (inside or targets.may(case.subject, case))
            call = Call(case.subject, case.method, case.service or "", case.path, Point.MESH, at)
            found = meshes[call.service].allows(call)
            assert found or not wanted, f"taken for shut out already: {case}"
            assert wanted or not found or not is_plainly_spelt(case.path), f"taken for let in: {case}"


def test_a_difference_is_noticed() -> None:
    """The comparison itself works: targets that still hold yesterday's policy are caught."""
    route = Route("r0", frozenset({"GET"}), "/a")
    server = MeshExposure("shop", f"spiffe://{TRUST_DOMAIN}/ns/shop/sa/server", 1, 2)
    caller = Subject(ACTORS[3], SubjectKind.WORKLOAD)
    grant = Grant("g0", caller.id, "cart", frozenset({"r0"}), frozenset({Point.MESH}), T0 - 10)
    today = AccessGraph({caller.id: caller}, {"cart": Service("cart", "Cart", (route,), None, server)}, (grant,))
    case = Case(caller.id, "GET", "cart", "shop.test", "", "/a", T0)
    yesterday = Targets(replace(today, grants=()), T0, "allow")
    assert Targets(today, T0, "allow").passes(caller.id, case)
    assert not yesterday.passes(caller.id, case)
    assert not Targets(today, T0 - 11, "allow").passes(caller.id, case)
