"""Forgetting a node: a machine that was lost or taken away, or a pod that only tried calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.rollout.models import Drift, DriverName, Node, Target
from apps.rollout.services import changes, proving
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.holding import hold_target
from apps.rollout.services.targets import get_target
from apps.rollout.surroundings import DISTRUSTED
from apps.trust import selectors as trust


class UnknownNodeName(NotFound):
    default_message = "There is no such node."


def remove_node(*, target_slug: str, name: str, actor: Actor, at: datetime) -> None:
    """Its token opens nothing any more, no door believes the certificates it fetched, and nobody waits for it.

    The caller pokes due targets. Raises UnknownNodeName.
    """
    with transaction.atomic():
        meshes = _hold_meshes()
        target = hold_target(get_target(target_slug).pk)
        deleted, _ = Node.objects.filter(target=target, name=name).delete()
        if not deleted:
            raise UnknownNodeName
        gone = Drift.objects.filter(target=target, path=f"node/{name}", resolved_at=None)
        gone.update(resolved_at=at, resolution="The node was removed.")
        proving.ask_no_node(target, at)
        many = _distrust(target, name, meshes, at)
        record_target("node.removed", target, actor=actor, at=at, before={"node": name, "certificates": many})
        tell_pages()


def _hold_meshes() -> list[Target]:
    """Whoever removes a node holds them all, in order, so that two never wait for each other."""
    rows = Target.objects.select_for_update(of=("self",), no_key=True).filter(driver=DriverName.NGINX)
    return list(rows.order_by("pk"))


def _distrust(target: Target, name: str, meshes: Sequence[Target], at: datetime) -> int:
    """How many certificates; not those that a node of the same name holds elsewhere. Every mesh is compiled again."""
    if target.driver != DriverName.NGINX:
        return 0
    namesakes = Node.objects.filter(name=name).values_list("identities", flat=True)
    elsewhere = {str(one.get("fingerprint", "")) for held in namesakes for one in held}
    gone = [one for one in trust.list_fingerprints(node=name, at=at) if one not in elsewhere]
    for mesh in meshes if gone else ():
        mesh.facts = {**mesh.facts, DISTRUSTED: sorted({*mesh.facts.get(DISTRUSTED, []), *gone})}
        mesh.save(update_fields=["facts"])
    if gone:
        changes.note_distrust(node=name, at=at)
    return len(gone)
