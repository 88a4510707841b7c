"""An edge target's desired state as files, as of any of its revisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from apps.audit.actors import Actor
from apps.audit.errors import NotFound, Refusal
from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import GROUP
from apps.compiler.emitters.edgeworker import pack
from apps.identity import vault
from apps.rollout import content
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.drivers.akamai.driver import is_code
from apps.rollout.exports.state import EdgeState, NotExportable
from apps.rollout.exports.tree import Export, export
from apps.rollout.models import DriverName, Revision, RevisionArtifact, Target
from apps.rollout.services.akamai.attached import beside
from apps.rollout.services.akamai.beside_code import beside_code
from apps.rollout.services.akamai.streaming import believed, get_stream
from apps.rollout.services.driving import edgeworker_name
from apps.rollout.services.evidence import record_target
from apps.rollout.services.targets import UnknownTarget, get_target
from apps.rollout.surroundings import namespace_of
from apps.trust import services as trust

LARGEST_NUMBER = 2**31 - 1


class NothingToExport(NotFound):
    code = "nothing_to_export"
    default_message = "There is no such revision of this target to export."


class ExportRefused(Refusal):
    """Akamai would not take it."""

    code = "not_exportable"


def export_of(*, slug: str, at: datetime, number: int | None = None) -> Export:
    """The files of a revision, the newest unless ``number`` says another. Raises NothingToExport, ExportRefused.

    Nothing in it is secret; nothing is written. What is beside the code has no revisions: it is as of ``at``.
    """
    return export_at(exportable(slug), at=at, number=number)


def exportable(slug: str) -> Target:
    """With what lies beside its code, in one query. Raises UnknownTarget, NothingToExport."""
    target = Target.objects.select_related("environment", "stream", "origin_certificate").filter(slug=slug).first()
    if target is None:
        raise UnknownTarget
    if target.driver != DriverName.AKAMAI:
        raise NothingToExport(f"{target.name} is no edge: its nodes fetch what they need.")
    return target


def export_at(target: Target, *, at: datetime, number: int | None = None) -> Export:
    """As ``export_of``, of what ``exportable`` found."""
    state = _state(target, at, number)
    try:
        return export(state, lambda manifest: trust.sign_export(payload=manifest))
    except NotExportable as error:
        raise ExportRefused(str(error)) from error


def code_bundle(*, slug: str, number: int | None = None, actor: Actor, at: datetime) -> bytes:
    """The packed code, which is confidential: that it left is recorded. Raises NothingToExport."""
    state = state_of(slug=slug, at=at, number=number)
    if not state.code:
        raise NothingToExport("This revision has no code.")
    after = {"revision": state.revision, "version": state.code_version, "sha256": state.code_sha256}
    record_target("code.exported", get_target(slug), actor=actor, at=at, after=after)
    return pack(state.code)


def stream_secret(*, slug: str, actor: Actor, at: datetime) -> bytes:
    """What deliveries of the log prove themselves with. That it left is recorded. Raises NothingToExport."""
    target = get_target(slug)
    stream = get_stream(target)
    keys = believed(stream) if stream else []
    if not keys:
        raise NothingToExport("This target has no log at Akamai.")
    record_target("stream.secret_exported", target, actor=actor, at=at)
    return vault.unseal(keys[0].secret_sealed)


def state_of(*, slug: str, at: datetime, number: int | None = None) -> EdgeState:
    """What a revision wants at the edge; the newest when none is named. Raises NothingToExport."""
    return _state(exportable(slug), at, number)


def _state(target: Target, at: datetime, number: int | None) -> EdgeState:
    wanted = min(target.latest_number if number is None else number, LARGEST_NUMBER)
    revision = Revision.objects.filter(target=target, number=wanted).first()
    if revision is None:
        raise NothingToExport
    artifacts = artifacts_at(target, revision.number)
    code = tuple(one for one in artifacts if is_code(one.path))
    more = beside(getattr(target, "stream", None), getattr(target, "origin_certificate", None))
    return EdgeState(
        target=target.slug,
        name=target.name,
        namespace=namespace_of(target),
        group_id=int(target.config["group_id"]),
        resource_tier_id=int(target.config["resource_tier_id"]),
        edgeworker_name=edgeworker_name(target),
        edgeworker_id=target.facts.get("edgeworker_id"),
        revision=revision.number,
        digest=revision.digest,
        items=_items(artifacts),
        code=code,
        code_version=code_version(code),
        code_sha256=Artifact.of("", "", pack(code)).sha256 if code else "",
        taken_over=target.active_number > 0,
        stream_id=more.stream_id,
        client_certificate=more.client_certificate,
        beside=beside_code(target, more, at),
    )


def artifacts_at(target: Target, number: int) -> tuple[Artifact, ...]:
    """Everything the target should hold as of a revision: of each path the last change until then."""
    rows = (
        RevisionArtifact.objects.filter(revision__target=target, revision__number__lte=number)
        .order_by("path", "-revision__number")
        .distinct("path")
    )
    hashes = {row.path: row.sha256 for row in rows if row.sha256}
    contents = content.fetch(hashes.values())
    kinds = {False: "application/json", True: "text/javascript"}
    return tuple(
        Artifact(path, kinds[is_code(path)], contents[sha256], sha256) for path, sha256 in sorted(hashes.items())
    )


def _items(artifacts: tuple[Artifact, ...]) -> Mapping[str, bytes]:
    prefix = f"{GROUP}/"
    return {one.path.removeprefix(prefix): one.content for one in artifacts if one.path.startswith(prefix)}
