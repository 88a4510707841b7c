"""What follows from the report of an agent in a cluster, beside what follows from that of any node."""

from __future__ import annotations

from datetime import datetime

from apps.rollout.models import Node
from apps.rollout.services import drifting, preflights
from apps.rollout.services.cluster import sights
from apps.rollout.services.nodes import Report


def heard(*, node: Node, report: Report, at: datetime) -> None:
    """Repeating it changes nothing. A probe pod, and a cluster the console calls itself, have nothing to say here."""
    if not sights.is_agent(node):
        return
    if report.access is not None:
        preflights.answer(target=node.target, told=report.access, at=at)
    if sights.note(node=node, number=report.revision, active=report.active, said=report.said, at=at):
        drifting.observe(slug=node.target.slug, at=at)
