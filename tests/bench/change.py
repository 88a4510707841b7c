"""What one new grant costs when there are 1,000, 10,000 or 100,000 already, on the same number of services.

Compiling, the difference in words, and what is written down when it is applied; the doors themselves are `latency`'s.
The estates are visited in turn, so that what else the machine does hits all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection, transaction

from apps.access import services as access
from apps.access.selectors.graph import full_graph
from apps.audit.actors import SYSTEM
from apps.compiler.emitters.edgekv import ITEM_LIMIT
from apps.compiler.slices import split
from apps.localedge.runner import EdgeRunner, Request
from apps.localedge.tiers import load_tiers, tier_named
from apps.outbox import services as outbox
from apps.rollout import content
from apps.rollout.emitting import emitters_of
from apps.rollout.models import Activation, PendingChange, Target, TargetArtifact
from apps.rollout.services import compiling, moving
from apps.rollout.services.driving import believed, desired, driver_of
from apps.rollout.services.targets import enroll_node
from apps.trust import services as trust
from tests.bench import estate, report, scratch
from tests.bench.targets import load, make_targets
from tests.rollout.world import FakeNode

SERVICES = 300
GRANTS, QUICK_GRANTS = (1_000, 10_000, 100_000), (200, 400, 2000)
ROUNDS, QUICK_ROUNDS = 9, 2
AIM = 1.5
CALLS = 100


@dataclass
class World:
    """One estate in its database, with the node that takes its mesh's bundles."""

    grants: int
    made: estate.Estate
    node: FakeNode
    full_ms: dict[str, float] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    phases: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"change_{self.grants}"

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.phases[name].append((time.perf_counter() - began) * 1000)

    @property
    def totals(self) -> list[float]:
        return [sum(one) for one in zip(*self.phases.values(), strict=True)]


def main(databases: scratch.Databases, *, quick: bool) -> None:
    worlds = []
    for grants in QUICK_GRANTS if quick else GRANTS:
        worlds.append(build(databases, grants))
        report.say(f"made {grants:,} grants; first compile {worlds[-1].full_ms}")
    for number in range(0, 2 * (QUICK_ROUNDS if quick else ROUNDS), 2):
        for world in worlds:
            databases.use(world.name)
            visit(world, number)
    databases.use(worlds[-1].name)
    whole = measure_full(worlds[-1])
    edge = measure_edge()
    show(worlds, whole, edge)


def build(databases: scratch.Databases, grants: int) -> World:
    name = f"change_{grants}"
    databases.make(name)
    at = estate.now()
    made = estate.build(estate.Size(services=SERVICES, grants=grants), at)
    make_targets(at)
    node = FakeNode(enroll_node(target_slug="mesh", name="node-1", actor=SYSTEM, at=at).node)
    world = World(grants, made, node)
    for slug in ("edge", "mesh"):
        world.full_ms[slug] = round(timed(lambda s=slug: compile_all(s)), 1)
    apply_edge()
    world.node.take(estate.now())
    world.first = dict(Target.objects.values_list("slug", "latest_number"))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return world


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def compile_all(slug: str) -> None:
    while compiling.prepare(target=load(slug), at=estate.now()):
        pass
    refused = PendingChange.objects.filter(target__slug=slug).exclude(error="").first()
    assert refused is None, refused and refused.error


def apply_edge() -> None:
    """All that is done to apply a revision, but for the vendor's own calls."""
    at, target = estate.now(), load("edge")
    activation = Activation.objects.select_related("revision", "target").filter(target=target).latest("pk")
    with driver_of(target, at) as driver:
        plan = driver.plan(desired(target, activation.revision), believed(target, at))
    moving.begin(activation, plan, at)
    with transaction.atomic():
        moving.complete(activation, at=at)


def visit(world: World, number: int) -> None:
    """Two grants, of which the second counts: the first brings the engine for rehearsals back to this estate's code.

    A console has one estate, and meets that only when the code itself changes.
    """
    one_more_grant(world, number)
    for values in world.phases.values():
        values.pop()
    began = time.process_time()
    one_more_grant(world, number + 1)
    world.cpu.append((time.process_time() - began) * 1000)


def one_more_grant(world: World, number: int) -> None:
    """A person gets access to a service at both doors."""
    service = 1 + number * 37 % SERVICES
    with world.phase("record"):
        access.create_standing_grant(
            actor=SYSTEM,
            subject_key=f"person:p{1 + number * 11 % world.made.size.people}",
            service_slug=f"s{service}",
            route_keys=["r0", "r2"],
            points=["edge", "mesh"],
            at=estate.now(),
        )
    with world.phase("deliver"):
        outbox.drain(at=estate.now(), limit=100)
    with world.phase("compile edge"):
        compiling.prepare(target=load("edge"), at=estate.now())
    with world.phase("compile mesh"):
        compiling.prepare(target=load("mesh"), at=estate.now())
    with world.phase("apply edge"):
        apply_edge()
    with world.phase("apply mesh"):
        world.node.take(estate.now())
    assert not PendingChange.objects.exists()
    for target in Target.objects.all():
        assert target.active_number == target.latest_number == world.first[target.slug] + number + 1, target


def measure_full(world: World) -> dict[str, object]:
    """Everything from the database to bytes, without rehearsal and bookkeeping."""
    at = estate.now()
    began = time.perf_counter()
    graph = full_graph(environment_slug="bench", at=at)
    found: dict[str, object] = {"grants": len(graph.grants), "read_ms": round((time.perf_counter() - began) * 1000)}
    for slug in ("edge", "mesh"):
        emit = emitters_of(load(slug), at)
        began = time.perf_counter()
        made = [one for service, piece in split(graph) for one in emit.service(piece, service)]
        made += emit.common(graph)
        took = round((time.perf_counter() - began) * 1000)
        found[slug] = {"emit_ms": took, "artifacts": len(made), "bytes": sum(len(one.content) for one in made)}
    return found


def measure_edge() -> dict[str, object]:
    """The bundle and the items of the largest estate in the engine that runs them, under its limits."""
    target = load("edge")
    code = compiling.current_code(target)
    items = content.load(TargetArtifact.objects.filter(target=target).exclude(service="").exclude(sha256=""))
    sizes = sorted(len(one.content) for one in items)
    at = int(estate.now().timestamp())
    tier = tier_named(load_tiers(), "dynamic")
    stored = {("sallyport", *one.path.split("/", 1)): one.content.decode() for one in items}
    with EdgeRunner({one.path: one.content for one in code}, stored) as runner:  # type: ignore[arg-type]  # three parts
        empty = runner.measure()
        results = runner.run_many(list(calls(at)), at)
        after = runner.measure()
    cpu = [one["cpu_ms"] for one in results]
    verdicts = sorted({one["action"] for one in results})
    return {
        "tier_limits": tier.engine_limits(),
        "bundle": empty,
        "item_bytes": {"count": len(sizes), "median": sizes[len(sizes) // 2], "largest": sizes[-1], "sum": sum(sizes)},
        "item_limit": ITEM_LIMIT,
        "calls": {"n": len(cpu), "actions": verdicts, "cpu_ms": report.summary(cpu), "heap_bytes": after["heap_bytes"]},
    }


def calls(at: int) -> Iterator[Request]:
    """Half of them by holders of a grant; each reads another service's item."""
    subjects = [f"person:p{1 + number * 7919 % 150}" for number in range(CALLS)]
    tokens = trust.sign_rehearsal_tokens(subjects=set(subjects), first=at, last=at + 60)
    for number, subject in enumerate(subjects):
        yield {
            "method": "GET",
            "host": "api.bench.localhost",
            "path": f"/s{1 + number % SERVICES}/things0/7",
            "headers": {"authorization": [f"Bearer {tokens[subject]}"]},
        }


def show(worlds: list[World], whole: Mapping[str, object], edge: Mapping[str, object]) -> None:
    medians = {
        world.grants: {
            **{name: statistics.median(values) for name, values in world.phases.items()},
            "all of it": statistics.median(world.totals),
            "of that our own CPU": statistics.median(world.cpu),
        }
        for world in worlds
    }
    smallest, *others = medians
    rows = [
        (name, *(f"{medians[grants][name]:.1f}" for grants in medians),
         *(f"{medians[grants][name] / medians[smallest][name]:.2f}x" for grants in others))
        for name in medians[smallest]
    ]  # fmt: skip
    report.table(
        f"One new grant, {SERVICES} services, medians of {len(worlds[0].totals)} rounds (aim: at most {AIM}x)",
        ("ms", *(f"{grants:,}" for grants in medians), *(f"{grants:,} / {smallest:,}" for grants in others)),
        rows,
    )
    report.say(f"\nFull compile of {worlds[-1].grants:,} grants, rehearsed and written: {worlds[-1].full_ms} ms")
    report.say(f"  from the database to bytes only: {whole}")
    report.say(f"At the edge: {edge}")
    report.write(
        "change",
        {
            "services": SERVICES,
            "medians_ms": medians,
            "rounds": {world.grants: {**world.phases, "cpu": world.cpu} for world in worlds},
            "totals_ms": {world.grants: report.summary(world.totals) for world in worlds},
            "first_compile_ms": {world.grants: world.full_ms for world in worlds},
            "full": whole,
            "edge": edge,
        },
    )
