"""Writing a revision down: what differs, why, in words; and the activation that will bring it about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from django.db.models import Exists, OuterRef

from apps.compiler.artifacts import Artifact, manifest_digest
from apps.compiler.diff import Change, diff
from apps.compiler.graph import AccessGraph
from apps.rollout import content
from apps.rollout.emitting import COMMON, Emitted
from apps.rollout.models import (
    Activation,
    DriverName,
    Probe,
    Revision,
    RevisionArtifact,
    Shard,
    Target,
    TargetArtifact,
)
from apps.rollout.services.evidence import announce_activation
from apps.rollout.services.holding import hold_target
from apps.rollout.snapshots import from_json, knowing_the_same_subjects, merged, to_json
from apps.rollout.states import OPEN_ACTIVATIONS, OPEN_PROBES, UNKNOWN, ActivationState, move

MOST_CHANGES, MOST_CAUSES, SENTENCES = 200, 200, 3
NOTHING = ""

_REASONS = {
    "rollout.target.created": "The first configuration.",
    "rollout.target.changed": "The target's settings changed.",
    "rollout.target.joined": "The cluster was connected anew.",
    "rollout.node.removed": "A node was removed: its certificates are believed no more.",
    "rollout.target.leaving": "The cluster is taken out: nothing of ours is to be there.",
    "trust.key.changed": "A signing key turned over.",
    "trust.certificate.issued": "A workload has a new certificate.",
    "catalog.service.changed": "Addresses in the catalogue changed.",
    "rollout.token.renewed": "The token the code reads EdgeKV with was renewed.",
    "rollout.code.taken_back": "Code that came after what was taken back.",
    "rollout.target.placed": "Another EdgeWorker or namespace was chosen.",
    "rollout.code.rolled_back": "The code of an older revision is put back.",
}


def revise(
    *,
    target: Target,
    emitted: Emitted,
    refused: Mapping[str, str],
    graph: AccessGraph,
    causes: Sequence[tuple[str, str]],
    trials: int,
    milliseconds: float,
    at: datetime,
    traps: Sequence[Mapping[str, object]] = (),
) -> Revision | None:
    """The next revision, or None when what was compiled is what there is. The caller has opened a transaction."""
    held = hold_target(target.pk)
    taken = {service: made for service, made in emitted.artifacts.items() if service not in refused}
    rows = {row.path: row for row in TargetArtifact.objects.filter(target=target, service__in=taken)}
    delta = _delta(target, taken, rows)
    slices = {service: piece for service, piece in emitted.slices.items() if service in taken}
    changes = _changes(target, slices)
    _keep_slices(target, slices)
    if not delta:
        return None
    sealed = target.driver == DriverName.AKAMAI
    for service, made in taken.items():
        content.keep(made, sealed=sealed and service == COMMON)
    _write_artifacts(delta)
    revision = Revision.objects.create(
        target=target,
        number=held.latest_number + 1,
        digest=_digest(target),
        summary=_summary(changes, causes),
        changes=[asdict(change) for change in changes[:MOST_CHANGES]],
        change_count=len(changes),
        causes=[list(cause) for cause in dict.fromkeys(causes)][:MOST_CAUSES],
        traps=[dict(trap) for trap in traps[:MOST_CHANGES]],
        compile_ms=round(milliseconds, 2),
        rehearsed=trials,
        created_at=at,
    )
    RevisionArtifact.objects.bulk_create(
        [
            RevisionArtifact(
                revision=revision, path=row.path, service=row.service, sha256=row.sha256, previous_sha256=previous
            )
            for row, previous in delta
        ],
        batch_size=500,
    )
    Target.objects.filter(pk=target.pk).update(latest_number=revision.number)
    activate(target=target, revision=revision, at=at)
    return revision


Delta = list[tuple[TargetArtifact, str]]
"""Rows that change, each with the hash it had."""


def _delta(target: Target, taken: Mapping[str, Sequence[Artifact]], rows: Mapping[str, TargetArtifact]) -> Delta:
    delta: Delta = []
    made = {artifact.path: (service, artifact) for service, artifacts in taken.items() for artifact in artifacts}
    for path, (service, artifact) in made.items():
        row = rows.get(path) or TargetArtifact(target=target, path=path)
        if row.sha256 != artifact.sha256:
            previous, row.sha256, row.service = row.sha256, artifact.sha256, service
            row.media_type, row.size = artifact.media_type, len(artifact.content)
            delta.append((row, previous))
    for path, row in rows.items():
        if path not in made and row.sha256 != NOTHING:
            previous, row.sha256, row.size = row.sha256, NOTHING, 0
            delta.append((row, previous))
    return delta


def _write_artifacts(delta: Delta) -> None:
    TargetArtifact.objects.bulk_create(
        [row for row, _ in delta],
        update_conflicts=True,
        unique_fields=["target", "path"],
        update_fields=["service", "sha256", "media_type", "size"],
        batch_size=500,
    )


def _digest(target: Target) -> str:
    rows = TargetArtifact.objects.filter(target=target).exclude(sha256=NOTHING)
    return manifest_digest(dict(rows.values_list("path", "sha256")))


def _changes(target: Target, slices: Mapping[str, AccessGraph]) -> tuple[Change, ...]:
    """In words, against the slices compiled before."""
    before = Shard.objects.filter(target=target, service__in=slices)
    old, new = merged(from_json(row.graph) for row in before), merged(slices.values())
    stay = _standing_elsewhere(target, slices, {wall.id for wall in old.guardrails} ^ {w.id for w in new.guardrails})
    old, new = (replace(one, guardrails=tuple(w for w in one.guardrails if w.id not in stay)) for one in (old, new))
    return diff(*knowing_the_same_subjects(old, new)).changes


def _standing_elsewhere(target: Target, slices: Mapping[str, AccessGraph], walls: Iterable[str]) -> frozenset[str]:
    """Guardrails neither come nor fall with a service, where slices that are not compiled now hold them."""
    others = Shard.objects.filter(target=target).exclude(service__in=slices)
    return frozenset(wall for wall in walls if others.filter(graph__guardrails__contains=[[wall]]).exists())


def _keep_slices(target: Target, slices: Mapping[str, AccessGraph]) -> None:
    gone = [service for service, piece in slices.items() if not piece.services]
    Shard.objects.filter(target=target, service__in=gone).delete()
    kept = [
        Shard(target=target, service=service, graph=to_json(piece))
        for service, piece in slices.items()
        if piece.services
    ]
    Shard.objects.bulk_create(
        kept, update_conflicts=True, unique_fields=["target", "service"], update_fields=["graph"], batch_size=100
    )


def _summary(changes: Sequence[Change], causes: Iterable[tuple[str, str]]) -> str:
    """The first few changes in words; without any, why it was compiled at all."""
    if changes:
        more = f" And {len(changes) - SENTENCES} more." if len(changes) > SENTENCES else ""
        return " ".join(change.sentence for change in changes[:SENTENCES]) + more
    reasons = dict.fromkeys(_REASONS.get(topic, "Compiled again.") for topic, _ in causes)
    return " ".join(reasons) or "Compiled again."


def _doubt_what_was_sent(activation: Activation) -> None:
    """What a vendor was asked for and did not confirm may be there all the same. Were it believed not to be, a newer
    revision that wants what was there before would leave it, and with it access that has ended."""
    if activation.state != ActivationState.APPLYING or activation.target.is_fetched:
        return
    sent = RevisionArtifact.objects.filter(revision=activation.revision_id, path=OuterRef("path"))
    rows = TargetArtifact.objects.filter(target=activation.target_id)
    rows.filter(Exists(sent.exclude(sha256=OuterRef("applied_sha256")))).update(applied_sha256=UNKNOWN)


def activate(*, target: Target, revision: Revision, at: datetime) -> Activation:
    """Supersede what is under way, and start anew. Probes that still wait are taken along: they are still true."""
    fresh_of: Activation | None = Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).first()
    if fresh_of is not None:
        _doubt_what_was_sent(fresh_of)
        move(fresh_of, ActivationState.SUPERSEDED)
        fresh_of.save(update_fields=["state"])
    activation = Activation.objects.create(target=target, revision=revision, created_at=at)
    if fresh_of is not None:
        Probe.objects.filter(activation=fresh_of, state__in=OPEN_PROBES).update(activation=activation)
    Target.objects.filter(pk=target.pk).update(attempts=0, retry_at=None)
    announce_activation(activation, at)
    return activation
