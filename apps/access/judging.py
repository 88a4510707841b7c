"""Where the facts for a request's risk come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.access.asks import Target
from apps.access.risk import Exposure, Risk, assess
from apps.access.traffic_risk import assess_rule
from apps.compiler.graph import SubjectKind
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject


def judge_risk(subject: Subject, target: Target, duration: int) -> Risk:
    kind = SubjectKind(subject.kind)
    what = Exposure(
        service_title=target.service.title,
        sensitivity=target.service.sensitivity,
        danger_note=target.service.danger_note,
        routes=target.graph_routes,
        routes_in_all=len(target.shape.routes),
        points=target.graph_points,
        duration=duration,
        subject_kind=kind,
        people=len(affected(subject)) if kind is SubjectKind.TEAM else 1,
    )
    return assess(what) if target.wish is None else assess_rule(what, target.wish)


def affected(subject: Subject) -> tuple[Subject, ...]:
    """Those who get access besides the subject itself: the active members of a team."""
    if subject.kind != SubjectKind.TEAM:
        return ()
    members = (membership.member for membership in identity.list_members(subject))
    return tuple(member for member in members if member.is_active)
