"""A request's change in words, from its own rows alone. Pure: the compiler's sentences about one grant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from apps.access.selectors import planned_change
from apps.access.wishes import Wish
from apps.compiler import graph
from apps.compiler.diff import Change, diff
from apps.compiler.graph import TrafficRule

if TYPE_CHECKING:
    from apps.access.models import AccessRequest, Grant

OTHERS = graph.Route("", frozenset(), "/")
"""Stands for the routes not asked for, so that those asked for are named and not called everything."""


def changes_of(asked: AccessRequest, grant: Grant | None, at: datetime) -> Sequence[Change]:
    """What approving would open, or what is open because of it; nothing for what was never opened or has ended."""
    if grant is None and asked.state != "pending":
        return ()
    if grant is not None and grant.ended_at is not None:
        return ()
    if asked.subject.kind == graph.SubjectKind.PARTY:
        return planned_change(request=asked, at=at).plan.changes
    without = _without(asked)
    if asked.treatment is not None:
        return diff(without, replace(without, traffic=(_ruling(asked, grant, at),))).changes
    return diff(without, replace(without, grants=(_opening(asked, grant, at),))).changes


def _without(asked: AccessRequest) -> graph.AccessGraph:
    subject, service = asked.subject, asked.service
    routes = [graph.Route(one.key, frozenset(one.methods), one.template) for one in asked.routes.all()]
    return graph.AccessGraph(
        subjects={subject.key: graph.Subject(subject.key, graph.SubjectKind(subject.kind), subject.name)},
        services={service.slug: graph.Service(service.slug, service.title, (*routes, OTHERS))},
    )


def _ruling(asked: AccessRequest, grant: Grant | None, at: datetime) -> TrafficRule:
    opening = _opening(asked, grant, at)
    return Wish.from_json(asked.treatment or {}).rule(
        opening.id,
        subject=opening.subject,
        service=opening.service,
        routes=opening.routes,
        points=opening.points,
        starts_at=opening.starts_at,
        ends_at=opening.ends_at,
    )


def _opening(asked: AccessRequest, grant: Grant | None, at: datetime) -> graph.Grant:
    starts = grant.starts_at if grant is not None and grant.starts_at is not None else at
    return graph.Grant(
        id=grant.public_id if grant is not None else "proposed",
        subject=asked.subject.key,
        service=asked.service.slug,
        routes=frozenset(one.key for one in asked.routes.all()),
        points=frozenset(graph.Point(point) for point in asked.points),
        starts_at=int(starts.timestamp()),
        ends_at=int(starts.timestamp()) + asked.duration,
    )
