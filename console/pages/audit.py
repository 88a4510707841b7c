"""The record: what was done, by whom, with before and after; and the proof that nobody rewrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_POST

from apps.audit import selectors, services, verification
from apps.audit.errors import NotFound
from apps.audit.export import export_csv, export_ndjson
from apps.audit.selectors import EventFilter
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text, require_role
from console.links import link_of
from console.words import Who, action_words, who_of

if TYPE_CHECKING:
    from apps.audit.models import Event

EXPORTS = {"csv": (export_csv, "text/csv"), "ndjson": (export_ndjson, "application/x-ndjson")}
FILTERS = ("actor", "action", "target", "since", "until")
READERS = ("auditor", "security", "operator", "administrator")
ACTIONS = {
    "access.request": "Requests",
    "access.grant": "Access",
    "firewall": "Firewall",
    "rollout": "Rollout",
    "identity": "People and sign-in",
    "catalog": "Catalogue",
    "trust": "Keys and certificates",
}


@dataclass(frozen=True, slots=True)
class Row:
    """An event with what a page shows of it."""

    event: Event
    who: Who
    words: str
    link: str


@dataclass(frozen=True, slots=True)
class Value:
    """One field before and after."""

    name: str
    before: object
    after: object
    changed: bool


@require_GET
def audit(request: PageRequest) -> HttpResponse:
    """People without a reading role see what they did themselves."""
    reads_all = identity.has_role(request.subject, *READERS)
    filters, wrong = read_filters(request)
    asked = {name: asked_text(request, name) for name in FILTERS}
    page = selectors.list_events(filters=narrowed(filters, request, reads_all), before_seq=asked_seq(request))
    context = {
        "rows": [row_of(event) for event in page.events],
        "older": page.next_before,
        "reads_all": reads_all,
        "actions": ACTIONS,
        "wrong": wrong,
        "bad": asked_text(request, "bad"),
        "filters": asked,
        "is_filtered": any(asked.values()),
        "export_query": urlencode({name: value for name, value in request.GET.items() if name != "before"}),
    }
    return TemplateResponse(request, "audit/audit.html", context)


def read_filters(request: PageRequest) -> tuple[EventFilter, str]:
    """What the address asks for, and a complaint about what of it cannot be read."""
    target_type, _, target_id = asked_text(request, "target").partition(":")
    since, until = asked_day(request, "since"), asked_day(request, "until")
    filters = EventFilter(
        actor=asked_text(request, "actor"),
        action=asked_text(request, "action"),
        target_type=target_type,
        target_id=target_id,
        since=since,
        until=until + timedelta(days=1) if until else None,
    )
    unread = any(asked_text(request, name) and day is None for name, day in (("since", since), ("until", until)))
    return filters, "Write dates as 2026-11-23." if unread else ""


def asked_day(request: PageRequest, name: str) -> datetime | None:
    """A day's beginning (UTC); None when there is none that can be read."""
    try:
        day = parse_date(asked_text(request, name))
    except ValueError:
        day = None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day and day.year < 9999 else None


def narrowed(filters: EventFilter, request: PageRequest, reads_all: bool) -> EventFilter:
    return filters if reads_all else replace(filters, actor=request.subject.key)


def asked_seq(request: PageRequest) -> int | None:
    text = asked_text(request, "before")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def row_of(event: Event) -> Row:
    known = who_of(event.actor_id)
    who = Who(known.kind, event.actor_name) if known else Who("system", event.actor_name)
    return Row(event, who, action_words(event.action), link_of(event.target_type, event.target_id))


@require_GET
def event(request: PageRequest, seq: int) -> HttpResponse:
    found = selectors.get_event(seq) if seq < 2**63 else None
    if found is None or not may_read(request, found):
        raise NotFound
    row = row_of(found)
    return TemplateResponse(request, "audit/event.html", {"row": row, "values": list(values_of(found))})


def may_read(request: PageRequest, found: Event) -> bool:
    return found.actor_id == request.subject.key or identity.has_role(request.subject, *READERS)


def values_of(event: Event) -> Iterator[Value]:
    before, after = event.before or {}, event.after or {}
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        yield Value(name, was, now, was != now)


@require_POST
def verify(request: PageRequest) -> HttpResponse:
    require_role(request, *READERS)
    result = verification.verify()
    if result.ok:
        messages.success(request, f"{result.why} Each vouches for the one before it.")
        return redirect("audit")
    messages.error(request, result.why)
    return redirect(f"{reverse('audit')}?bad={result.first_bad_seq}")


@require_POST
def tamper(request: PageRequest) -> HttpResponse:
    """Do what an intruder would, so that one can see the check find it. In the demo only."""
    if not settings.SALLYPORT_DEMO:
        raise Http404
    require_role(request, *READERS)
    if request.POST.get("mend"):
        mended = services.mend_for_demo()
        messages.success(request, f"Mended {mended} row{'' if mended == 1 else 's'}.")
    else:
        seq = services.tamper_for_demo()
        messages.warning(request, f"Row {seq} was changed behind the record's back. Verify, and see it found.")
    return redirect("audit")


@require_GET
def export(request: PageRequest, form: str) -> StreamingHttpResponse:
    reads_all = identity.has_role(request.subject, *READERS)
    filters = narrowed(read_filters(request)[0], request, reads_all)
    if form not in EXPORTS:
        raise NotFound
    write, kind = EXPORTS[form]
    name = f'attachment; filename="sallyport-audit.{form}"'
    return StreamingHttpResponse(
        write(filters), content_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": name}
    )
