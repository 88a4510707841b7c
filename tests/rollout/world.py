"""A shop with an edge and a mesh, and hands to move it without Celery."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.identity.models import Subject
from apps.outbox import services as outbox
from apps.rollout.models import Node, Target
from apps.rollout.services import nodes, reconciling
from apps.rollout.services.targets import Enrolment, TargetSpec, enroll_node, ensure_target
from apps.trust import pki
from tests.factories import access as factory
from tests.localedge.standin import CREDENTIAL

INGRESS = "spiffe://shop.test/ns/sallyport/sa/ingress"
EDGE = "spiffe://shop.test/ns/sallyport/sa/edge"


def now() -> datetime:
    return datetime.now(UTC)


class Hands:
    """A clock that can be pushed, and the work that Celery would do."""

    def __init__(self, start: datetime | None = None) -> None:
        self._at = start
        self._pushed = timedelta()

    def clock(self) -> datetime:
        return (self._at or now()) + self._pushed

    def push(self, **duration: float) -> None:
        self._pushed += timedelta(**duration)

    def deliver(self) -> None:
        """Handle every message that waits."""
        while outbox.drain(at=self.clock(), limit=100).handled:
            pass

    def work(self, *slugs: str) -> None:
        """Deliver and reconcile until nothing moves any more."""
        targets = slugs or tuple(Target.objects.order_by("slug").values_list("slug", flat=True))
        for _ in range(50):
            self.deliver()
            if not sum(reconciling.reconcile(slug=slug, clock=self.clock).rounds for slug in targets):
                return
        raise AssertionError("it never comes to rest")


def edge_spec(base_url: str = "http://127.0.0.1:1", probe_url: str = "http://127.0.0.1:1") -> TargetSpec:
    return TargetSpec(
        slug="edge",
        name="Edge",
        driver="akamai",
        config={"base_url": base_url, "probe_url": probe_url, "group_id": 1, "resource_tier_id": 200},
        credentials=CREDENTIAL,
    )


def mesh_spec() -> TargetSpec:
    return TargetSpec(
        slug="mesh",
        name="Mesh",
        driver="nginx",
        config={"ingress_port": 8443, "ingress_workload": INGRESS, "edge_workload": EDGE, "edge": "edge"},
    )


def make_target(spec: TargetSpec, at: datetime | None = None) -> Target:
    return ensure_target(spec=spec, actor=SYSTEM, at=at or now())


def make_node(name: str = "node-1", at: datetime | None = None) -> Enrolment:
    return enroll_node(target_slug="mesh", name=name, actor=SYSTEM, at=at or now())


def grant_to(
    subject: Subject,
    *reviewers: Subject,
    actor: Subject | None = None,
    routes: Collection[str] = ("refund",),
    points: Collection[str] = ("edge",),
    duration: int = 3600,
    at: datetime | None = None,
) -> Grant:
    """Asked for and approved."""
    moment = at or now()
    request = factory.ask(actor or subject, subject=subject, routes=routes, points=points, duration=duration, at=moment)
    factory.approve(request, *reviewers, at=moment)
    return Grant.objects.get(request=request)


def standing_grant(
    subject: Subject, by: Subject, points: Collection[str] = ("mesh",), at: datetime | None = None
) -> Grant:
    return access.create_standing_grant(
        actor=by.actor,
        subject_key=subject.key,
        service_slug="payments",
        route_keys=["read"],
        points=points,
        at=at or now(),
    )


def doors(grant: Grant) -> dict[str, str]:
    return {door.point: door.state for door in Grant.objects.get(pk=grant.pk).doors.all()}


@dataclass
class FakeNode:
    """The node's side of the protocol, by the services: what it is offered, what it says."""

    node: Node
    workloads: tuple[str, ...] = ()
    have: str = ""
    answers: Callable[[dict[str, Any]], str] = lambda probe: str(probe["expect"])

    def heartbeat(self, at: datetime) -> None:
        Node.objects.filter(pk=self.node.pk).update(last_seen_at=at)

    def introduce(self, at: datetime) -> None:
        """What a node says first, before it has anything."""
        self._report(at, revision=0, digest="", probes=[])

    def take(self, at: datetime, *, error: str = "") -> dict[str, Any] | None:
        """One poll; the manifest it was offered, applied and reported, or None."""
        self.heartbeat(at)
        offer = nodes.offer(node_id=self.node.pk, have=self.have, at=at)
        if offer is None:
            return None
        manifest: dict[str, Any] = read_signed(offer.signed)
        results = [] if error else [self._result(dict(probe)) for probe in offer.probes]
        if not error:
            self.have = manifest["digest"]
        self._report(at, manifest["revision"], manifest["digest"], results, error=error)
        return manifest

    def _result(self, probe: dict[str, Any]) -> nodes.ProbeResult:
        verdict = self.answers(probe)
        grants = tuple(Grant.objects.values_list("public_id", flat=True)) if verdict == "allow" else ()
        reason = "granted" if verdict == "allow" else "no_grant"
        return nodes.ProbeResult(int(probe["id"]), nodes.DoorAnswer(verdict, reason, grants), "")

    def _report(
        self, at: datetime, revision: int, digest: str, probes: list[nodes.ProbeResult], *, error: str = ""
    ) -> None:
        identities = [{"workload": workload, "fingerprint": "", "not_after": ""} for workload in self.workloads]
        report = nodes.Report(revision, digest, not error, error, probes, identities)
        nodes.record_report(node=self.node, report=report, at=at)


def read_signed(signed: str) -> dict[str, Any]:
    body = signed.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def signing_request() -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = pki.new_private_key()
    return key, pki.new_request(key)
