"""Drivers for rows, and what we believe a target to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

import requests
from django.db.models import F

from apps.outbox import nudge
from apps.rollout.content import load
from apps.rollout.drivers.akamai.api import DEFAULT_CONNECTION, READ_SECONDS, AkamaiApi, Connection, Credentials
from apps.rollout.drivers.akamai.code import Gate
from apps.rollout.drivers.akamai.driver import AkamaiConfig, AkamaiDriver, is_code
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.akamai.errors import ENDINGS
from apps.rollout.drivers.akamai.heard import Listener
from apps.rollout.drivers.base import Desired, Driver, NodeView, Observed, VendorError
from apps.rollout.drivers.exported import WITNESS, ExportedDriver
from apps.rollout.drivers.nginx import NginxDriver
from apps.rollout.emitting import COMMON
from apps.rollout.models import DriverName, EdgeMove, EdgeToken, Node, Production, Revision, Target, TargetArtifact
from apps.rollout.services import releases
from apps.rollout.services.akamai import budgets
from apps.rollout.services.akamai.typed import is_local
from apps.rollout.services.cluster.driving import cluster_driver
from apps.rollout.services.safety import safety_of
from apps.rollout.states import ReleaseState
from apps.rollout.surroundings import namespace_of, secret_of
from apps.trust import services as trust

TRIED = (ReleaseState.TRIED, ReleaseState.WATCHED)
NOTED = 100
"""So many failed activations are remembered when the next is decided on."""


class NotConnected(VendorError):
    """The target has no credential yet. It is put off like a vendor that does not answer, until it has one."""


class NeverCalled(NotConnected):
    """The vendor of an exported target is not called, whoever asks for it."""


STALE_AFTER = timedelta(minutes=2)
"""A node that was not heard of for so long is shown as offline and not waited for."""


@contextmanager
def driver_of(target: Target, at: datetime) -> Iterator[Driver]:
    """The driver of a target, for as long as the context is open: what it holds open is closed after."""
    if target.is_fetched:
        yield NginxDriver(node_views(target, at), partial(nudge.publish, channel_of(target.slug)))
        return
    if target.driver == DriverName.KUBERNETES:
        with cluster_driver(target) as cluster:
            yield cluster
        return
    if target.is_exported:
        yield exported_driver(target, at)
        return
    with akamai_driver(target, at) as driver:
        yield driver


@contextmanager
def akamai_driver(target: Target, at: datetime | None = None) -> Iterator[AkamaiDriver]:
    """With ``at``, the account's budget is asked and what Akamai says of it is noted; without, nothing is spent."""
    listener = Listener()
    api = akamai_api(target, on_answer=listener)
    config = AkamaiConfig(
        namespace=namespace_of(target),
        edgeworker_name=edgeworker_name(target),
        group_id=int(target.config["group_id"]),
        resource_tier_id=int(target.config["resource_tier_id"]),
        edgeworker_id=target.facts.get("edgeworker_id"),
        chosen_id=target.config.get("edgeworker_id"),
        makes_namespace=target.config.get("makes_namespace", True),
        token_name=token_in_use(target),
    )
    try:
        budget = budgets.AccountBudget(target, at) if at is not None else None
        entry = safety_of(target).staging_entry
        yield AkamaiDriver(
            api, config, caller_of(target), budget, gate_of(target), EdgeCaller(entry) if entry else None
        )
    finally:
        api.close()
        if at is not None:
            budgets.hear(target=target, heard=listener.heard(), at=at)


def edgeworker_name(target: Target) -> str:
    """Of the one that it makes for itself, and finds again."""
    return str(target.config.get("edgeworker_name", f"sallyport-{target.slug}"))


def exported_driver(target: Target, at: datetime) -> ExportedDriver:
    """Of an edge that others bring to the vendor: it only looks at what is there."""
    token = trust.sign_probe_tokens(subjects={WITNESS}, at=at)[WITNESS]
    code = load(TargetArtifact.objects.filter(target=target, service=COMMON).exclude(sha256=""))
    return ExportedDriver(caller_of(target), code, token)


def caller_of(target: Target) -> EdgeCaller:
    """Who calls the doors of the edge, as anybody can."""
    return EdgeCaller(target.config.get("probe_url", ""))


def is_here(target: Target) -> bool:
    """Whether it is an edge on this machine: quick, and nobody counts how often it is asked."""
    return is_local(str(target.config.get("probe_url", "")))


def token_in_use(target: Target) -> str:
    """The name of the token the code reads EdgeKV with; empty before there is one."""
    row = EdgeToken.objects.filter(target=target, uuid=target.facts.get("kv_token_ref", "")).first()
    return row.name if row else ""


def gate_of(target: Target) -> Gate:
    """What stands before production: whom it waits for, what was tried, and what failed and was not forgiven."""
    failed = EdgeMove.objects.filter(target=target, status__in=ENDINGS).order_by("-number")[:NOTED]
    rows = list(failed.values_list("number", "forgiven"))
    release = releases.current(target)
    return Gate(
        by_person=target.production == Production.APPROVED,
        approved=target.approved,
        forgiven=frozenset(number for number, forgiven in rows if forgiven),
        noted=frozenset(number for number, _ in rows),
        on_trial=True,
        tried=release.version if release and release.state in TRIED else "",
        held=releases.held_versions(target),
        straight=release.version if release and release.straight else "",
    )


def akamai_api(
    target: Target,
    *,
    read_seconds: float = READ_SECONDS,
    on_answer: Callable[[requests.Response], None] | None = None,
) -> AkamaiApi:
    """A signed session with the target's own credential; close it. Raises NotConnected."""
    if target.is_exported:
        raise NeverCalled("Akamai", 0, "is not called for this target: a team applies its export")
    if target.is_gone:
        raise NeverCalled("Akamai", 0, "is not called for this target: it was taken out")
    secret = secret_of(target)
    if "client_token" not in secret or "base_url" not in target.config:
        raise NotConnected("Akamai", 0, "is not connected yet: give this target a credential")
    connection = Connection(
        account_switch_key=target.config.get("account_switch_key", ""),
        max_body=int(target.config.get("max_body", DEFAULT_CONNECTION.max_body)),
        read_seconds=read_seconds,
    )
    credentials = Credentials(secret["client_token"], secret["client_secret"], secret["access_token"])
    return AkamaiApi(target.config["base_url"], credentials, connection, on_answer)


def channel_of(slug: str) -> str:
    """Where nodes of a target listen for news."""
    return f"bundle:{slug}"


def node_views(target: Target, at: datetime) -> list[NodeView]:
    """What each node of the target that applies a bundle last said of itself."""
    return [
        NodeView(
            name=node.name,
            number=node.active_number,
            digest=node.active_digest,
            live=is_live(node, at),
            error=node.error if node.failed_number > node.active_number else "",
            trouble=node.trouble if node.failed_number > node.active_number else "",
        )
        for node in Node.objects.filter(target=target, applies=True).order_by("name")
    ]


def is_live(node: Node, at: datetime) -> bool:
    """Whether the node was heard of lately enough to be counted on."""
    return node.last_seen_at is not None and node.last_seen_at > at - STALE_AFTER


def has_live_agent(target: Target, at: datetime) -> bool:
    """Whether anybody who applies what the target should hold was heard of lately."""
    return Node.objects.filter(target=target, applies=True, last_seen_at__gt=at - STALE_AFTER).exists()


def believed(target: Target, at: datetime) -> Observed:
    """What the target holds of what it should hold differently, as far as we were told."""
    if target.is_fetched:
        return Observed(nodes=tuple(node_views(target, at)))
    rows = _differing(target)
    return Observed(artifacts={row.path: row.applied_sha256 or "?" for row in rows})


def desired(target: Target, revision: Revision) -> Desired:
    """What is still to be brought there. Costs what differs; the nodes of a mesh fetch theirs themselves."""
    if target.is_fetched:
        return Desired(revision.number, revision.digest)
    rows = _differing(target)
    puts = [row for row in rows if row.sha256 and not is_code(row.path)]
    code_differs = any(is_code(row.path) for row in rows)
    code = TargetArtifact.objects.filter(target=target, service=COMMON).exclude(sha256="") if code_differs else []
    return Desired(
        number=revision.number,
        digest=revision.digest,
        puts=load(puts),
        deletes=tuple(row.path for row in rows if not row.sha256 and not is_code(row.path)),
        code=load(list(code)),
    )


def _differing(target: Target) -> list[TargetArtifact]:
    return list(TargetArtifact.objects.filter(target=target).exclude(sha256=F("applied_sha256")).order_by("path"))
