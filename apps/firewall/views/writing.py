"""Writing a firewall request: rows of a form, a pasted text, or both. Works without script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_http_methods

from apps.access.views.asking import DURATIONS
from apps.audit.errors import Refusal
from apps.compiler.paths import METHODS
from apps.firewall import selectors, services
from apps.firewall.lines import DIRECTION_WORDS
from apps.firewall.refusals import BadFirewallRequest
from apps.firewall.services.drafting import MOST_LINES, MOST_TEXT
from apps.firewall.terms import BadDirection, BadPorts, end_of, read_direction, read_ports
from apps.identity.pages import PageRequest, asked_text

FEW_ROWS, MORE_ROWS = 3, 3
COLUMNS = ("source", "destination", "direction", "method", "path", "ports", "protocol", "until", "reason")
USUAL = 30 * 86_400
DIRECTIONS = tuple(DIRECTION_WORDS.items())


@dataclass(slots=True)
class Row:
    """One row as it was typed; ``until`` is its last day, and ``error`` what is wrong with it."""

    number: int
    source: str = ""
    destination: str = ""
    direction: str = ""
    method: str = ""
    path: str = ""
    ports: str = ""
    protocol: str = ""
    until: str = ""
    reason: str = ""
    error: str = ""

    @property
    def is_empty(self) -> bool:
        """A direction alone says nothing: it is chosen, not written."""
        return not any(getattr(self, name) for name in COLUMNS if name != "direction")

    @property
    def label(self) -> str:
        return f"line {self.number + 1}"


@dataclass(slots=True)
class Form:
    """What was typed; nothing of it is lost."""

    rows: list[Row] = field(default_factory=list)
    title: str = ""
    reason: str = ""
    ticket: str = ""
    duration: str = str(USUAL)
    ends_on: str = ""
    pasted: str = ""


@require_GET
def firewall(request: PageRequest) -> HttpResponse:
    show_all = asked_text(request, "show") == "all"
    after = asked_text(request, "after")
    rows, more = selectors.list_firewall_requests(
        viewer=request.subject,
        mine=not show_all,
        after=int(after) if after.isascii() and after.isdigit() and len(after) < 19 else None,
    )
    return TemplateResponse(request, "firewall/firewall.html", {"rows": rows, "after": more, "show_all": show_all})


@require_http_methods(["GET", "POST"])
def firewall_new(request: PageRequest) -> HttpResponse:
    form = read_form(request.POST) if request.method == "POST" else Form(rows=[Row(n) for n in range(FEW_ROWS)])
    if request.method != "POST":
        return show_form(request, form, {})
    form.pasted = form.pasted or _uploaded(request)
    if "add" in request.POST:
        start = len(form.rows)
        form.rows += [Row(n) for n in range(start, min(start + MORE_ROWS, MOST_LINES))]
        return show_form(request, form, {})
    try:
        made = send(request, form)
    except Refusal as refusal:
        return show_form(request, form, refusal.fields or {"": [refusal.message]})
    if made is None:
        return show_form(request, form, {"lines": ["Some rows cannot be read; each says why."]})
    messages.success(request, "Kept. Look at how each line is understood; nothing is sent yet.")
    return redirect("firewall_request", made)


def read_form(given: QueryDict) -> Form:
    columns = {name: given.getlist(name)[:MOST_LINES] for name in COLUMNS}
    count = max([FEW_ROWS, *(len(values) for values in columns.values())])
    rows = [Row(n, **{name: _at(values, n)[:500] for name, values in columns.items()}) for n in range(count)]
    return Form(
        rows=rows,
        title=given.get("title", "")[:500],
        reason=given.get("head_reason", "")[:5000],
        ticket=given.get("ticket", "")[:500],
        duration=given.get("duration", ""),
        ends_on=given.get("ends_on", "")[:20],
        pasted=given.get("pasted", "")[: MOST_TEXT + 1],
    )


def _at(values: list[str], index: int) -> str:
    return values[index].strip() if index < len(values) else ""


def _uploaded(request: PageRequest) -> str:
    file = request.FILES.get("file")
    return file.read(MOST_TEXT + 1).decode("utf-8", "replace") if file is not None else ""


def send(request: PageRequest, form: Form) -> str | None:
    """None when a row cannot be read; every such row then says why."""
    lines = [written_of(row) for row in form.rows if not row.is_empty]
    if any(row.error for row in form.rows):
        return None
    ends_at = read_day(form.ends_on) if form.ends_on else None
    head = services.Head(
        title=form.title,
        reason=form.reason,
        ticket=form.ticket,
        duration=None if ends_at else _number(form.duration),
        ends_at=ends_at,
    )
    made = services.draft_request(actor=request.subject, head=head, lines=lines, pasted=form.pasted, at=timezone.now())
    return made.public_id


def written_of(row: Row) -> services.Written:
    ports: list[list[int]] = []
    direction, until = "", None
    try:
        ports, direction = read_ports(row.ports), read_direction(row.direction)
        until = read_day(row.until) if row.until else None
    except (BadPorts, BadDirection, BadFirewallRequest) as error:
        row.error = str(error)
    if not row.source or not row.destination:
        row.error = "Write both who calls and what is called."
    return services.Written(
        source=row.source,
        destination=row.destination,
        direction=direction,
        method=row.method,
        path=row.path,
        ports=tuple((low, high) for low, high in ports),
        protocol=row.protocol,
        reason=row.reason,
        until=until,
    )


def read_day(text: str) -> datetime:
    """The end of that day in UTC; raises BadFirewallRequest for what is no day."""
    try:
        day = parse_date(text.strip())
    except ValueError:
        day = None
    found = None if day is None else end_of(day)
    if found is None:
        complaint = "Write the day as 2026-03-31."
        raise BadFirewallRequest(complaint, fields={"ends_at": [complaint]})
    return found


def last_day(until: datetime | None) -> str:
    """The day whose end in UTC this is, as a field of a form holds it."""
    return "" if until is None else (until.astimezone(UTC) - timedelta(microseconds=1)).date().isoformat()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def show_form(request: PageRequest, form: Form, errors: Mapping[str, list[str]]) -> HttpResponse:
    known = ("title", "reason", "ticket", "duration", "ends_at", "lines", "pasted")
    context = {
        "form": form,
        "errors": errors,
        "whole": [one for name, many in errors.items() if name not in known for one in many],
        "durations": DURATIONS,
        "methods": METHODS,
        "directions": DIRECTIONS,
    }
    return TemplateResponse(request, "firewall/new.html", context, status=422 if errors else 200)
