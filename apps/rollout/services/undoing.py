"""Going back to the code of an older revision.

Only code can be undone. Older items or mesh configuration would open again what was closed since: to undo access, end
the grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import count

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import NotFound, Refusal
from apps.compiler.artifacts import Artifact
from apps.compiler.graph import AccessGraph
from apps.rollout import content
from apps.rollout.drivers.akamai.code import code_version, named
from apps.rollout.emitting import COMMON, Emitted
from apps.rollout.models import (
    DriverName,
    EdgeToken,
    Release,
    RetiredVersion,
    Revision,
    RevisionArtifact,
    Target,
    TargetArtifact,
)
from apps.rollout.services import compiling, releases, revising
from apps.rollout.services.akamai import edge_tokens
from apps.rollout.services.evidence import record_target
from apps.rollout.services.targets import TakenOut, get_target


class OnlyCode(Refusal):
    code = "only_code_can_be_undone"
    default_message = "This target's revisions carry access; undo the grant instead."


class UnsafeCode(Refusal):
    code = "unsafe_code"
    default_message = "The older code does not decide as the policy says today."


class NothingToUndo(Refusal):
    code = "nothing_to_undo"
    default_message = "That is the code the target has."


@dataclass(frozen=True, slots=True)
class OlderCode:
    """The code of an older revision, which was run against today's policy and agrees with it."""

    number: int
    code: tuple[Artifact, ...]
    trials: int

    @property
    def version(self) -> str:
        return code_version(self.code)


def roll_back_code(*, slug: str, number: int, actor: Actor, at: datetime) -> Revision:
    """A new revision with the code of an older one and today's grants. Refused when the two disagree.

    Code that was seen to be good goes back to production at once; other code is tried on staging first. It stands until
    an address or a key changes and the code is compiled again. The caller pokes the target.
    """
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise OnlyCode
    if target.is_removed:
        raise TakenOut
    older = prepare(target, number, at)
    with transaction.atomic():
        straight = releases.was_good(target, older.version)
        revision = write(target=target, older=older, straight=straight, asked_by=actor.name, at=at)
        releases.forgive(target, older.version)
        after = {"revision": revision.number, "code_of": number, "version": older.version}
        record_target("code.rolled_back", target, actor=actor, at=at, after=after)
    return revision


def prepare(target: Target, number: int, at: datetime) -> OlderCode:
    """Raises NotFound; UnsafeCode. It runs the code, so call it outside a transaction."""
    code = _under_a_free_name(target, _code_of(target, number))
    _require_tokens(target, code)
    items, graph = compiling.sample(target)
    rehearsed = compiling.rehearse_on(target, code, items, graph, at)
    if rehearsed.refused:
        raise UnsafeCode(f"{UnsafeCode.default_message} {next(iter(rehearsed.refused.values()))}")
    return OlderCode(number, code, rehearsed.trials)


def write(
    *,
    target: Target,
    older: OlderCode,
    straight: bool,
    asked_by: str,
    at: datetime,
    instead_of: Release | None = None,
) -> Revision:
    """The revision, and its release. Whoever asks for it has approved it. The caller has opened a transaction."""
    revision = revising.revise(
        target=target,
        emitted=Emitted({COMMON: older.code}, {}, {}),
        refused={},
        graph=AccessGraph(),
        causes=[("rollout.code.rolled_back", str(older.number))],
        trials=older.trials,
        milliseconds=0.0,
        at=at,
    )
    if revision is None:
        raise NothingToUndo
    Target.objects.filter(pk=target.pk).update(approved=older.version, to_approve="", waiting_for="", retry_at=None)
    releases.begin(
        target=target,
        version=older.version,
        number=revision.number,
        straight=straight,
        instead_of=instead_of,
        asked_by=asked_by,
        at=at,
    )
    return revision


def _require_tokens(target: Target, code: tuple[Artifact, ...]) -> None:
    """A token that was deleted opens nothing any more, so code that reads with it would refuse every call."""
    for token in EdgeToken.objects.filter(target=target).exclude(gone_at=None):
        if any(edge_tokens.mark_of(token) in artifact.content for artifact in code):
            raise UnsafeCode(f"The older code reads EdgeKV with the token {token.name}, which was deleted.")


def _under_a_free_name(target: Target, code: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    """A version that was deleted at Akamai cannot come back under its name; then it gets another."""
    version = code_version(code)
    used = set(RetiredVersion.objects.filter(target=target).values_list("version", flat=True))
    if version not in used:
        return code
    return named(code, next(name for again in count(1) if (name := f"{version[:27]}-r{again}") not in used))


def _code_of(target: Target, number: int) -> tuple[Artifact, ...]:
    """The bundle as of a revision: of each of its paths the last change until then."""
    rows = (
        RevisionArtifact.objects.filter(revision__target=target, revision__number__lte=number, service=COMMON)
        .order_by("path", "-revision__number")
        .distinct("path")
    )
    hashes = {row.path: row.sha256 for row in rows if row.sha256}
    contents = content.fetch(hashes.values())
    types = dict(TargetArtifact.objects.filter(target=target, service=COMMON).values_list("path", "media_type"))
    if not hashes:
        raise NotFound(f"There is no revision {number} with code.")
    return tuple(
        Artifact(path, types.get(path, "text/javascript"), contents[sha256], sha256)
        for path, sha256 in sorted(hashes.items())
    )
