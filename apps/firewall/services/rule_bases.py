"""Taking in the rule base of an old firewall: all of it or nothing, and then what is wrong with it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.audit import services as audit
from apps.firewall import rule_base_policies as policies
from apps.firewall import rule_base_refusals as refusals
from apps.firewall.lines import Action, Direction, Line
from apps.firewall.models import RuleBase, RuleBaseCleaning, RuleBaseFinding, RuleBaseLine
from apps.firewall.rulebase.analysis import analyse
from apps.firewall.rulebase.base import Semantics, TooManyBoxes
from apps.firewall.rulebase.findings import Analysis
from apps.firewall.rulebase.parse import Format, Note, Parsed, Problem, parse, recognise
from apps.firewall.rulebase.reading import UNWANTED
from apps.firewall.selectors.knowing import known_names
from apps.identity import selectors as identity
from apps.outbox import services as outbox

if TYPE_CHECKING:
    from apps.identity.models import Subject

TAKEN = "firewall.rule_base.taken"
SMALL = 60_000
"""Characters that are read while whoever pasted them waits; what is longer is read in the background."""
FEW_LINES = 2_000
"""Lines that are compared while whoever pasted them waits: a short text may hold many, laid flat."""
BATCH = 1_000
TOO_MUCH = "Nobody came to the end of reading it. Perhaps it is too much at once: take it in by parts."
ALWAYS_ADDED_UP = frozenset({Format.SECURITY_GROUPS, Format.NETWORK_POLICY, Format.ADDRESS_LISTS})


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody hands in. Empty ``format`` is recognised; empty ``semantics`` follows from the format.

    What only ever allows is added up; tables, sentences and iptables are asked from the top.
    """

    name: str
    text: str
    format: str = ""
    semantics: str = ""
    team: str = ""


def take_rule_base(*, given: Given, actor: Subject, at: datetime) -> RuleBase:
    """Keep a rule base and have it read: a small one at once, a big one in the background.

    Raises BadRuleBase, with every problem, when a small one cannot be taken; nothing is kept then.
    """
    found, team = _checked(given, actor)
    read = _read(given.text, found, at) if len(given.text) <= SMALL else None
    if read is not None and read.problems:
        words = f"{len(read.problems)} thing{'s' * (len(read.problems) != 1)} to put right first; nothing was kept."
        problems = [_remark(one) for one in read.problems]
        raise refusals.BadRuleBase(words, extra={"problems": problems, "format": found.value})
    is_small = read is not None and len(read.lines) <= FEW_LINES
    analysis = _analysed(read, _asked(given, found), at) if read is not None and is_small else None
    with transaction.atomic():
        base = store(given, found, team=team, actor=actor, at=at)
        if read is not None and analysis is not None:
            _write(base, read, analysis, at=at)
        else:
            outbox.enqueue(topic=TAKEN, key=base.public_id, at=at)
    return base


def _asked(given: Given, found: Format) -> Semantics:
    return Semantics(given.semantics) if given.semantics else _usual(found)


def store(
    given: Given,
    found: Format,
    *,
    team: Subject | None,
    actor: Subject,
    cleaned_from: RuleBaseCleaning | None = None,
    at: datetime,
) -> RuleBase:
    """The row and its record, in the caller's transaction; nothing is read yet."""
    base = RuleBase.objects.create(
        public_id=f"rb_{secrets.token_hex(8)}",
        name=given.name.strip(),
        team=team,
        format=found.value,
        semantics=_asked(given, found).value,
        text=given.text,
        taken_by=actor,
        taken_at=at,
        cleaned_from=cleaned_from,
    )
    after = {"format": base.format, "semantics": base.semantics, "characters": len(base.text)}
    if team is not None:
        after["team"] = team.key
    audit.record(
        action="firewall.rule_base.taken",
        actor=actor.actor,
        target_type="firewall.rule_base",
        target_id=base.public_id,
        target_name=base.name,
        after=after,
        at=at,
    )
    return base


def _checked(given: Given, actor: Subject) -> tuple[Format, Subject | None]:
    fields = _faults(given)
    team = identity.find_subject(given.team) if given.team else None
    if given.team and team is None:
        fields["team"] = ["There is no such team."]
    found = None if fields else (Format(given.format) if given.format else recognise(given.text))
    if not fields and found is None:
        fields["format"] = ["This looks like no format we know. Say which it is."]
    if fields or found is None:
        raise refusals.BadRuleBase(fields=fields)
    policies.require_may_take(actor, team)
    return found, team


def _faults(given: Given) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    if not 0 < len(given.name.strip()) <= 200 or "\x00" in given.name:
        fields["name"] = ["Give it a name, of at most 200 characters."]
    if not given.text.strip():
        fields["text"] = ["Paste the rule base, or choose a file."]
    elif UNWANTED.search(given.text):
        fields["text"] = ["There are signs in it that no text holds."]
    if given.format and given.format not in set(Format):
        fields["format"] = [f"One of {', '.join(Format)}, or leave it empty."]
    if given.semantics and given.semantics not in set(Semantics):
        fields["semantics"] = [f"One of {', '.join(Semantics)}, or leave it empty."]
    return fields


def _usual(found: Format) -> Semantics:
    return Semantics.ADDITIVE if found in ALWAYS_ADDED_UP else Semantics.FIRST_MATCH


def _read(text: str, found: Format, at: datetime) -> Parsed:
    return parse(text, found, today=at.date())


def read_rule_base(*, public_id: str, at: datetime) -> None:
    """Read one that waits, and say what is wrong with it. Running it again changes nothing."""
    base = RuleBase.objects.filter(public_id=public_id, read_at=None).first()
    if base is None:
        return
    _progress(base, 10)
    parsed = _read(base.text, Format(base.format), at)
    _progress(base, 30)
    analysis = None if parsed.problems else _analysed(parsed, Semantics(base.semantics), at)
    _progress(base, 80)
    with transaction.atomic():
        held = RuleBase.objects.select_for_update().filter(pk=base.pk, read_at=None).first()
        if held is not None:
            _write(held, parsed, analysis, at=at)


def _progress(base: RuleBase, percent: int) -> None:
    RuleBase.objects.filter(pk=base.pk, read_at=None).update(progress=percent)


def leave_unread(*, public_id: str, at: datetime) -> None:
    """Nobody came to the end of reading it: whoever waits is told, and nothing of it is kept."""
    with transaction.atomic():
        base = RuleBase.objects.select_for_update().filter(public_id=public_id, read_at=None).first()
        if base is not None:
            _write(base, Parsed((), (Problem(0, TOO_MUCH),)), None, at=at)


def _analysed(parsed: Parsed, semantics: Semantics, at: datetime) -> Analysis | Problem:
    known = parsed.names | known_names({end for line in parsed.lines for end in (line.source, line.destination)})
    try:
        return analyse(
            parsed.lines,
            semantics=semantics,
            defaults=parsed.defaults,
            known=known,
            today=at.date(),
        )
    except TooManyBoxes as error:
        return Problem(0, str(error))


def _write(base: RuleBase, parsed: Parsed, analysis: Analysis | Problem | None, *, at: datetime) -> None:
    problems = [*parsed.problems, *([analysis] if isinstance(analysis, Problem) else [])]
    base.problems = [_remark(one) for one in problems]
    base.notes = [_remark(one) for one in parsed.notes]
    if isinstance(analysis, Analysis) and not problems:
        base.defaults = [[way.value, action.value] for way, action in parsed.defaults]
        base.line_count, base.rule_count = len(parsed.lines), analysis.rules
        base.undecided = list(analysis.undecided)
        RuleBaseLine.objects.bulk_create(rows_of(base, parsed.lines), batch_size=BATCH)
        RuleBaseFinding.objects.bulk_create(
            [
                RuleBaseFinding(
                    base=base,
                    code=one.code.value,
                    number=one.number,
                    involved=list(one.involved),
                    sentence=one.sentence,
                )
                for one in analysis.findings
            ],
            batch_size=BATCH,
        )
    base.progress, base.read_at = 100, at
    base.save()
    audit.record(
        action="firewall.rule_base.read",
        actor=base.taken_by.actor,
        target_type="firewall.rule_base",
        target_id=base.public_id,
        target_name=base.name,
        after={"lines": base.line_count, "problems": len(problems), "findings": _count(analysis)},
        at=at,
    )


def _remark(one: Problem | Note) -> dict[str, object]:
    return {"line": one.number, "sentence": one.sentence}


def _count(analysis: Analysis | Problem | None) -> int:
    return len(analysis.findings) if isinstance(analysis, Analysis) else 0


def rows_of(base: RuleBase, lines: Sequence[Line]) -> list[RuleBaseLine]:
    """Not saved."""
    return [
        RuleBaseLine(
            base=base,
            place=place,
            number=line.number,
            text=line.text,
            source=line.source,
            destination=line.destination,
            protocol=line.protocol,
            ports=line.ports,
            direction=line.direction.value,
            action=line.action.value,
            reason=line.reason,
            until=line.until,
            hits=line.hits,
            conditions=line.conditions,
        )
        for place, line in enumerate(lines, 1)
    ]


def lines_of(base: RuleBase) -> list[Line]:
    """Its lines as they were read, in the order in which they are asked."""
    return [as_line(row) for row in base.lines.order_by("place")]


def as_line(row: RuleBaseLine) -> Line:
    return Line(
        number=row.number,
        text=row.text,
        source=row.source,
        destination=row.destination,
        protocol=row.protocol,
        ports=tuple((low, high) for low, high in row.ports),
        direction=Direction(row.direction),
        action=Action(row.action),
        reason=row.reason,
        until=row.until,
        hits=row.hits,
        conditions=tuple(row.conditions),
    )


def defaults_of(base: RuleBase) -> Mapping[Direction, Action]:
    return {Direction(way): Action(action) for way, action in base.defaults}
