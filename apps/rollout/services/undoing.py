"""Going back to the code of an older revision.

Only code can be undone. Older items or mesh configuration would open again what was closed since: to undo access, end
the grant.
"""

from __future__ import annotations

from datetime import datetime
from itertools import count

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import NotFound, Refusal
from apps.compiler.artifacts import Artifact
from apps.compiler.graph import AccessGraph
from apps.rollout import content
from apps.rollout.drivers.akamai_code import code_version, named
from apps.rollout.emitting import COMMON, Emitted
from apps.rollout.models import DriverName, RetiredVersion, Revision, RevisionArtifact, Target, TargetArtifact
from apps.rollout.services import compiling, revising
from apps.rollout.services.evidence import record_target
from apps.rollout.services.targets import get_target


class OnlyCode(Refusal):
    code = "only_code_can_be_undone"
    default_message = "This target's revisions carry access; undo the grant instead."


class UnsafeCode(Refusal):
    code = "unsafe_code"
    default_message = "The older code does not decide as the policy says today."


class NothingToUndo(Refusal):
    code = "nothing_to_undo"
    default_message = "That is the code the target has."


def roll_back_code(*, slug: str, number: int, actor: Actor, at: datetime) -> Revision:
    """A new revision with the code of an older one and today's grants. Refused when the two disagree.

    It stands until an address or a key changes and the code is compiled again. The caller pokes the target.
    """
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise OnlyCode
    code = _under_a_free_name(target, _code_of(target, number))
    items, graph = compiling.sample(target)
    rehearsed = compiling.rehearse_on(target, code, items, graph, at)
    if rehearsed.refused:
        raise UnsafeCode(f"{UnsafeCode.default_message} {next(iter(rehearsed.refused.values()))}")
    with transaction.atomic():
        revision = revising.revise(
            target=target,
            emitted=Emitted({COMMON: code}, {}, {}),
            refused={},
            graph=AccessGraph(),
            causes=[("rollout.code.rolled_back", str(number))],
            trials=rehearsed.trials,
            milliseconds=0.0,
            at=at,
        )
        if revision is None:
            raise NothingToUndo
        after = {"revision": revision.number, "code_of": number}
        record_target("code.rolled_back", target, actor=actor, at=at, after=after)
    return revision


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
