"""Changing one line of a request that is not sent yet: what it says, what it means, whether that is right."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.firewall import methods, policies, refusals
from apps.firewall.models import FirewallLine, FirewallRequest, LineMeaning
from apps.firewall.services.drafting import Written, row_of
from apps.firewall.services.storing import described, line_of, lines_of, locked_request, record, reread
from apps.firewall.standing import HELD_UP, asks_method, is_methodless, stand_of, text_of

if TYPE_CHECKING:
    from apps.identity.models import Subject

SIDES = ("source", "destination", methods.SIDE)


def edit_line(*, public_id: str, number: int, written: Written, actor: Subject, at: datetime) -> FirewallLine:
    """Have a line say something else. What was chosen and confirmed about it is forgotten."""
    with transaction.atomic():
        request, line = held_line(public_id, number, actor)
        before = described(line)
        told = row_of(request, number, replace(written, text=text_of(line)))
        told.pk = line.pk
        told.save()
        LineMeaning.objects.filter(line=told).delete()
        reread(request, [line_of(request, number)], at=at)
        record("line_changed", request, actor=actor.actor, at=at, before=before, after=described(told))
    return told


def choose(*, public_id: str, number: int, side: str, key: str, actor: Subject, at: datetime) -> None:
    """Say which of the candidates of one side is meant. Whoever chooses confirms what they chose."""
    with transaction.atomic():
        request, line = held_line(public_id, number, actor)
        meaning = line.meaning
        if side not in SIDES or all(one["key"] != key for one in meaning.found.get(side, [])):
            raise refusals.UnknownChoice
        meaning.found = {**meaning.found, "chosen": {**meaning.found.get("chosen", {}), side: key}}
        reread(request, [_undesigned(line)], at=at)
        told = line_of(request, number)
        if is_clear(told) and not asks_method(told):
            LineMeaning.objects.filter(line=line).update(confirmed_by=actor, confirmed_at=at)
        record("line_chosen", request, actor=actor.actor, at=at, after={"line": number, side: key})


def confirm(*, public_id: str, numbers: Collection[int] = (), actor: Subject, at: datetime) -> int:
    """Say that lines are understood rightly; without numbers, all that are clear. Returns how many that were."""
    with transaction.atomic():
        request = locked_request(public_id, actor)
        policies.require_asker(actor, request)
        wanted = [line for line in lines_of(request) if not numbers or line.number in numbers]
        clear = [line.meaning for line in wanted if is_clear(line) and line.meaning.confirmed_by_id is None]
        for meaning in clear:
            meaning.confirmed_by, meaning.confirmed_at = actor, at
            if meaning.found.get("reading"):
                chosen = {**meaning.found.get("chosen", {}), methods.SIDE: meaning.found["reading"]}
                meaning.found = {**meaning.found, "chosen": chosen, "asks_method": False}
        LineMeaning.objects.bulk_update(clear, ["found", "confirmed_by", "confirmed_at"])
        if clear:
            told = {"lines": [line.number for line in wanted if line.meaning in clear]}
            record("confirmed", request, actor=actor.actor, at=at, after=told)
    return len(clear)


def is_clear(line: FirewallLine) -> bool:
    """Both sides are known, and so is its method where its path has several; and nothing is wrong with it."""
    meaning = line.meaning
    known = meaning.subject_id and meaning.service_id and not is_methodless(line)
    return bool(known and not meaning.problem and not line.dropped)


def drop(*, public_id: str, number: int, dropped: bool, actor: Subject, at: datetime) -> None:
    """Leave a line out, or take it in again. It stays where it was written."""
    with transaction.atomic():
        request, line = held_line(public_id, number, actor)
        if line.dropped != dropped:
            line.dropped = dropped
            line.save(update_fields=["dropped"])
            verb = "line_dropped" if dropped else "line_restored"
            record(verb, request, actor=actor.actor, at=at, after={"line": number})


def drop_held_up(*, public_id: str, actor: Subject, at: datetime) -> int:
    """Leave out every line that cannot be opened as it stands, so that the rest can be sent. Returns how many."""
    with transaction.atomic():
        request = locked_request(public_id, actor)
        policies.require_asker(actor, request)
        rows = [line for line in lines_of(request) if stand_of(line) in HELD_UP and not policies.is_settled(line)]
        for line in rows:
            line.dropped = True
        FirewallLine.objects.bulk_update(rows, ["dropped"])
        if rows:
            told = {"lines": [line.number for line in rows]}
            record("lines_dropped", request, actor=actor.actor, at=at, after=told)
    return len(rows)


def look_again(*, public_id: str, actor: Subject, at: datetime) -> FirewallRequest:
    """Find out anew what the lines that are not sent mean: the catalogue or the grants may have changed."""
    with transaction.atomic():
        request = locked_request(public_id, actor)
        policies.require_asker(actor, request)
        reread(request, [line for line in lines_of(request) if not policies.is_settled(line)], at=at)
    return request


def withdraw(*, public_id: str, actor: Subject, at: datetime) -> FirewallRequest:
    """What is not sent yet will not be. What is sent goes its own way: each request is withdrawn on its own page."""
    with transaction.atomic():
        request = locked_request(public_id, actor)
        policies.require_asker(actor, request)
        if request.withdrawn_at is None:
            request.withdrawn_at = at
            request.save(update_fields=["withdrawn_at"])
            record("withdrawn", request, actor=actor.actor, at=at)
    return request


def held_line(public_id: str, number: int, actor: Subject) -> tuple[FirewallRequest, FirewallLine]:
    """A line its asker may still change. Only one change of a request happens at a time."""
    request = locked_request(public_id, actor)
    policies.require_asker(actor, request)
    line = line_of(request, number)
    policies.require_unsettled(line)
    return request, line


def _undesigned(line: FirewallLine) -> FirewallLine:
    if line.design is not None:
        line.design = None
        line.save(update_fields=["design"])
    return line
