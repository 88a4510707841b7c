"""Making targets known, and letting nodes in."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput, NotFound, Refusal
from apps.catalog import selectors as catalog
from apps.identity import services as identity
from apps.identity import vault
from apps.identity.models import IssuerKind
from apps.identity.proofs.issuers import list_issuers
from apps.rollout.cluster.settings import complaints
from apps.rollout.emitting import COMMON
from apps.rollout.models import Delivery, DriverName, Node, PendingChange, Point, Production, Target
from apps.rollout.services.evidence import record_target
from apps.trust import selectors as trust_selectors
from apps.trust import services as trust
from apps.trust.models import Purpose

if TYPE_CHECKING:
    from apps.catalog.models import Environment

POINTS: Mapping[str, str] = {
    DriverName.AKAMAI: Point.EDGE,
    DriverName.NGINX: Point.MESH,
    DriverName.KUBERNETES: Point.MESH,
}
NEEDED: Mapping[str, frozenset[str]] = {
    DriverName.AKAMAI: frozenset({"group_id", "resource_tier_id"}),
    DriverName.NGINX: frozenset({"ingress_port", "ingress_workload", "edge_workload", "edge"}),
    DriverName.KUBERNETES: frozenset({"emitters", "namespaces"}),
}
CREDENTIALS: Mapping[str, frozenset[str]] = {
    DriverName.AKAMAI: frozenset({"client_token", "client_secret", "access_token"}),
    DriverName.NGINX: frozenset(),
    DriverName.KUBERNETES: frozenset({"token"}),
}
"""All or none: a target can be made known first and connected afterwards."""
KEPT = (
    "base_url", "account_switch_key", "max_body", "safety", "edgeworker_id", "namespace", "makes_namespace",
    "contract_id", "probe_url", "server", "reached",
)  # fmt: skip
"""What pages set in ``config``; it stays unless a spec says otherwise."""
_ADDRESS: Mapping[str, frozenset[str]] = {
    DriverName.AKAMAI: frozenset({"base_url"}),
    DriverName.NGINX: frozenset(),
    DriverName.KUBERNETES: frozenset({"server"}),
}
FIRST, CHANGED, JOINED_ANEW = "rollout.target.created", "rollout.target.changed", "rollout.target.joined"
GRANT_CHANGED, SERVICE_CHANGED = "access.grant.changed", "catalog.service.changed"
TOKEN_PREFIX = "spn_"  # noqa: S105 - how a token of ours begins
_ACCOUNT = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")


class UnknownTarget(NotFound):
    code = "unknown_target"
    default_message = "There is no such target."


class BadTarget(InvalidInput):
    code = "bad_target"


class TargetExists(InvalidInput):
    code = "target_exists"
    default_message = "There is a target of this short name already."


class OnlyExported(Refusal):
    code = "only_exported"
    default_message = "Sallyport does not call Akamai for this target: a team applies its export."


class TakenOut(Refusal):
    code = "taken_out"
    default_message = "This target was taken out. Set it up again first."


def require_called(target: Target) -> None:
    """Raises OnlyExported, TakenOut for a target whose vendor must not be called."""
    if target.is_exported:
        raise OnlyExported
    if target.is_removed:
        raise TakenOut


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """What an operator says of a target. ``credentials`` are stored encrypted and never shown."""

    slug: str
    name: str
    driver: str
    config: Mapping[str, object]
    environment: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """``token`` exists only here: hand it to the node. ``bundle_keys`` is the JWK set the node pins."""

    node: Node
    token: str = field(repr=False)
    bundle_keys: Mapping[str, object]


def get_target(slug: str) -> Target:
    """Raises UnknownTarget."""
    target = Target.objects.select_related("environment").filter(slug=slug).first()
    if target is None:
        raise UnknownTarget
    return target


def ensure_target(*, spec: TargetSpec, actor: Actor, at: datetime) -> Target:
    """Make the target what the spec says; nothing is written or recorded when it already is.

    A new target gets everything compiled for it. The keys and the authority it relies on are made when missing.
    """
    _prepare(spec, at)
    with transaction.atomic():
        target = Target.objects.select_for_update().filter(slug=spec.slug).first()
        if target is None:
            return _create(spec, actor, at)
        return _update(target, spec, actor, at)


def make_target(*, spec: TargetSpec, actor: Actor, at: datetime) -> Target:
    """A new one, whoever else makes one at the same moment. Raises TargetExists, BadTarget."""
    _prepare(spec, at)
    with transaction.atomic():
        return _create(spec, actor, at)


def _prepare(spec: TargetSpec, at: datetime) -> None:
    _check(spec)
    trust.ensure_authority(at=at)
    trust.ensure_keys(at=at)


def _check(spec: TargetSpec) -> None:
    if spec.driver not in POINTS:
        raise BadTarget(fields={"driver": [f"Choose one of {', '.join(DriverName.values)}."]})
    fields = {name: ["This is needed."] for name in sorted(NEEDED[spec.driver] - spec.config.keys())}
    if spec.credentials:
        needed = CREDENTIALS[spec.driver] - spec.credentials.keys() | (_ADDRESS[spec.driver] - spec.config.keys())
        fields |= {name: ["This is needed."] for name in sorted(needed)}
    if spec.driver == DriverName.KUBERNETES and not fields:
        fields = complaints(spec.config, spec.slug)
    if fields:
        raise BadTarget(f"The target {spec.slug} lacks {', '.join(fields)}, or has it wrong.", fields=fields)


def require_new(spec: TargetSpec) -> None:
    """Raises TargetExists, and BadTarget where another target keeps the door already."""
    if Target.objects.filter(slug=spec.slug).exists():
        raise TargetExists(fields={"slug": [TargetExists.default_message]})
    require_a_free_door(spec.driver, catalog.get_environment(spec.environment))


def _create(spec: TargetSpec, actor: Actor, at: datetime) -> Target:
    target = _made(spec, at)
    _know_workloads(target, actor, at)
    compile_everything(target, topic=FIRST, cause=target.slug, at=at)
    tell_meshes(target, at)
    record_target("target.created", target, actor=actor, at=at, after=_described(target))
    return target


def _made(spec: TargetSpec, at: datetime) -> Target:
    """Of two who make one for the same door at the same moment, the second is told."""
    environment = catalog.get_environment(spec.environment)
    require_a_free_door(spec.driver, environment)
    try:
        with transaction.atomic():
            return Target.objects.create(
                slug=spec.slug,
                name=spec.name,
                driver=spec.driver,
                point=POINTS[spec.driver],
                environment=environment,
                production=Production.APPROVED if spec.driver == DriverName.KUBERNETES else Production.AUTOMATIC,
                config=dict(spec.config),
                secret_sealed=_sealed({**spec.credentials, "salt": secrets.token_hex(16)}),
                created_at=at,
            )
    except IntegrityError:
        require_new(spec)
        raise


def require_a_free_door(driver: str, environment: Environment, *, besides: int = 0) -> None:
    """One edge and one mesh of nodes to an environment; clusters as many as there are. Raises BadTarget.

    One that was taken out makes room once nothing of it is left.
    """
    if driver == DriverName.KUBERNETES:
        return
    there = Target.objects.filter(environment=environment, point=POINTS[driver]).exclude(pk=besides)
    for other in there.exclude(driver=DriverName.KUBERNETES):
        if other.is_gone:
            continue
        words = f"{other.name} is the {other.get_point_display().lower()} of {environment.name} already."
        if other.is_removed:
            words = f"{other.name} is still being taken out of Akamai; {environment.name} is free after that."
        raise BadTarget(words, fields={"environment": [words]})


def tell_meshes(target: Target, at: datetime) -> None:
    """An edge that comes after another was taken out: those behind it take its context tokens from now on."""
    there = Target.objects.filter(environment=target.environment).exclude(pk=target.pk)
    if target.point != Point.EDGE or not there.filter(point=Point.EDGE).exists():
        return
    behind = there.filter(point=Point.MESH).exclude(delivery=Delivery.REMOVED)
    PendingChange.objects.bulk_create(
        PendingChange(target=one, service=COMMON, topic=CHANGED, cause=target.slug, at=at, retry_at=at)
        for one in behind
    )


def _update(target: Target, spec: TargetSpec, actor: Actor, at: datetime) -> Target:
    """The salt stays, or every item would change; only the credentials given replace the stored ones."""
    before = _described(target)
    stored = json.loads(vault.unseal(target.secret_sealed))
    merged = {**stored, **spec.credentials}
    kept = {name: target.config[name] for name in KEPT if name in target.config}
    target.name, target.config = spec.name, {**kept, **spec.config}
    if _described(target) == before and merged == stored:
        return target
    if merged != stored:
        target.secret_sealed = _sealed(merged)
    target.save(update_fields=["name", "config", "secret_sealed"])
    _know_workloads(target, actor, at)
    compile_everything(target, topic=CHANGED, cause=target.slug, at=at)
    record_target("target.changed", target, actor=actor, at=at, before=before, after=_described(target))
    return target


def compile_everything(target: Target, *, topic: str, cause: str, at: datetime) -> None:
    """Have what is common, and every service of the target's environment, compiled again. Not for one that is gone."""
    if not target.is_kept:
        return
    slugs = catalog.graph_services(None, target.environment.slug)
    rows = [
        PendingChange(target=target, service=slug, topic=topic, cause=cause, at=at, retry_at=at)
        for slug in (COMMON, *slugs)
    ]
    PendingChange.objects.bulk_create(rows, batch_size=500)


def _sealed(secret: Mapping[str, str]) -> bytes:
    return vault.seal(json.dumps(secret).encode())


def _know_workloads(target: Target, actor: Actor, at: datetime) -> None:
    """The doors themselves have identities, or they could hold no certificates."""
    names = {"ingress_workload": "Mesh ingress", "edge_workload": "Edge"}
    for setting, name in names.items():
        spiffe_id = target.config.get(setting)
        if spiffe_id:
            identity.upsert_subject(key=f"workload:{spiffe_id}", name=name, actor=actor, at=at)


def _described(target: Target) -> dict[str, object]:
    return {"name": target.name, "driver": target.driver, "point": target.point, "config": dict(target.config)}


def enroll_node(*, target_slug: str, name: str, actor: Actor, at: datetime, applies: bool | None = None) -> Enrolment:
    """A token for a node. Enrolling a name again replaces its token: the old one no longer opens anything.

    A node that does not apply only tries calls. By default it does where what the target should hold is fetched.
    """
    token = f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        node = _enrolled(target_slug, name, token, applies, actor, at)
    return Enrolment(node, token, trust_selectors.jwks(Purpose.BUNDLE))


def enroll_account(
    *, target_slug: str, name: str, issuer: str, account: str, actor: Actor, at: datetime, applies: bool | None = None
) -> Node:
    """A node that shows the tokens its cluster gives its service account, and has none of ours.

    ``issuer`` is the short name of a trusted cluster, ``account`` is ``namespace/name``. Raises BadTarget.
    """
    if not _ACCOUNT.fullmatch(account):
        raise BadTarget(fields={"account": ["Write namespace/name, such as sallyport/sallyport-agent."]})
    known = {one.slug for one in list_issuers() if one.enabled and one.kind == IssuerKind.EKS}
    if issuer not in known:
        raise BadTarget(fields={"issuer": ["Choose a cluster whose tokens are trusted here."]})
    subject = f"system:serviceaccount:{account.replace('/', ':')}"
    with transaction.atomic():
        others = Node.objects.filter(issuer=issuer, account=subject).exclude(target__slug=target_slug, name=name)
        if others.exists():
            raise BadTarget(fields={"account": ["This account stands for another node already."]})
        return _enrolled(target_slug, name, "", applies, actor, at, issuer=issuer, account=subject)


def _enrolled(
    target_slug: str, name: str, token: str, applies: bool | None, actor: Actor, at: datetime, **by: str
) -> Node:
    """Without a token of ours the hash is that of one nobody has. Whatever let it in before no longer does."""
    target = get_target(target_slug)
    if target.driver not in (DriverName.NGINX, DriverName.KUBERNETES):
        raise BadTarget(f"{target.name} has no nodes.")
    fetches = target.is_fetched if applies is None else applies
    if fetches and not target.is_fetched:
        raise BadTarget(f"The console itself writes to {target.name}: a node there can only try calls.")
    known = {"token_hash": vault.hash_of(token or secrets.token_urlsafe(32)), "issuer": "", "account": "", **by}
    node, _ = Node.objects.select_for_update().update_or_create(
        target=target, name=name, defaults={**known, "enrolled_at": at, "applies": fetches}
    )
    record_target("node.enrolled", target, actor=actor, at=at, after={"node": name, "applies": fetches, **by})
    return node
