"""Taking a proposal for a line, and sending: every line that can be becomes an ordinary request, or a part of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.access import selectors as access
from apps.access import services as access_services
from apps.access.asks import REASON_LENGTH
from apps.access.refusals import NotYourSubject
from apps.audit.errors import Refusal
from apps.compiler.graph import SubjectKind
from apps.firewall import asking, policies, refusals
from apps.firewall.designing import FOLLOW, NEW, REPLACE, REUSE, WIDEN, Proposal
from apps.firewall.models import FirewallLine, FirewallRequest
from apps.firewall.selectors.ways import list_proposals
from apps.firewall.services.storing import line_of, lines_of, locked_request, record, reread
from apps.firewall.standing import LABELS, Stand, stand_of, why_unreadable

if TYPE_CHECKING:
    from apps.identity.models import Subject

SHORTEST = 60
NARROWEST = "narrowest"
"""Stands for the first proposal that opens something, unless that is all of the service."""
NOTHING_NARROW = "It names no route, and nothing says which it needs. Open the line; name one, or choose all."


@dataclass(slots=True)
class Sent:
    """``opened`` are the ids of requests; ``left`` says of each line that could not be sent why, by its number."""

    opened: list[str] = field(default_factory=list)
    left: dict[int, str] = field(default_factory=dict)


def take(*, public_id: str, number: int, proposal: str, actor: Subject, at: datetime) -> FirewallLine:
    """Have a line opened in one of the ways that are proposed, by its id or NARROWEST.

    Raises UnknownChoice when it is no longer proposed, and what the ordinary request would be refused for.
    """
    with transaction.atomic():
        request = locked_request(public_id, actor)
        policies.require_asker(actor, request)
        line = line_of(request, number)
        policies.require_unsettled(line)
        if stand_of(line) not in (Stand.CHOOSE, Stand.READY, Stand.ALLOWED):
            raise refusals.LinesNotReady(f"{LABELS[stand_of(line)]} Settle that first.")
        found = list_proposals(request=request, lines=[line], viewer=actor, at=at).get(number, ())
        chosen = _chosen(found, proposal)
        _Taking(actor, at).take(line, chosen)
        line.save(update_fields=TAKEN)
        told = {"line": number, **chosen.as_json()}
        record("line_designed", request, actor=actor.actor, at=at, after=told)
    return line


TAKEN = ["access_request", "design", "refusal"]


def _chosen(found: Sequence[Proposal], proposal: str) -> Proposal:
    opening = (one for one in found if one.kind not in (REUSE, REPLACE) and not one.is_all)
    wanted = opening if proposal == NARROWEST else (one for one in found if one.id == proposal)
    chosen = next(wanted, None)
    if chosen is None:
        only_all = proposal == NARROWEST and any(one.is_all for one in found)
        raise refusals.UnknownChoice(NOTHING_NARROW if only_all else None)
    return chosen


@dataclass(slots=True)
class _Taking:
    """What taking proposals meets, found out once for lines that would ask for the same."""

    actor: Subject
    at: datetime
    known: dict[tuple[object, ...], asking.Outlook | Refusal] = field(default_factory=dict)

    def take(self, line: FirewallLine, chosen: Proposal) -> None:
        """Not saved. Raises what the ordinary request would be refused for."""
        if chosen.kind == FOLLOW:
            line.access_request = access.get_visible_request(viewer=self.actor, public_id=chosen.beside)
        elif chosen.kind == REPLACE:
            line.design = {**chosen.as_json(), "clean_up": self._narrowing(chosen, line)}
        else:
            line.design = self._designed(chosen, line)
        line.refusal = ""

    def _narrowing(self, chosen: Proposal, line: FirewallLine) -> str:
        """The ordinary clean-up that is proposed, by its id."""
        said = f"{line.request.reason} ({line.request.public_id}, line {line.number})"
        row = access_services.propose_clean_up(
            grant_ids=[chosen.beside],
            actor=self.actor,
            reason=said[:REASON_LENGTH],
            must_be_safe=False,
            keep={chosen.beside: chosen.routes},
            at=self.at,
        )
        return row.public_id

    def _designed(self, chosen: Proposal, line: FirewallLine) -> dict[str, object]:
        """With who would have to agree, as far as the asker may ask for it at all; no longer than the rules allow."""
        design: dict[str, object] = chosen.as_json()
        if chosen.kind not in (NEW, WIDEN):
            return design
        (bundle,) = asking.bundled([line], designs={line.number: design}, at=self.at)
        outlook = self._outlook(bundle, line.request.environment.slug)
        if isinstance(outlook, NotYourSubject):
            return {**design, "others": others_words(line)}
        if isinstance(outlook, Refusal):
            raise outlook
        blockers = asking.lasting_blockers(outlook)
        if blockers:
            raise blockers[0]
        duration = asking.allowed_seconds(outlook, bundle.duration)
        return {**design, "duration": duration, "approvals": list(outlook.approvals), "risk": outlook.risk}

    def _outlook(self, bundle: asking.Bundle, environment: str) -> asking.Outlook | Refusal:
        same = replace(bundle, lines=())
        key = (same.subject, same.service, same.routes, same.points, same.duration, same.blocks, same.demands)
        if key not in self.known:
            try:
                found: asking.Outlook | Refusal = asking.outlook_of(
                    bundle, environment=environment, actor=self.actor, at=self.at
                )
            except Refusal as refusal:
                found = refusal
            self.known[key] = found
        return self.known[key]


def take_narrowest(*, public_id: str, actor: Subject, at: datetime) -> dict[int, str]:
    """For every line that waits for a choice. Returns why some could not be, by their number."""
    left: dict[int, str] = {}
    with transaction.atomic():
        request = locked_request(public_id, actor)
        policies.require_asker(actor, request)
        waiting = [one for one in lines_of(request) if stand_of(one) is Stand.CHOOSE and not policies.is_settled(one)]
        found = list_proposals(request=request, lines=waiting, viewer=actor, at=at)
        taking, told = _Taking(actor, at), []
        for line in waiting:
            try:
                chosen = _chosen(found.get(line.number, ()), NARROWEST)
                taking.take(line, chosen)
            except Refusal as refusal:
                left[line.number] = refusal.message
            else:
                told.append({"line": line.number, **chosen.as_json()})
        FirewallLine.objects.bulk_update(waiting, TAKEN)
        if told:
            record("lines_designed", request, actor=actor.actor, at=at, after={"lines": told})
    return left


def submit(*, public_id: str, actor: Subject, at: datetime) -> Sent:
    """Send what is ready, as far as ``actor`` may ask for it; the rest waits for those who may.

    Everything is looked at first: with anything unclear or forbidden nothing is sent, and all of it is said. Then each
    bundle is opened in a transaction of its own together with the link to its lines, so that sending again after a
    failure sends only what is missing.
    """
    with transaction.atomic():
        request = locked_request(public_id, actor)
        if request.withdrawn_at is not None:
            raise refusals.LineClosed
        open_lines = [line for line in lines_of(request) if line.access_request_id is None]
        reread(request, open_lines, at=at)
        ready = _ready(lines_of(request), at)
    sent = Sent()
    bundles = _sendable(ready, request, actor, at, sent)
    for bundle in bundles:
        _open(bundle, public_id, actor, at, sent)
    return sent


def _ready(lines: Sequence[FirewallLine], at: datetime) -> list[FirewallLine]:
    """Raises ZoneForbids or LinesNotReady for all that stands in the way."""
    stands = {line: stand_of(line) for line in lines if line.access_request_id is None}
    cells = {line.number: line.meaning.zone for line, stand in stands.items() if stand is Stand.FORBIDDEN}
    if cells:
        said = " ".join(dict.fromkeys(str((cell or {})["sentence"]) for cell in cells.values()))
        raise refusals.ZoneForbids(
            f"{said} Nothing was sent.", extra={"lines": sorted(cells), "cells": list(cells.values())}
        )
    wrong = {
        f"line_{line.number}": [_lack(line, stand)]
        for line, stand in stands.items()
        if stand in (Stand.UNREADABLE, Stand.WRONG, Stand.UNCLEAR, Stand.UNCONFIRMED, Stand.CHOOSE)
    }
    ready = [line for line, stand in stands.items() if stand is Stand.READY]
    late = {f"line_{line.number}": ["Its end is too near."] for line in ready if asking.seconds_of(line, at) < SHORTEST}
    if wrong or late or not ready:
        raise refusals.LinesNotReady(
            None if wrong or late else "There is no line left to send.", fields={**wrong, **late}
        )
    return ready


def _lack(line: FirewallLine, stand: Stand) -> str:
    return why_unreadable(line) if stand is Stand.UNREADABLE else line.meaning.problem or LABELS[stand]


def _sendable(
    ready: Iterable[FirewallLine], request: FirewallRequest, actor: Subject, at: datetime, sent: Sent
) -> list[asking.Bundle]:
    """Those ``actor`` may ask for, no longer than the rules allow. Raises LinesNotReady for all that is refused."""
    found: list[asking.Bundle] = []
    wrong: dict[str, list[str]] = {}
    for bundle in asking.bundled(ready, at=at):
        try:
            outlook = asking.outlook_of(bundle, environment=request.environment.slug, actor=actor, at=at)
        except NotYourSubject:
            sent.left.update({line.number: others_words(line) for line in bundle.lines})
            continue
        except Refusal as refusal:
            wrong.update({f"line_{line.number}": [refusal.message] for line in bundle.lines})
            continue
        blockers = asking.lasting_blockers(outlook)
        wrong.update({f"line_{line.number}": [blockers[0].message] for line in bundle.lines if blockers})
        found.append(replace(bundle, duration=asking.allowed_seconds(outlook, bundle.duration)))
    if wrong:
        raise refusals.LinesNotReady(fields=wrong)
    if not found:
        raise NotYourSubject(" ".join(dict.fromkeys(sent.left.values())))
    return found


def _open(bundle: asking.Bundle, public_id: str, actor: Subject, at: datetime, sent: Sent) -> None:
    numbers = [line.number for line in bundle.lines]
    try:
        with transaction.atomic():
            request = locked_request(public_id, actor)
            rows = FirewallLine.objects.filter(request=request, number__in=numbers)
            if rows.filter(access_request=None).count() < len(numbers):
                return
            opened = asking.open_bundle(bundle, request, actor=actor, origin=request.origin, at=at)
            rows.update(access_request=opened, refusal="")
            FirewallRequest.objects.filter(pk=request.pk, submitted_at=None).update(submitted_at=at)
            told = {"request": opened.public_id, "lines": numbers}
            record("sent", request, actor=actor.actor, at=at, after=told)
    except Refusal as refusal:
        sent.left.update(dict.fromkeys(numbers, refusal.message))
        FirewallLine.objects.filter(request__public_id=public_id, number__in=numbers).update(refusal=refusal.message)
        return
    sent.opened.append(opened.public_id)


def others_words(line: FirewallLine) -> str:
    """Who can send a line whose caller is not the asker's to ask for."""
    subject = line.meaning.subject
    if subject is None:
        return NotYourSubject.default_message
    if subject.kind == SubjectKind.PERSON:
        return f"Only {subject.name} can ask for that; this page shows it to them."
    team = subject if subject.kind == SubjectKind.TEAM else subject.team
    whose = f"people of {team.name}" if team is not None else "whoever answers for it"
    return f"Only {whose} can ask for {subject.name}; they see this page and can send it."
