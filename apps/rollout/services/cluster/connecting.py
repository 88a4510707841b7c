"""Making a cluster known, and giving it the credential the console speaks to its API server with.

A connection is tried with calls that only read before it is kept; it is kept encrypted, and never shown again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.identity import vault
from apps.rollout.cluster.settings import ClusterSettings, complaints, settings_of
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.api import ClusterApi
from apps.rollout.drivers.kubernetes.connection import BadConnection, ClusterConnection, server_of
from apps.rollout.drivers.kubernetes.driver import KubernetesDriver
from apps.rollout.drivers.kubernetes.errors import explain
from apps.rollout.models import Delivery, DriverName, Revision, Target, TargetArtifact
from apps.rollout.services import revising
from apps.rollout.services.cluster.driving import config_for
from apps.rollout.services.doors import JOINED
from apps.rollout.services.evidence import record_target
from apps.rollout.services.moving import UNSETTLED
from apps.rollout.services.targets import (
    JOINED_ANEW,
    BadTarget,
    TargetSpec,
    compile_everything,
    ensure_target,
    get_target,
    require_new,
)
from apps.rollout.states import UNKNOWN

TRIAL_SECONDS = 10.0
LARGEST_FILE = 256 * 1024
IN_CLUSTER, KUBECONFIG, TOKEN, AGENT = "in_cluster", "kubeconfig", "token", "agent"
REACHED: Mapping[str, str] = {
    KUBECONFIG: "by a kubeconfig",
    TOKEN: "by its address and a token",
    IN_CLUSTER: "as the cluster the console runs in",
    AGENT: "not at all: an agent in the cluster calls the console",
}


class ClusterRefused(InvalidInput):
    """The cluster did not take it, or it cannot be used. Nothing was changed."""

    code = "cluster_refused"


@dataclass(frozen=True, slots=True)
class Way:
    """How a cluster is reached: one of ``REACHED``, and what belongs to it."""

    by: str
    kubeconfig: str = field(default="", repr=False)
    context: str = ""
    server: str = ""
    token: str = field(default="", repr=False)
    ca_pem: str = ""

    @property
    def connection(self) -> ClusterConnection:
        """Raises ClusterRefused for what is not whole."""
        if self.by == KUBECONFIG:
            _require(0 < len(self.kubeconfig) <= LARGEST_FILE, KUBECONFIG, "Give a kubeconfig of at most 256 KB.")
            return ClusterConnection(kubeconfig=self.kubeconfig, context=self.context.strip())
        if self.by == IN_CLUSTER:
            return ClusterConnection(in_cluster=True)
        _require(bool(self.server.strip()), "server", "Write the address, such as https://10.0.0.1:6443.")
        _require(bool(self.token.strip()), TOKEN, "A token is needed.")
        return ClusterConnection(
            url=self.server.strip().rstrip("/"), token=self.token.strip(), ca_pem=self.ca_pem.strip()
        )

    @property
    def secret(self) -> dict[str, str]:
        """What is kept encrypted; whatever was kept before is gone."""
        return {
            "kubeconfig": self.kubeconfig if self.by == KUBECONFIG else "",
            "context": self.context.strip() if self.by == KUBECONFIG else "",
            "token": self.token.strip() if self.by == TOKEN else "",
            "ca_pem": self.ca_pem.strip() if self.by == TOKEN else "",
        }

    @property
    def blamed(self) -> str:
        """The field of a form that a complaint about the whole belongs to."""
        return {KUBECONFIG: "kubeconfig", TOKEN: "server"}.get(self.by, "by")


def _require(holds: bool, field_name: str, complaint: str) -> None:
    if not holds:
        raise ClusterRefused(complaint, fields={field_name: [complaint]})


def add(*, spec: TargetSpec, way: Way, actor: Actor, at: datetime) -> Target:
    """A new cluster. It is tried first, so a refusal leaves nothing behind.

    Raises TargetExists, ClusterRefused, BadTarget.
    """
    require_new(spec)
    server = _tried(way, spec.config)
    with transaction.atomic():
        target = ensure_target(spec=spec, actor=actor, at=at)
        return _keep(target, way, server, actor, at)


def connect(*, slug: str, way: Way, actor: Actor, at: datetime) -> Target:
    """Another way to a cluster, tried before it replaces the one there is.

    Everything is brought there again: the address may be that of another cluster.
    """
    target = get_target(slug)
    if target.driver != DriverName.KUBERNETES:
        raise BadTarget(f"{target.name} is no Kubernetes cluster.")
    server = _tried(way, target.config)
    with transaction.atomic():
        held = Target.objects.select_for_update(of=("self",)).select_related("environment").get(pk=target.pk)
        if held.is_kept and server != held.config.get("server"):
            _bring_again(held, at)
        return _keep(held, way, server, actor, at)


def change_settings(*, slug: str, chosen: ClusterSettings, actor: Actor, at: datetime) -> Target:
    """What is compiled for the cluster from now on. What it no longer takes is removed from it. Raises BadTarget."""
    target = get_target(slug)
    if target.driver != DriverName.KUBERNETES:
        raise BadTarget(f"{target.name} is no Kubernetes cluster.")
    before = settings_of(target.config)
    with transaction.atomic():
        spec = TargetSpec(slug=slug, name=target.name, driver=target.driver, config=chosen.config)
        changed = ensure_target(spec=spec, actor=actor, at=at)
        if chosen != before:
            changed.facts = {**changed.facts, UNSETTLED: True}
            changed.save(update_fields=["facts"])
    return changed


def _bring_again(target: Target, at: datetime) -> None:
    """Nothing is believed of a cluster at another address, nor was anything shown there."""
    target.facts = {**target.facts, JOINED: at.isoformat()}
    target.save(update_fields=["facts"])
    compile_everything(target, topic=JOINED_ANEW, cause=target.slug, at=at)
    TargetArtifact.objects.filter(target=target).update(applied_sha256=UNKNOWN)
    revision = Revision.objects.filter(target=target).order_by("-number").first()
    if revision is not None:
        revising.activate(target=target, revision=revision, at=at)


def _tried(way: Way, config: Mapping[str, object]) -> str:
    """The address of the server, after one call that only reads. Empty where the console calls nobody."""
    if way.by not in REACHED:
        raise ClusterRefused(fields={"by": [f"Choose one of {', '.join(REACHED)}."]})
    if way.by == AGENT:
        return ""
    connection, wrong = way.connection, complaints(config)
    if wrong:
        raise BadTarget(fields=wrong)
    try:
        server = server_of(connection)
        try_out(connection, settings_of(config))
    except BadConnection as error:
        raise ClusterRefused(f"{error}.", fields={way.blamed: [f"{error}."]}) from error
    except VendorError as error:
        words = explain(error).sentence
        raise ClusterRefused(f"{words} {error}", fields={way.blamed: [f"{words} {error}"]}) from error
    return server


def try_out(connection: ClusterConnection, chosen: ClusterSettings) -> None:
    """Raises VendorError. What is not granted is no reason to refuse it: the preflight tells."""
    with closing(ClusterApi(replace(connection, read_seconds=TRIAL_SECONDS))) as api:
        KubernetesDriver(api, config_for("trial", chosen)).access_review()


def _keep(target: Target, way: Way, server: str, actor: Actor, at: datetime) -> Target:
    before = _said_of(target)
    stored = json.loads(vault.unseal(target.secret_sealed))
    target.secret_sealed = vault.seal(json.dumps({**stored, **way.secret}).encode())
    target.config = {**target.config, "server": server, "reached": way.by}
    target.facts = {**target.facts, "connected_at": at.isoformat(), UNSETTLED: True}
    if not target.is_removed:
        target.delivery = Delivery.PULLED if way.by == AGENT else Delivery.DIRECT
    target.attempts, target.retry_at, target.error, target.error_at, target.trouble = 0, None, "", None, ""
    fields = ["secret_sealed", "config", "facts", "delivery", "attempts", "retry_at", "error", "error_at", "trouble"]
    target.save(update_fields=fields)
    record_target("target.connected", target, actor=actor, at=at, before=before, after=_said_of(target))
    return target


def _said_of(target: Target) -> dict[str, object]:
    """What may be recorded and shown of a connection."""
    return {"server": target.config.get("server", ""), "reached": target.config.get("reached", "")}
