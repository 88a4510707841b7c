"""Writing a firewall request: the lines as they come, read at once, each with what is wrong with it; none is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.access.asks import LONGEST, REASON_LENGTH, SHORTEST, TICKET_LENGTH
from apps.access.policies import require_active
from apps.catalog import selectors as catalog
from apps.firewall import refusals
from apps.firewall.ids import new_firewall_id
from apps.firewall.lines import Line
from apps.firewall.models import FirewallLine, FirewallRequest, Origin
from apps.firewall.rulebase.documents import read_json
from apps.firewall.rulebase.exceptions import denied_before
from apps.firewall.rulebase.parse import Format, parse, recognise
from apps.firewall.rulebase.reading import Bad, Note
from apps.firewall.services.storing import described, lines_of, record, reread
from apps.firewall.terms import end_of, read_call

if TYPE_CHECKING:
    from apps.identity.models import Subject

MOST_LINES = 200
"""More is a rule base, and is moved, not asked for."""
MOST_TEXT = 200_000
MOST_ASIDE = 200
BY_LINE = frozenset({Format.TABLE, Format.TICKET, Format.IPTABLES})
"""Formats whose problems are numbered by the line of the text; in the others by the rule, which the sentence names."""
NOTHING_KNOWN = (
    "None of it could be read. A table needs a first row that names its columns, such as source, destination, port; "
    "a sentence names both ends, such as: open tcp 443 from checkout to payments."
)
_LENGTHS = {"source": 500, "destination": 500, "protocol": 20, "direction": 10, "method": 10, "path": 500}


@dataclass(frozen=True, slots=True)
class Written:
    """One line as it came. ``ports`` are inclusive pairs; ``problem`` is why it could not be read at all."""

    source: str = ""
    destination: str = ""
    protocol: str = ""
    ports: tuple[tuple[int, int], ...] = ()
    direction: str = ""
    action: str = "allow"
    method: str = ""
    path: str = ""
    reason: str = ""
    until: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """What is said of all lines together. Either ``duration`` in seconds or ``ends_at``."""

    title: str
    reason: str
    ticket: str = ""
    duration: int | None = None
    ends_at: datetime | None = None
    environment: str | None = None


def draft_request(
    *,
    actor: Subject,
    head: Head,
    lines: Sequence[Written] = (),
    pasted: str = "",
    origin: str = Origin.WEB,
    at: datetime,
) -> FirewallRequest:
    """Keep a request with the lines of a form, those of a pasted text, or both, and find out what they mean.

    Nothing is asked for yet. Raises BadFirewallRequest when something of the head is missing, there is no line, or
    nothing of the pasted text can be read.
    """
    require_active(actor)
    clean = _read_head(head, at)
    pasted = pasted.replace("\x00", "")
    read = read_pasted(pasted, today=at.date())
    every = [*lines, *read.lines]
    if not every:
        raise refusals.BadFirewallRequest(fields={"lines": ["Write at least one line, or paste some."]})
    if len(every) > MOST_LINES:
        complaint = f"These are {len(every)} lines; at most {MOST_LINES} can be asked for at once."
        raise refusals.BadFirewallRequest(complaint, fields={"lines": [complaint]})
    with transaction.atomic():
        request = FirewallRequest.objects.create(
            public_id=new_firewall_id(),
            asker=actor,
            environment=catalog.get_environment(clean.environment),
            title=clean.title,
            reason=clean.reason,
            ticket=clean.ticket,
            duration=clean.duration,
            ends_at=clean.ends_at,
            origin=Origin(origin),
            pasted=pasted,
            format=read.format,
            aside=read.aside,
            created_at=at,
        )
        FirewallLine.objects.bulk_create([row_of(request, number, one) for number, one in enumerate(every, start=1)])
        rows = lines_of(request)
        reread(request, rows, at=at)
        after = {"reason": request.reason, "ticket": request.ticket, "lines": [described(row) for row in rows]}
        record("written", request, actor=actor.actor, at=at, after=after)
    return request


def row_of(request: FirewallRequest, number: int, one: Written) -> FirewallLine:
    """Not saved. What is too long for its column is kept whole in the line's text."""
    facts = {name: getattr(one, name)[:length].replace("\x00", "") for name, length in _LENGTHS.items()}
    return FirewallLine(
        request=request,
        number=number,
        text=one.text.replace("\x00", "")[:4000],
        ports=[list(pair) for pair in one.ports],
        action=one.action[:10],
        reason=one.reason.replace("\x00", "")[:REASON_LENGTH],
        until=one.until,
        **facts,
    )


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a text was read as and into. ``aside`` are pairs of where and why: what was read and asks for nothing."""

    lines: tuple[Written, ...] = ()
    format: str = ""
    aside: tuple[tuple[int, str], ...] = ()


def read_pasted(text: str, *, today: date) -> Pasted:
    """What could not be read becomes a line that only has its text, and why. Raises BadFirewallRequest where that is
    all of it, because then it was written otherwise than it is read.

    A day without its year is the next one from ``today`` on.
    """
    if not text.strip():
        return Pasted()
    if len(text) > MOST_TEXT:
        raise _unreadable(f"That is more than {MOST_TEXT // 1000} thousand characters; paste a part of it.")
    known = recognise(text)
    parsed = parse(text, known or Format.TICKET, today)
    if not parsed.lines and all(not one.number for one in parsed.problems):
        raise _unreadable(" ".join(one.sentence for one in parsed.problems) if known else _why_unknown(text))
    form = known or Format.TICKET
    rows = text.split("\n") if form in BY_LINE else []
    wrong: dict[int, list[str]] = {}
    for one in parsed.problems:
        wrong.setdefault(one.number, []).append(one.sentence)
    good = [(line.number, _written(line)) for line in parsed.lines]
    bad = [(number, Written(text=_quoted(rows, number, " ".join(said)))) for number, said in wrong.items()]
    lines = [one for _, one in sorted([*good, *bad], key=lambda pair: pair[0])]
    told = [*(Note(*one) for one in denied_before(parsed.lines[: MOST_LINES + 1])), *parsed.notes]
    aside = tuple((note.number, note.sentence) for note in told[:MOST_ASIDE])
    return Pasted(tuple(lines), form.value, aside)


def _unreadable(complaint: str) -> refusals.BadFirewallRequest:
    return refusals.BadFirewallRequest(complaint, fields={"pasted": [complaint]})


def _why_unknown(text: str) -> str:
    if text.lstrip()[:1] not in ("{", "["):
        return NOTHING_KNOWN
    try:
        read_json(text)
    except Bad as error:
        return str(error)
    return "This JSON holds no AWS security groups, no NetworkPolicy and no Akamai list."


def _quoted(rows: Sequence[str], number: int, sentence: str) -> str:
    there = rows[number - 1].strip() if 0 < number <= len(rows) else ""
    return f"{there}\n{sentence}" if there else sentence


def _written(line: Line) -> Written:
    method, path = read_call(line.text)
    return Written(
        source=line.source,
        destination=line.destination,
        protocol="" if line.protocol == "any" else line.protocol,
        ports=line.ports,
        direction=line.direction.value,
        action=line.action.value,
        method=method,
        path=path,
        reason=" ".join([line.reason, *(f"Only if {one}." for one in line.conditions)]).strip(),
        until=None if line.until is None else end_of(line.until),
        text=line.text,
    )


def _read_head(head: Head, at: datetime) -> Head:
    fields: dict[str, list[str]] = {}
    title, reason, ticket = (_text(part) for part in (head.title, head.reason, head.ticket))
    if not 0 < len(title) <= 200:
        fields["title"] = ["Give it a name, of at most 200 characters."]
    if not 0 < len(reason) <= REASON_LENGTH:
        fields["reason"] = [f"Say why, in at most {REASON_LENGTH} characters."]
    if len(ticket) > TICKET_LENGTH:
        fields["ticket"] = [f"At most {TICKET_LENGTH} characters, please."]
    if (head.duration is None) == (head.ends_at is None):
        fields["duration"] = ["Say for how long, or until when; not both."]
    elif not SHORTEST <= _seconds(head, at) <= LONGEST:
        fields["ends_at" if head.ends_at else "duration"] = ["Choose between one minute and a year."]
    if fields:
        raise refusals.BadFirewallRequest(fields=fields)
    return Head(title, reason, ticket, head.duration, head.ends_at, head.environment)


def _seconds(head: Head, at: datetime) -> float:
    return (head.ends_at - at).total_seconds() if head.ends_at is not None else float(head.duration or 0)


def _text(text: str) -> str:
    return "".join(char for char in text.strip() if ord(char) >= 32 or char in "\t\n\r")
