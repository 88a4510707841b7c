"""What nodes ask for and what they report."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.audit.actors import Actor
from apps.audit.errors import NotAllowed
from apps.catalog import selectors as catalog
from apps.compiler.artifacts import manifest_digest
from apps.identity.proofs import jwt_issuers
from apps.identity.proofs.outcome import ProofRefused
from apps.identity.vault import hash_of
from apps.rollout import content
from apps.rollout.drivers.base import DoorAnswer
from apps.rollout.models import DriverName, Node, Probe, Revision, RevisionArtifact, Runner, Target, TargetArtifact
from apps.rollout.services import moving, preflights, proving
from apps.rollout.services.cluster import preflight as cluster_preflight
from apps.rollout.services.cluster import sights
from apps.rollout.services.cluster.preflight import Answer
from apps.rollout.services.cluster.sights import Said
from apps.rollout.services.targets import TOKEN_PREFIX
from apps.rollout.states import DUE_PROBES, OPEN_PROBES, ProbeState
from apps.trust import services as trust

SEEN_EVERY = timedelta(seconds=15)
RETRY_FAILED_AFTER = timedelta(seconds=10)
INLINE_BYTES = 4 * 1024 * 1024
PROBES_AT_ONCE = 50
LOOPBACK = "127.0.0.1"


class UnknownNode(NotAllowed):
    code = "unknown_node"
    status = 401
    default_message = "This token belongs to no node."


class ForeignWorkload(NotAllowed):
    code = "foreign_workload"
    default_message = "This node's mesh has no such workload."


class Overtaken(RuntimeError):
    """The manifest changed while it was read."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node is given when there is something for it. ``ask`` is what an agent in a cluster is to look at."""

    signed: str
    inline: Mapping[str, str]
    probes: Sequence[Mapping[str, object]]
    ask: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """``control`` is what came of the call that has to stay denied, where one was asked for."""

    id: int
    answer: DoorAnswer | None
    detail: str
    control: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a node says of itself. ``said`` and ``access`` are what only an agent in a cluster says, of that."""

    revision: int
    digest: str
    active: bool
    error: str = ""
    probes: Sequence[ProbeResult] = ()
    identities: Sequence[Mapping[str, object]] = field(default_factory=tuple)
    said: Said = field(default_factory=Said)
    access: Answer | None = None


def authenticate_node(*, token: str, at: datetime) -> Node:
    """Who is calling, by a token of ours or by one of its cluster; also notes that it was heard of."""
    known = Q(token_hash=hash_of(token)) if token.startswith(TOKEN_PREFIX) else _account(token, at)
    node = Node.objects.select_related("target__environment").filter(known).first()
    if node is None:
        raise UnknownNode
    if node.last_seen_at is None or node.last_seen_at <= at - SEEN_EVERY:
        Node.objects.filter(pk=node.pk).update(last_seen_at=at)
    return node


def _account(token: str, at: datetime) -> Q:
    """A projected token of a service account, believed each time anew: an issuer may be switched off meanwhile."""
    try:
        found = jwt_issuers.cluster_account(token, at=at)
    except ProofRefused as error:
        raise UnknownNode from error
    return Q(issuer=found.issuer, account=found.name)


def issue_for_node(*, node: Node, workload: str, csr_pem: str, at: datetime) -> trust.IssuedCertificate:
    """A node may have certificates for the workloads of its mesh and for the ingress, and for nobody else."""
    services = catalog.graph_services(None, node.target.environment.slug).values()
    hosted = {service.mesh.workload for service in services if service.mesh is not None}
    if node.target.driver != DriverName.NGINX or workload not in hosted | {node.target.config["ingress_workload"]}:
        raise ForeignWorkload
    actor = Actor(f"node:{node.name}", node.name)
    return trust.issue_certificate(workload=workload, csr_pem=csr_pem, node=node.name, actor=actor, at=at)


def offer(*, node_id: int, have: str, at: datetime) -> Offer | None:
    """The newest revision if the node holds another, and the probes it should run; None when there is nothing."""
    node = Node.objects.select_related("target").get(pk=node_id)
    if not node.applies:
        due = list(_probes_for(node, at, news=False)[:PROBES_AT_ONCE])
        return Offer("", {}, _asked(due)) if due else None
    revision = Revision.objects.filter(target=node.target).order_by("-number").first()
    if revision is None or _rests(node, revision, have, at):
        return None
    news = have != revision.digest or node.active_number < revision.number
    probes = list(_probes_for(node, at, news=news)[:PROBES_AT_ONCE])
    ask = _asks(node)
    if not news and not probes and not ask and not sights.is_ordered(node.target):
        return None
    rows = _manifest(node.target, revision)
    signed = _signed(node.target, revision, rows, at)
    return Offer(signed, _inline(node.target, revision, rows, have), _asked(probes), ask)


def _asks(node: Node) -> dict[str, object]:
    """What somebody at the console waits for an agent to look at."""
    if not sights.is_agent(node):
        return {}
    preflight = preflights.waiting(node.target)
    found: dict[str, object] = {"look": True} if sights.asked_of(node.target) else {}
    if preflight is not None:
        found |= {"preflight": preflight.pk, "scopes": cluster_preflight.scopes(node.target)}
    return found


def _rests(node: Node, revision: Revision, have: str, at: datetime) -> bool:
    """A node that could not take this revision is not given it again at once."""
    failed = node.failed_number == revision.number and have != revision.digest
    return failed and node.reported_at is not None and node.reported_at > at - RETRY_FAILED_AFTER


def _probes_for(node: Node, at: datetime, *, news: bool) -> QuerySet[Probe]:
    """What is due, and with a new revision also what waits for it: the node tries it as soon as it is in force."""
    due = Q(state__in=DUE_PROBES, due_at__lte=at)
    ripe = due | Q(state=ProbeState.WAITING) if news else due
    hosted = [str(row.get("workload", "")) for row in node.identities]
    return Probe.objects.filter(
        ripe, target=node.target, runner=Runner.NODE, call__workload__in=hosted, state__in=OPEN_PROBES
    ).order_by("pk")


def _asked(probes: Collection[Probe]) -> list[dict[str, object]]:
    return [
        {
            "id": str(probe.pk),
            "workload": probe.call["workload"],
            "service": probe.service,
            "host": probe.call.get("host", LOOPBACK),
            "port": probe.call["port"],
            "method": probe.call["method"],
            "path": probe.call["path"],
            "expect": probe.expect,
            **{name: probe.call[name] for name in ("how", "control") if name in probe.call},
        }
        for probe in probes
    ]


def _manifest(target: Target, revision: Revision) -> list[TargetArtifact]:
    """What the revision consists of. Raises Overtaken when a newer one was written meanwhile."""
    rows = list(TargetArtifact.objects.filter(target=target).exclude(sha256="").order_by("path"))
    if manifest_digest({row.path: row.sha256 for row in rows}) != revision.digest:
        raise Overtaken
    return rows


def _signed(target: Target, revision: Revision, rows: Sequence[TargetArtifact], at: datetime) -> str:
    return trust.sign_bundle(
        payload={
            "target": target.slug,
            "revision": revision.number,
            "digest": revision.digest,
            "issued_at": int(at.timestamp()),
            **({"cluster": sights.orders_of(target)} if target.driver == DriverName.KUBERNETES else {}),
            "artifacts": [
                {"path": row.path, "sha256": row.sha256, "media_type": row.media_type, "size": row.size} for row in rows
            ],
        }
    )


def _inline(target: Target, revision: Revision, rows: Sequence[TargetArtifact], have: str) -> dict[str, str]:
    """The contents the node lacks, as far as they are small; it fetches the rest by itself."""
    known = Revision.objects.filter(target=target, digest=have).order_by("-number").first() if have else None
    wanted = {row.sha256: row.size for row in rows}
    if known is not None:
        since = RevisionArtifact.objects.filter(
            revision__target=target, revision__number__gt=known.number, revision__number__lte=revision.number
        )
        changed = set(since.values_list("sha256", flat=True))
        wanted = {sha256: size for sha256, size in wanted.items() if sha256 in changed}
    if sum(wanted.values()) > INLINE_BYTES:
        return {}
    return encoded(content.fetch(wanted))


def encoded(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {sha256: base64.b64encode(plain).decode() for sha256, plain in contents.items()}


def artifacts_for(*, node: Node, hashes: Collection[str]) -> dict[str, str]:
    """Contents by hash; only of what belongs to the node's own target."""
    own = TargetArtifact.objects.filter(target=node.target, sha256__in=hashes).values_list("sha256", flat=True)
    return encoded(content.fetch(own))


def record_report(*, node: Node, report: Report, at: datetime) -> None:
    """Believe what the node says of itself; conclude what follows for the activation and for its probes.

    Reports may be repeated or come late: an older revision never replaces a newer one.
    """
    with transaction.atomic():
        locked = Node.objects.select_for_update().get(pk=node.pk)
        locked.last_seen_at = locked.reported_at = at
        locked.identities = [dict(one) for one in report.identities]
        if not locked.applies:
            locked.save(update_fields=["last_seen_at", "reported_at", "identities"])
        elif report.active and report.revision >= locked.active_number:
            locked.active_number, locked.active_digest = report.revision, report.digest
            locked.failed_number, locked.error = 0, ""
        elif not report.active:
            locked.failed_number, locked.error = report.revision, report.error
        locked.save()
    if report.active and node.applies:
        moving.complete_if_reported(target=node.target, at=at)
    said = {result.id: result for result in report.probes}
    own = Probe.objects.filter(target=node.target, runner=Runner.NODE, pk__in=said)
    proving.conclude(found={probe.pk: _found(node.target, probe, said[probe.pk]) for probe in own}, at=at)


def _found(target: Target, probe: Probe, result: ProbeResult) -> proving.Found:
    """A cluster's door does not say by which grant: what was asked is a call that only this one decides about.

    Where a call that nobody opened is let through as well, being let in shows nothing.
    """
    answer = result.answer
    if answer is None or target.driver != DriverName.KUBERNETES:
        return proving.Found(answer, result.detail)
    if answer.verdict != "allow":
        return proving.Found(replace(answer, grants=()), result.detail)
    if "control" in probe.call and result.control != "deny":
        return proving.Found(DoorAnswer("allow", proving.NOT_ENFORCED, ()), result.detail)
    return proving.Found(replace(answer, grants=(probe.grant_id,)), result.detail)
