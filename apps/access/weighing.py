"""What stands for and against an ask: the rules it meets, the people who may decide, and what keeps it from opening."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.access import refusals
from apps.access.approvers import Person, barred, candidates, missing
from apps.access.asks import Target, fingerprint
from apps.access.guardrails import Obstacle, graph_guardrail, list_guardrail_rows, obstacles
from apps.access.models import AccessRequest, ApprovalRule
from apps.access.rules import Facts, Need, Resolution, resolve
from apps.access.states import RequestState
from apps.access.traffic import contradictions
from apps.audit.errors import Refusal
from apps.compiler.words import listed
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Weighed:
    """``able`` holds, per need, those who may decide it. ``blockers`` are the refusals opening would meet, in order."""

    resolution: Resolution
    able: tuple[dict[str, Person], ...]
    obstacles: tuple[Obstacle, ...]
    blockers: tuple[Refusal, ...]


def weigh(
    *, requester: Subject, subject: Subject, target: Target, duration: int, demands: Sequence[Need] = ()
) -> Weighed:
    """``demands`` are approvals that something besides the rules asks for."""
    resolution = resolve(ApprovalRule.objects.filter(enabled=True), facts(subject, target), demands)
    able = tuple(candidates(resolution.needs, barred(requester, subject)))
    blocked = standing_obstacles(subject, target)
    return Weighed(
        resolution=resolution,
        able=able,
        obstacles=blocked,
        blockers=(
            *_suspended(subject),
            *guardrail_refusals(blocked),
            *_too_long(resolution, duration),
            *_nobody(resolution.needs, able),
            *_already_asked(subject, target),
            *contradictions(subject, target),
        ),
    )


def facts(subject: Subject, target: Target) -> Facts:
    service = target.service
    return Facts(
        service=service.slug,
        service_title=service.title,
        owner_team=service.team.key,
        owner_title=service.team.name,
        sensitivity=service.sensitivity,
        service_max_duration=service.max_duration,
        subject_kind=subject.kind,
        methods=target.methods,
        points=frozenset(target.points),
    )


def standing_obstacles(subject: Subject, target: Target) -> tuple[Obstacle, ...]:
    """Nothing for a traffic rule: it opens nothing that a guardrail could bar."""
    if target.wish is not None:
        return ()
    who = identity.graph_subjects([subject.key])[subject.key]
    guardrails = [graph_guardrail(row) for row in list_guardrail_rows([target.service.slug])]
    return obstacles(guardrails, who, target.service.slug, target.graph_routes, target.graph_points)


def guardrail_refusals(found: Sequence[Obstacle]) -> Iterator[Refusal]:
    """One for each guardrail that leaves some route of the ask without any method: that part could never work."""
    said = set[str]()
    for obstacle in found:
        if obstacle.is_whole and obstacle.guardrail.id not in said:
            said.add(obstacle.guardrail.id)
            yield refusals.GuardrailStands(
                obstacle.guardrail.sentence,
                extra={
                    "guardrail": obstacle.guardrail.id,
                    "route": obstacle.route.id,
                    "point": obstacle.point.value,
                },
            )


def _suspended(subject: Subject) -> Iterator[Refusal]:
    if not subject.is_active:
        yield refusals.SubjectSuspended(f"{subject.name} is suspended.")


def _too_long(resolution: Resolution, duration: int) -> Iterator[Refusal]:
    if duration > resolution.max_duration:
        complaint = f"At most {span(resolution.max_duration)}: {resolution.max_duration_why}"
        yield refusals.DurationTooLong(
            complaint, fields={"duration": [complaint]}, extra={"max_duration": resolution.max_duration}
        )


def _nobody(needs: Sequence[Need], able: Sequence[dict[str, Person]]) -> Iterator[Refusal]:
    if not needs:
        yield refusals.NoRuleCovers()
        return
    lacking = missing(needs, able)
    if lacking:
        helpers = [person.name for person in identity.list_with_role("administrator")]
        ask = f"Ask {listed(helpers)} to name somebody." if helpers else "Ask an administrator to name somebody."
        names = listed(need.name for need in needs if need in lacking)
        yield refusals.NobodyCanApprove(
            f"Nobody else can approve for: {names}. {ask}", extra={"needs": [need.name for need in needs]}
        )


def _already_asked(subject: Subject, target: Target) -> Iterator[Refusal]:
    twin = find_twin(fingerprint(subject, target))
    if twin:
        yield refusals.AlreadyAsked(extra={"request": twin})


def find_twin(fingerprint: str) -> str:
    """The request that asks for the same and waits for an answer, or nothing."""
    same = AccessRequest.objects.filter(fingerprint=fingerprint, state=RequestState.PENDING)
    return same.values_list("public_id", flat=True).first() or ""


def span(seconds: int) -> str:
    """``8 hours``, ``2 days``, ``90 minutes``: the largest unit that says it exactly."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"
