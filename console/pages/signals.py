"""What other systems told us about people who leave, and how long it took until both doors were closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.access.selectors import Ending
from apps.identity import selectors, senders, ways
from apps.identity.models import SignalOutcome
from apps.identity.nearby import read_once
from apps.identity.pages import PageRequest, asked_text, require_role

if TYPE_CHECKING:
    from apps.identity.models import ReceivedSignal

READERS = ("administrator", "security", "auditor")
SHOWN = 30
MOST_SENDERS = 10
"""On this page; each can also be reached from its provider's."""


@dataclass(frozen=True, slots=True)
class Row:
    """A signal, and what became of the access of whoever left by it. ``seconds`` is None until every door is closed."""

    signal: ReceivedSignal
    ended: int
    closed: bool
    seconds: float | None


@require_GET
def signals(request: PageRequest) -> HttpResponse:
    read_once(request.subject)
    require_role(request, *READERS)
    before = asked_text(request, "before")
    found = list(senders.list_signals(before=int(before) if before.isdecimal() and len(before) < 18 else None))
    shown = found[:SHOWN]
    sets_up = selectors.has_role(request.subject, "administrator")
    context = {
        "rows": rows_of(shown),
        "older": shown[-1].pk if len(found) > SHOWN else None,
        "senders": ways.list_senders(at=timezone.now(), most=MOST_SENDERS),
        "sets_up": sets_up,
    }
    return TemplateResponse(request, "identity/signals.html", context)


def rows_of(shown: Sequence[ReceivedSignal]) -> list[Row]:
    """Newest first. Access that a suspension ended belongs to the latest word by which its holder had left."""
    left = [one for one in shown if one.outcome == SignalOutcome.LEFT and one.subject is not None]
    keys = {one.subject.key for one in left if one.subject is not None}
    endings = (
        access.list_endings_by_suspension(subject_keys=keys, since=min(one.received_at for one in left)) if left else []
    )
    given: dict[int, list[Ending]] = {}
    for ending in endings:
        for one in left:
            if one.subject is not None and one.subject.key in ending.holders and one.received_at <= ending.ended_at:
                given.setdefault(one.pk, []).append(ending)
                break
    return [_row(one, given.get(one.pk, [])) for one in shown]


def _row(signal: ReceivedSignal, endings: Sequence[Ending]) -> Row:
    closed = [ending.closed_at for ending in endings if ending.closed_at is not None]
    done = bool(endings) and len(closed) == len(endings)
    return Row(signal, len(endings), done, _since(signal.received_at, max(closed)) if done else None)


def _since(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds(), 1)
