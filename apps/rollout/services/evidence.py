"""How this app's changes are recorded and announced."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.outbox import nudge
from apps.outbox import services as outbox
from apps.rollout.models import Activation, Release, Target

ACTIVATION_CHANGED = "rollout.activation.changed"
RELEASE_CHANGED = "rollout.release.changed"
CHANNEL = "rollout"


def record_target(
    verb: str,
    target: Target,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Writes ``rollout.<verb>`` to the audit record, in the caller's transaction."""
    audit.record(
        action=f"rollout.{verb}",
        actor=actor,
        target_type="rollout.target",
        target_id=target.slug,
        target_name=target.name,
        before=before,
        after=after,
        at=at,
    )


def tell_pages() -> None:
    """Those that are open now look again, once this is committed."""
    transaction.on_commit(partial(nudge.publish, CHANNEL), robust=True)


def announce_activation(activation: Activation, at: datetime) -> None:
    """For whoever follows the topic, and for the pages that are open now."""
    tell_pages()
    outbox.enqueue(
        topic=ACTIVATION_CHANGED,
        key=activation.target.slug,
        payload={"revision": activation.revision.number, "state": activation.state},
        at=at,
    )


def announce_release(release: Release, at: datetime) -> None:
    """What became of code: good, refused, taken back, or waiting for a person."""
    tell_pages()
    outbox.enqueue(
        topic=RELEASE_CHANGED,
        key=release.target.slug,
        payload={"version": release.version, "revision": release.number, "state": release.state},
        at=at,
    )
