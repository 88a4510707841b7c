"""A shop in which there is one of everything the API speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from apps.audit.actors import SYSTEM
from apps.identity import services as identity
from apps.identity.models import Subject
from apps.outbox.models import Message
from apps.rollout.models import Activation, Drift, Node, Probe, Revision, Target
from tests.factories.access import AT, Shop, active_grant, ask, environment, shop
from tests.factories.remembered import remembered


@dataclass(frozen=True)
class World:
    """``kim`` may do everything a person may be given; ``known`` are ids that exist, by the name they go by."""

    shop: Shop
    kim: Subject
    target: Target
    known: dict[str, list[str | int]]


@remembered
def world() -> World:
    there, at = shop(), datetime.now(UTC)
    kim = identity.upsert_subject(key="person:kim", name="Kim", actor=SYSTEM, at=AT)
    for role in ("operator", "security", "administrator"):
        identity.assign_role(subject_key=kim.key, role=role, actor=SYSTEM, at=AT)
    grant = active_grant(there.ada, there.ben, at=at)
    waiting = [ask(there.bot, at=at), ask(there.ada, routes=("list",), at=at), ask(kim, routes=("read",), at=at)]
    target = mesh_target()
    dead = Message.objects.create(
        topic="catalog.service.changed", key="payments", state="dead", attempts=10, available_at=AT, created_at=AT
    )
    known: dict[str, list[str | int]] = {
        "public_id": [grant.public_id, *(one.public_id for one in waiting)],
        "slug": ["payments", target.slug],
        "key": [there.ada.key, there.payments_team.key, there.bot.key, there.cart.key],
        "message_id": [dead.pk],
        "drift_id": [row.pk for row in Drift.objects.all()],
        "number": [1],
    }
    return World(there, kim, target, known)


def mesh_target() -> Target:
    """A target with a node, one revision that is in force, a probe that passed and something that drifted."""
    target = Target.objects.create(
        slug="mesh",
        name="Mesh",
        driver="nginx",
        point="mesh",
        environment=environment(),
        latest_number=1,
        active_number=1,
        created_at=AT,
    )
    Node.objects.create(target=target, name="node-1", token_hash="0" * 64, enrolled_at=AT, active_number=1)
    revision = Revision.objects.create(
        target=target, number=1, digest="d" * 64, summary="The first.", causes=["a grant"], rehearsed=12, created_at=AT
    )
    activation = Activation.objects.create(
        target=target, revision=revision, state="proven", created_at=AT, applied_at=AT, proven_at=AT
    )
    Probe.objects.create(
        activation=activation,
        target=target,
        runner="node",
        grant_id="g_1",
        point="mesh",
        expect="allow",
        subject="person:ada",
        service="payments",
        state="passed",
        verdict="allow",
        reason="granted",
        created_at=AT,
        passed_at=AT,
    )
    Drift.objects.create(
        target=target, path="node/node-1", expected="online", observed="offline", found_at=AT, seen_at=AT
    )
    return target
