"""A request as a story: what happened, what happens now, what is still to come. Pure: rows in, steps out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from console.words import span_words

if TYPE_CHECKING:
    from apps.access.models import AccessRequest, Grant, GrantDoor
    from apps.access.selectors import Moment, Standing


@dataclass(frozen=True, slots=True)
class Step:
    """``look`` is ok, bad, now or todo; ``quote`` is what somebody wrote, ``more`` what the console says."""

    title: str
    look: str = ""
    icon: str = "ok"
    at: datetime | None = None
    more: str = ""
    quote: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """The last call a grant let through."""

    at: datetime
    words: str
    link: str


LOOKS = {
    "asked": ("", "ask"),
    "approval_given": ("ok", "ok"),
    "denial_given": ("bad", "no"),
    "approved": ("ok", "done"),
    "denied": ("bad", "no"),
    "expired": ("", "off"),
    "cancelled": ("", "off"),
    "door_opened": ("", "go"),
    "door_proven": ("ok", "ok"),
    "started": ("ok", "wait"),
    "failed": ("bad", "alert"),
    "revoked": ("", "stop"),
    "handed_back": ("", "undo"),
    "door_closed": ("ok", "ok"),
}
QUOTED = {"asked", "approval_given", "denial_given", "revoked", "handed_back"}


def tell(
    request: AccessRequest,
    past: Sequence[Moment],
    standings: Sequence[Standing],
    grant: Grant | None,
    use: Use | None,
) -> list[Step]:
    """``past`` comes in order of time."""
    happened = list(_happened(past, use))
    if request.state == "pending":
        return [*happened, *_awaited(standings), *_would_follow(request.points)]
    return [*happened, *(_goes_on(grant) if grant else ())]


def _happened(past: Sequence[Moment], use: Use | None) -> Iterator[Step]:
    rules = [moment for moment in past if moment.kind == "rule_matched"]
    steps = [_step(moment) for moment in past if moment.kind != "rule_matched"]
    if use is not None:
        steps.append(Step("Last used", "ok", "live", use.at, use.words, link=use.link))
    steps.sort(key=lambda step: step.at or past[0].at)
    yield from steps[:1]
    if rules:
        title = f"{len(rules)} rule{'' if len(rules) == 1 else 's'} matched"
        yield Step(title, icon="info", at=rules[0].at, more=" ".join(rule.sentence for rule in rules))
    yield from steps[1:]


def _step(moment: Moment) -> Step:
    look, icon = LOOKS.get(moment.kind, ("", "info"))
    quoted = moment.kind in QUOTED
    return Step(
        moment.sentence.removesuffix("."),
        look,
        icon,
        moment.at,
        more="" if quoted or moment.kind == "door_opened" else moment.comment,
        quote=moment.comment if quoted else "",
    )


def _awaited(standings: Sequence[Standing]) -> Iterator[Step]:
    for one in standings:
        if not one.progress.is_met:
            missing = one.progress.count - len(one.progress.answered)
            people = listed(person.name for person in one.progress.waiting) or "Nobody who may answer is left."
            count = f", {missing} of them" if missing > 1 else ""
            yield Step(f"Waits for {one.requirement.name}{count}", "now", "wait", more=people)


def _would_follow(points: Iterable[str]) -> Iterator[Step]:
    yield from (Step(f"The {point} door opens", "todo", "off") for point in sorted(points))
    yield Step("A probe proves it, and the clock starts", "todo", "off")


def _goes_on(grant: Grant) -> Iterator[Step]:
    doors = sorted(grant.doors.all(), key=lambda door: door.point)
    yield from (step for door in doors for step in _moving(door))
    if grant.ended_at is not None:
        return
    if grant.activated_at is None:
        yield Step("A probe proves it, and the clock starts", "todo", "off")
    if grant.ends_at is not None:
        yield Step("It runs out", "todo", "wait", grant.ends_at)
    elif grant.duration is not None:
        yield Step(f"It runs out, {span_words(grant.duration)} after the clock started", "todo", "off")


NOW = {
    "opening": "The {} door is opening",
    "open": "The {} door is open; a probe is on its way",
    "closing": "The {} door is closing",
}


def _moving(door: GrantDoor) -> Iterator[Step]:
    if door.state == "failing":
        yield Step(f"The {door.point} door is not as it should be", "bad", "alert", door.changed_at, door.detail)
    elif door.state in NOW:
        yield Step(NOW[door.state].format(door.point), "now", "wait", more=door.detail)


def listed(names: Iterable[str]) -> str:
    """``Ben, Cyd or Dan``."""
    *others, last = list(names) or [""]
    return f"{', '.join(others)} or {last}" if others else last
