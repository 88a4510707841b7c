"""From pending changes to a revision: compile what they touch, rehearse it, write down what differs.

The cost is that of the services touched. Nothing here talks to a vendor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction

from apps.access import selectors as access
from apps.access.services import record_errors
from apps.catalog import selectors as catalog
from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgeworker import BundleTooLargeError
from apps.compiler.emitters.nginx import TRIALS
from apps.compiler.graph import AccessGraph, Service
from apps.rollout import content, rehearsal
from apps.rollout.drivers.akamai.driver import is_code
from apps.rollout.emitting import COMMON, Emitted, emit_services, emitters_of
from apps.rollout.models import DriverName, PendingChange, Shard, Target, TargetArtifact
from apps.rollout.services import probing, revising
from apps.rollout.services.cluster import closing
from apps.rollout.services.cluster.driving import holds
from apps.rollout.services.holding import hold_target
from apps.rollout.services.targets import CHANGED, FIRST, GRANT_CHANGED, JOINED_ANEW, SERVICE_CHANGED
from apps.rollout.snapshots import from_json, merged
from apps.rollout.surroundings import namespace_of
from apps.trust import services as trust

SERVICES_AT_ONCE = 50
SAMPLE = 5
"""How many services new code is tried on when none of them changes."""

SMALLEST_TIER = "basic"
TIERS = {100: SMALLEST_TIER, 200: "dynamic", 300: "enterprise"}
"""Akamai's resource tiers by id."""

JOINS = frozenset({FIRST, CHANGED, JOINED_ANEW, SERVICE_CHANGED})
"""After these a target may keep doors that others have kept before, and it was never asked about them."""

RETRY_FIRST, RETRY_LONGEST = timedelta(seconds=5), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The outcome of one compilation, before anything is written."""

    graph: AccessGraph
    emitted: Emitted
    trials: int
    refused: Mapping[str, str] = field(default_factory=dict)
    milliseconds: float = 0.0
    traps: Sequence[Mapping[str, object]] = ()
    held: Collection[str] = ()


def prepare(*, target: Target, at: datetime) -> bool:
    """Turn due changes into a revision, if they make a difference. False when nothing was due.

    The caller holds the target's lock. What is refused stays pending and is tried again later; the rest goes on. For a
    target that was taken out meanwhile nothing is written.
    """
    batch = _due(target, at)
    if not batch:
        return False
    dirty = {change.service for change in batch}
    changed = {change.cause for change in batch if change.topic == GRANT_CHANGED}
    compiled = _compile(target, dirty, changed, at)
    with transaction.atomic():
        if not hold_target(target.pk).is_kept:
            return False
        accepted = [change for change in batch if change.service not in compiled.refused]
        revising.revise(
            target=target,
            emitted=compiled.emitted,
            refused=compiled.refused,
            graph=compiled.graph,
            causes=[(change.topic, change.cause) for change in accepted],
            trials=compiled.trials,
            milliseconds=compiled.milliseconds,
            at=at,
            traps=compiled.traps,
        )
        probing.expect(
            target=target,
            services=dirty - compiled.refused.keys(),
            graph=compiled.graph,
            at=at,
            joined={change.service for change in accepted if change.topic in JOINS},
        )
        closing.remember(target, compiled.emitted, compiled.held, dirty, at)
        PendingChange.objects.filter(pk__in=[change.pk for change in accepted]).delete()
        refused = _put_off(batch, compiled.refused, at)
    record_errors(errors=refused, at=at)
    return True


def _due(target: Target, at: datetime) -> list[PendingChange]:
    """The changes of so many services: urgent ones first, then the oldest.

    What is common to all comes along whenever it waits.
    """
    due = PendingChange.objects.filter(target=target, retry_at__lte=at)
    slugs = due.exclude(service=COMMON).order_by("-urgent", "pk").values_list("service", flat=True)
    chosen = list(dict.fromkeys(slugs[: SERVICES_AT_ONCE * 10]))[:SERVICES_AT_ONCE]
    return list(due.filter(service__in=[COMMON, *chosen]).order_by("pk"))


def _compile(target: Target, dirty: set[str], changed: Collection[str], at: datetime) -> Compiled:
    began = time.perf_counter()
    emit = emitters_of(target, at)
    environment = target.environment.slug
    slugs = dirty - {COMMON}
    graph = _slice(target, slugs, at)
    emitted = emit_services(emit.service, graph, slugs)
    artifacts = dict(emitted.artifacts)
    refused = dict(emitted.refused)
    if COMMON in dirty:
        try:
            everything = catalog.graph_services(None, environment)
            artifacts[COMMON] = emit.common(AccessGraph(services=_own(target, everything)))
        except BundleTooLargeError as error:
            refused[COMMON] = str(error)
    whole = Emitted(artifacts, emitted.slices, refused)
    rehearsed = _rehearse(target, whole, graph, changed, at)
    waiting = closing.held(target, artifacts)
    return Compiled(
        graph=graph,
        emitted=whole,
        trials=rehearsed.trials,
        refused=_all_refused(dirty, {**whole.refused, **rehearsed.refused, **waiting}),
        milliseconds=(time.perf_counter() - began) * 1000,
        held=waiting,
        traps=closing.traps_of(target, {one: found for one, found in emitted.slices.items() if one not in waiting}, at),
    )


def _own(target: Target, services: Mapping[str, Service]) -> dict[str, Service]:
    """Those that run where the target enforces."""
    return {slug: service for slug, service in services.items() if holds(target, service)}


def _all_refused(dirty: Collection[str], refused: Mapping[str, str]) -> Mapping[str, str]:
    """On code that cannot run, nothing was rehearsed, so nothing passes."""
    return dict.fromkeys(dirty, refused[COMMON]) if COMMON in refused else refused


def _slice(target: Target, slugs: Collection[str], at: datetime) -> AccessGraph:
    """What decides about these services at the target's own door."""
    if not slugs:
        return AccessGraph()
    graph = access.graph_slice(service_slugs=slugs, environment_slug=target.environment.slug, at=at)
    return replace(
        graph,
        services=_own(target, graph.services),
        grants=tuple(grant for grant in graph.grants if target.point in grant.points),
        traffic=tuple(rule for rule in graph.traffic if target.point in rule.points),
    )


def _rehearse(
    target: Target, emitted: Emitted, graph: AccessGraph, changed: Collection[str], at: datetime
) -> rehearsal.Rehearsal:
    """Edge policy is run here before it is believed. The mesh's nodes run theirs themselves, before they serve it."""
    if target.driver != DriverName.AKAMAI:
        return rehearsal.Rehearsal(_trials_for_nodes(emitted), {})
    items = [artifact for service, made in emitted.artifacts.items() if service != COMMON for artifact in made]
    code = emitted.artifacts.get(COMMON) or current_code(target)
    if not items:
        items, graph = sample(target)
    if not code:
        return rehearsal.Rehearsal(0, {})
    return rehearse_on(target, code, items, graph, at, first=changed)


def _trials_for_nodes(emitted: Emitted) -> int:
    tables = [one for made in emitted.artifacts.values() for one in made if one.path.endswith(f"/{TRIALS}")]
    return sum(len(json.loads(table.content)) for table in tables)


def rehearse_on(
    target: Target,
    code: Sequence[Artifact],
    items: Sequence[Artifact],
    graph: AccessGraph,
    at: datetime,
    *,
    first: Collection[str] = frozenset(),
) -> rehearsal.Rehearsal:
    """Run items and code of the target together; the grants named ``first`` are tried before the others."""

    def tokens(subjects: Collection[str], first: int, last: int) -> Mapping[str, str]:
        return trust.sign_rehearsal_tokens(subjects=subjects, first=first, last=last)

    return rehearsal.rehearse_edge(
        graph=graph,
        code=code,
        items=items,
        namespace=namespace_of(target),
        tier=tier_of(target),
        tokens_for=tokens,
        at=int(at.timestamp()),
        first=first,
    )


def tier_of(target: Target) -> str:
    """By name. A tier nobody here knows is taken for the smallest: what passes there passes anywhere."""
    return str(target.config.get("tier") or TIERS.get(int(target.config["resource_tier_id"]), SMALLEST_TIER))


def current_code(target: Target) -> tuple[Artifact, ...]:
    """The bundle the target should run, from what is stored."""
    return content.load(TargetArtifact.objects.filter(target=target, service=COMMON).exclude(sha256=""))


def sample(target: Target) -> tuple[list[Artifact], AccessGraph]:
    """A few services as they stand, to try new code on."""
    shards = {row.service: from_json(row.graph) for row in Shard.objects.filter(target=target).order_by("pk")[:SAMPLE]}
    rows = TargetArtifact.objects.filter(target=target, service__in=shards).exclude(sha256="")
    items = [artifact for artifact in content.load(rows) if not is_code(artifact.path)]
    return items, merged(shards.values())


def _put_off(batch: Sequence[PendingChange], refused: Mapping[str, str], at: datetime) -> dict[str, str]:
    """Keep what was refused for later; what there is to say about which grants, where people look."""
    errors: dict[str, str] = {}
    for change in batch:
        if change.service not in refused:
            continue
        change.attempts += 1
        change.retry_at = at + min(RETRY_FIRST * 2 ** min(change.attempts - 1, 10), RETRY_LONGEST)
        change.error = refused[change.service]
        change.save(update_fields=["attempts", "retry_at", "error"])
        if change.topic == GRANT_CHANGED:
            errors[change.cause] = change.error
    return errors
