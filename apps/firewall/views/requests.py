"""One firewall request and its lines: how each is understood, how it could be opened, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access.services import NewParty
from apps.audit.errors import NotFound, Refusal
from apps.compiler.paths import METHODS
from apps.compiler.words import listed
from apps.firewall import policies, selectors, services
from apps.firewall.lines import DIRECTION_WORDS, ports_words
from apps.firewall.rulebase.reading import FORMAT_WORDS
from apps.firewall.standing import (
    HELD_UP,
    LABELS,
    MOVING,
    NEXT,
    OPENED,
    TO_DO,
    Stand,
    asks_method,
    is_allowed,
    is_methodless,
    is_unreadable,
    opened_by,
    overall,
    stand_of,
    text_of,
    why_unreadable,
)
from apps.firewall.views.writing import COLUMNS, DIRECTIONS, Row, last_day, written_of
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest

if TYPE_CHECKING:
    from apps.firewall.models import FirewallLine, FirewallRequest

STATES = {
    Stand.UNREADABLE: "failed",
    Stand.WRONG: "failed",
    Stand.UNCLEAR: "waiting",
    Stand.UNCONFIRMED: "waiting",
    Stand.FORBIDDEN: "denied",
    Stand.CHOOSE: "waiting",
    Stand.READY: "tried",
    Stand.WAITING: "pending",
    Stand.DENIED: "denied",
    Stand.OPENING: "opening",
    Stand.FAILING: "failed",
    Stand.OPEN: "active",
    Stand.PROVEN: "proven",
    Stand.ALLOWED: "done",
    Stand.ENDED: "expired",
    Stand.NO_OPENING: "noted",
    Stand.DROPPED: "cancelled",
}
"""How each is drawn: the console's state of the same look, under a word of our own."""
SOON, LATER = 5, 20
READ_AS = {form.value: words for form, words in FORMAT_WORDS.items()}


@dataclass(frozen=True, slots=True)
class Shown:
    """A line as its list shows it. ``doors`` are the states of its doors, empty where nothing was opened."""

    line: FirewallLine
    stand: Stand
    routes: tuple[str, ...]

    @property
    def label(self) -> str:
        return LABELS[self.stand]

    @property
    def drawn(self) -> str:
        return STATES[self.stand]

    @property
    def written(self) -> str:
        return text_of(self.line)

    @property
    def percent(self) -> int:
        return round(self.line.meaning.confidence * 100)

    @property
    def ports(self) -> str:
        return ports_words(tuple((low, high) for low, high in self.line.ports)) if self.line.ports else ""

    @property
    def direction(self) -> str:
        return DIRECTION_WORDS.get(self.line.direction, "")

    @property
    def doors(self) -> dict[str, str]:
        grant = getattr(self.line.access_request, "grant", None)
        return {door.point: door.state for door in grant.doors.all()} if grant is not None else {}

    @property
    def open_until(self) -> datetime | None:
        """The page may be looked at longer than it is open."""
        grant = getattr(self.line.access_request, "grant", None)
        return grant.ends_at if grant is not None and grant.ended_at is None else None

    @property
    def says(self) -> str:
        """What there is to read about it, the most pressing first."""
        meaning = self.line.meaning
        if is_unreadable(self.line):
            return why_unreadable(self.line)
        if self.line.over:
            return f"It was open by {listed(opened_by(self.line))}, and {listed(self.line.over)} ended. Look again."
        if self.stand is Stand.ALLOWED:
            by = ", ".join(meaning.allowed_by) or str((self.line.design or {}).get("beside", ""))
            return f"By {by}." if by else str(meaning.found.get("open", ""))
        said = self.line.refusal or meaning.problem or self.asked_method
        return said or str((self.line.design or {}).get("others", ""))

    @property
    def asked_method(self) -> str:
        """What is asked about a path without its method."""
        if not asks_method(self.line):
            return ""
        readings = [one["label"] for one in self.line.meaning.found["method"]]
        if is_methodless(self.line):
            return f"It names no method, and each of {listed(readings[:-1])} changes something: say which is meant."
        return f"It names no method and is read as {readings[0]}, not {listed(readings[1:-1])}."


@require_GET
def firewall_request(request: PageRequest, public_id: str) -> HttpResponse:
    asked = selectors.get_firewall_request(viewer=request.subject, public_id=public_id)
    return TemplateResponse(request, "firewall/request.html", context_of(asked, request))


def context_of(asked: FirewallRequest, request: PageRequest) -> dict[str, object]:
    lines = list(asked.lines.all())
    shown = [_shown(line) for line in lines]
    stands = [one.stand for one in shown]
    mine = policies.is_asker(request.subject, asked)
    may_change = mine and asked.withdrawn_at is None
    held_up = sum(stand in HELD_UP for stand in stands)
    unsettled = any(stand in TO_DO and stand is not Stand.READY for stand in stands)
    return {
        "asked": asked,
        "read_as": READ_AS.get(asked.format, asked.format),
        "lines": shown,
        "overall": overall(asked, stands),
        "counts": [(LABELS[stand], STATES[stand], count) for stand, count in overall(asked, stands).counts],
        "beat": _beat(stands),
        "may_change": may_change,
        "may_confirm": may_change and Stand.UNCONFIRMED in stands,
        "may_take": may_change and Stand.CHOOSE in stands,
        "may_send": Stand.READY in stands and not unsettled and asked.withdrawn_at is None,
        "waits_to_send": Stand.READY in stands and unsettled,
        "held_up": held_up if may_change else 0,
    }


def _beat(stands: Collection[Stand]) -> int:
    """In how many seconds to look again; 0 when nothing moves any more. What is open moves when it ends."""
    if any(stand in MOVING for stand in stands):
        return SOON
    return LATER if any(stand in OPENED for stand in stands) else 0


def _shown(line: FirewallLine) -> Shown:
    keys = tuple((line.design or {}).get("routes", ())) or tuple(line.meaning.routes)
    return Shown(line, stand_of(line), keys)


ACTS: Mapping[str, Callable[..., Any]] = {
    "confirm": services.confirm,
    "narrowest": services.take_narrowest,
    "leave": services.drop_held_up,
    "send": services.submit,
    "again": services.look_again,
    "withdraw": services.withdraw,
}


@require_POST
def firewall_act(request: PageRequest, public_id: str) -> HttpResponse:
    """What is done to a request as a whole."""
    act = ACTS.get(request.POST.get("act", ""))
    if act is None:
        return redirect("firewall_request", public_id)
    try:
        done = act(public_id=public_id, actor=request.subject, at=timezone.now())
    except NotFound:
        raise
    except Refusal as refusal:
        _tell_refusal(request, refusal)
    else:
        _tell(request, done, "left out" if act is services.drop_held_up else "confirmed")
    return redirect("firewall_request", public_id)


def _tell_refusal(request: PageRequest, refusal: Refusal) -> None:
    """All of it at once: one message for each line."""
    messages.error(request, refusal.message)
    for name, complaints in list(refusal.fields.items())[:20]:
        messages.error(request, f"{name.replace('_', ' ').capitalize()}: {' '.join(complaints)}")


def _tell(request: PageRequest, done: object, verb: str) -> None:
    if isinstance(done, services.Sent):
        if done.opened:
            messages.success(request, f"Sent as {_counted(len(done.opened), 'request')}. This page moves by itself.")
        for number, why in list(done.left.items())[:20]:
            messages.warning(request, f"Line {number}: {why}")
    elif isinstance(done, dict):
        for number, why in list(done.items())[:20]:
            messages.warning(request, f"Line {number}: {why}")
    elif isinstance(done, int):
        messages.success(request, f"{_counted(done, 'line')} {verb}.")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


@require_http_methods(["GET", "POST"])
def firewall_line(request: PageRequest, public_id: str, number: int) -> HttpResponse:
    """How one line is understood, and everything that can be said about that."""
    row, errors = None, {}
    if request.method == "POST":
        row = _typed(request, number)
        try:
            _change(request, public_id, number, row)
        except NotFound:
            raise
        except Refusal as refusal:
            errors = refusal.fields or {"": [refusal.message]}
        else:
            if not row.error:
                return redirect("firewall_line", public_id, number)
            errors = {"": [row.error]}
    asked = selectors.get_firewall_request(viewer=request.subject, public_id=public_id)
    line = selectors.get_line(asked, number)
    context = line_context(request, asked, line) | {"row": row or _row_of(line), "errors": errors}
    context["whole"] = [one for many in errors.values() for one in many]
    return TemplateResponse(request, "firewall/line.html", context, status=422 if errors else 200)


def line_context(request: PageRequest, asked: FirewallRequest, line: FirewallLine) -> dict[str, object]:
    may = policies.is_asker(request.subject, asked) and not policies.is_settled(line)
    stand = stand_of(line)
    return {
        "asked": asked,
        "line": line,
        "shown": _shown(line),
        "may_change": may,
        "may_take": may and stand in (Stand.CHOOSE, Stand.READY, Stand.ALLOWED),
        "may_open": stand not in HELD_UP,
        "next": NEXT.get(stand, "") if may or stand in (Stand.WAITING, Stand.DENIED) else "",
        "clear": line.meaning.subject_id is not None and line.meaning.service_id is not None,
        "is_allowed": is_allowed(line),
        "may_confirm": may and stand is Stand.UNCONFIRMED,
        "methods": METHODS,
        "directions": DIRECTIONS,
        "teams": identity.teams_of(request.subject) if may and line.meaning.blocks and stand is not Stand.WRONG else [],
    }


def _typed(request: PageRequest, number: int) -> Row:
    given = request.POST
    return Row(number - 1, **{name: given.get(name, "").strip()[:500] for name in COLUMNS})


def _row_of(line: FirewallLine) -> Row:
    return Row(
        line.number - 1,
        source=line.source,
        destination=line.destination,
        direction=line.direction if line.direction in DIRECTION_WORDS else "",
        method=line.method,
        path=line.path,
        ports=ports_words(tuple((low, high) for low, high in line.ports)) if line.ports else "",
        protocol=line.protocol,
        until=last_day(line.until),
        reason=" ".join(line.reason.split()),
    )


def _change(request: PageRequest, public_id: str, number: int, row: Row) -> None:
    """One of the forms of the page; ``row`` is what was typed into the one that edits."""
    given, at = request.POST, timezone.now()
    where: dict[str, Any] = {"public_id": public_id, "number": number, "actor": request.subject, "at": at}
    act = given.get("act", "")
    if act == "choose":
        services.choose(side=given.get("side", ""), key=given.get("key", ""), **where)
    elif act == "confirm":
        services.confirm(public_id=public_id, numbers=[number], actor=request.subject, at=at)
    elif act in ("drop", "restore"):
        services.drop(dropped=act == "drop", **where)
    elif act == "take":
        services.take(proposal=given.get("proposal", ""), **where)
    elif act == "party":
        facts = {name: given.get(f"party_{name}", "")[:400] for name in ("name", "contact", "purpose", "team")}
        services.name_party(party=NewParty(**facts), **where)
    else:
        written = written_of(row)
        if not row.error:
            services.edit_line(written=written, **where)


@require_GET
def firewall_ways(request: PageRequest, public_id: str, number: int) -> HttpResponse:
    """What stands on the way of one line, and how it could be opened: fetched by its page, or opened by itself."""
    line = selectors.get_seen_line(viewer=request.subject, public_id=public_id, number=number)
    ways = selectors.get_ways(line=line, viewer=request.subject, at=timezone.now())
    context = line_context(request, line.request, line) | {"ways": ways}
    return TemplateResponse(request, "firewall/ways.html", context)
