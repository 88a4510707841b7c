"""What a reviewer must know before Kubernetes objects are applied, because nothing in the objects says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apps.compiler.graph import AccessGraph, Point, Service
from apps.compiler.lint import Severity


@dataclass(frozen=True, slots=True)
class Trap:
    """``code`` is for programs and stable; ``sentence`` is for whoever reads the plan.

    An error means that the objects do not do what the graph says, a warning that they do more to somebody than the
    change seems to, a note that something is different from the other doors.
    """

    code: str
    sentence: str
    severity: Severity = Severity.WARNING


def ends_by_console(graph: AccessGraph, service: Service, at: int) -> Iterator[Trap]:
    """What other doors do by the clock, objects do when the console applies the next revision."""
    mine = [grant for grant in graph.grants if grant.service == service.id and Point.MESH in grant.points]
    if any(grant.starts_at > at for grant in mine):
        yield Trap("starts_by_console", "What has not started yet opens when the console says so.", Severity.NOTE)
    if any(grant.ends_at is not None and grant.ends_at > at for grant in mine):
        yield Trap("ends_by_console", "What has an end closes when the console says so.", Severity.NOTE)
