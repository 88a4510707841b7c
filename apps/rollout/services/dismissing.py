"""Forgetting a node: a machine that was lost or taken away, or a pod that only tried calls."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.rollout.models import Drift, Node
from apps.rollout.services import proving
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.holding import hold_target
from apps.rollout.services.targets import get_target


class UnknownNodeName(NotFound):
    default_message = "There is no such node."


def remove_node(*, target_slug: str, name: str, actor: Actor, at: datetime) -> None:
    """Its token opens nothing any more, and nobody waits for it or for its answers. The caller pokes the target.

    The certificates it fetched are believed until they run out. Raises UnknownNodeName.
    """
    with transaction.atomic():
        target = hold_target(get_target(target_slug).pk)
        deleted, _ = Node.objects.filter(target=target, name=name).delete()
        if not deleted:
            raise UnknownNodeName
        gone = Drift.objects.filter(target=target, path=f"node/{name}", resolved_at=None)
        gone.update(resolved_at=at, resolution="The node was removed.")
        proving.ask_no_node(target, at)
        record_target("node.removed", target, actor=actor, at=at, before={"node": name})
        tell_pages()
