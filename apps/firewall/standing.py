"""How far a line and its request are, in one word and in words. Derived from rows; nothing is stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from apps.firewall.models import Verdict

if TYPE_CHECKING:
    from apps.access.models import AccessRequest, Grant
    from apps.firewall.models import FirewallLine, FirewallRequest


class Stand(StrEnum):
    """From what has yet to be understood to what is over."""

    UNREADABLE = "unreadable"
    WRONG = "wrong"
    UNCLEAR = "unclear"
    UNCONFIRMED = "unconfirmed"
    FORBIDDEN = "forbidden"
    CHOOSE = "choose"
    READY = "ready"
    WAITING = "waiting"
    DENIED = "denied"
    OPENING = "opening"
    FAILING = "failing"
    OPEN = "open"
    PROVEN = "proven"
    ALLOWED = "allowed"
    ENDED = "ended"
    NO_OPENING = "no_opening"
    DROPPED = "dropped"


LABELS = {
    Stand.UNREADABLE: "Cannot be read",
    Stand.WRONG: "Cannot be opened so",
    Stand.UNCLEAR: "Which one is meant?",
    Stand.UNCONFIRMED: "Is this right?",
    Stand.FORBIDDEN: "Forbidden between these zones",
    Stand.CHOOSE: "How should it be opened?",
    Stand.READY: "Ready to send",
    Stand.WAITING: "Waits for approval",
    Stand.DENIED: "Not approved",
    Stand.OPENING: "Opening",
    Stand.FAILING: "Failing",
    Stand.OPEN: "Open",
    Stand.PROVEN: "Open and proven",
    Stand.ALLOWED: "Allowed already",
    Stand.ENDED: "Ended",
    Stand.NO_OPENING: "Asks to close, not to open",
    Stand.DROPPED: "Left out",
}
TO_DO = frozenset(
    {Stand.UNREADABLE, Stand.WRONG, Stand.UNCLEAR, Stand.UNCONFIRMED, Stand.FORBIDDEN, Stand.CHOOSE, Stand.READY}
)
"""What its asker has to do something about before it is sent."""
HELD_UP = frozenset({Stand.UNREADABLE, Stand.WRONG, Stand.UNCLEAR, Stand.FORBIDDEN})
"""What confirming and choosing does not help: it has to say something else, or be left out."""
NEXT = {
    Stand.UNREADABLE: "Write below what it should say, or leave it out.",
    Stand.WRONG: "Have it say something else below, or leave it out.",
    Stand.UNCLEAR: "Say which one is meant, or write it otherwise below.",
    Stand.UNCONFIRMED: "Say that it is right, or have it say something else; then choose how it is opened.",
    Stand.FORBIDDEN: "Security can change what the zones say. Until then, leave it out.",
    Stand.CHOOSE: "Take one of the ways below.",
    Stand.READY: "It goes when the request is sent.",
    Stand.WAITING: "Its request says who decides.",
    Stand.DENIED: "Its request says who decided, and why.",
    Stand.NO_OPENING: "What must never be open is a guardrail; this line is not sent.",
}
"""What happens next, where that is not plain."""
MOVING = frozenset({Stand.WAITING, Stand.OPENING, Stand.FAILING, Stand.OPEN})
OPENED = frozenset({Stand.PROVEN, Stand.ALLOWED})


def stand_of(line: FirewallLine) -> Stand:
    asked = line.access_request
    if asked is not None:
        return _of_request(asked)
    if line.dropped:
        return Stand.DROPPED
    if line.action == "deny":
        return Stand.NO_OPENING
    if is_unreadable(line):
        return Stand.UNREADABLE
    return _of_meaning(line)


def is_unreadable(line: FirewallLine) -> bool:
    return not line.source and not line.destination


def text_of(line: FirewallLine) -> str:
    """What was written; where it could not be read, why stands below it."""
    return line.text.rpartition("\n")[0] if is_unreadable(line) else line.text


def why_unreadable(line: FirewallLine) -> str:
    return line.text.rpartition("\n")[2]


def _of_meaning(line: FirewallLine) -> Stand:
    meaning = line.meaning
    steps = (
        (bool(meaning.problem), Stand.WRONG),
        (meaning.subject_id is None or meaning.service_id is None, Stand.UNCLEAR),
        (bool(line.over), Stand.ENDED),
        (is_allowed(line), Stand.ALLOWED),
        (is_methodless(line), Stand.UNCLEAR),
        (meaning.confirmed_by_id is None, Stand.UNCONFIRMED),
        ((meaning.zone or {}).get("verdict") == Verdict.FORBIDDEN, Stand.FORBIDDEN),
        (line.design is None or line.design["kind"] == "replace", Stand.CHOOSE),
    )
    return next((stand for holds, stand in steps if holds), Stand.READY)


def asks_method(line: FirewallLine) -> bool:
    """Its path has several methods, it names none of them, and nobody said which is meant."""
    return bool(line.meaning.found.get("asks_method"))


def is_methodless(line: FirewallLine) -> bool:
    """And each of them changes something, so that there is none to take until somebody says so."""
    return asks_method(line) and not line.meaning.found.get("reading")


def opened_by(line: FirewallLine) -> list[str]:
    """The grants that were there already and by which a line was open when it was read or they were taken."""
    if line.access_request_id is not None:
        return []
    design = line.design or {}
    reused = design["beside"].replace(",", " ").split() if design.get("kind") == "reuse" else []
    return [*line.meaning.allowed_by, *(word for word in reused if word != "and")]


def is_allowed(line: FirewallLine) -> bool:
    """By grants, or because nothing guards it, or because its asker took what is open until then."""
    reused = (line.design or {}).get("kind") == "reuse"
    return bool(line.meaning.allowed_by or line.meaning.found.get("open") or reused)


def _of_request(asked: AccessRequest) -> Stand:
    if asked.state == "pending":
        return Stand.WAITING
    grant = getattr(asked, "grant", None)
    if grant is None:
        return Stand.DENIED
    return _of_grant(grant)


def _of_grant(grant: Grant) -> Stand:
    if grant.ended_at is not None:
        return Stand.ENDED
    doors = [door.state for door in grant.doors.all()]
    if "failing" in doors:
        return Stand.FAILING
    if doors and all(door == "proven" for door in doors):
        return Stand.PROVEN
    return Stand.OPEN if doors and all(door in ("open", "proven") for door in doors) else Stand.OPENING


@dataclass(frozen=True, slots=True)
class Overall:
    """Of a whole request. ``state`` is ``draft``, ``moving``, ``done`` or ``withdrawn``."""

    state: str
    sentence: str
    counts: tuple[tuple[Stand, int], ...]


def overall(request: FirewallRequest, stands: Sequence[Stand]) -> Overall:
    counts = Counter(stands)
    ordered = tuple((stand, counts[stand]) for stand in Stand if counts[stand])
    if request.withdrawn_at is not None:
        return Overall("withdrawn", "Withdrawn. What was sent before goes its own way.", ordered)
    todo, moving = _sum(counts, TO_DO), _sum(counts, MOVING)
    if todo:
        ready = counts[Stand.READY]
        return Overall("draft", _to_do(todo - ready, ready), ordered)
    if moving:
        return Overall("moving", f"{_lines(moving)} on the way; this page moves by itself.", ordered)
    opened, ended = _sum(counts, OPENED), counts[Stand.ENDED]
    rest = f"{_lines(ended)} ended; ask again for what is still needed." if ended else "Nothing is left to do here."
    return Overall("done", f"{_lines(opened)} of {len(stands)} open. {rest}", ordered)


def _to_do(waits: int, ready: int) -> str:
    """Nothing is sent as long as a line is not settled, so what is ready is never said to go before."""
    if not waits:
        return f"{_lines(ready)} can be sent."
    needs = "One line needs you" if waits == 1 else f"{_lines(waits)} need you"
    return f"{needs} first; {_lines(ready)} {'is' if ready == 1 else 'are'} ready to send." if ready else f"{needs}."


def _sum(counts: Counter[Stand], stands: Iterable[Stand]) -> int:
    return sum(counts[stand] for stand in stands)


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}"
