"""Proposing to take lines out of a rule base, proving what that changes, and somebody else's answer to it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from apps.audit import services as audit
from apps.firewall import rule_base_policies as policies
from apps.firewall import rule_base_refusals as refusals
from apps.firewall.models import CleaningOutcome, RuleBase, RuleBaseCleaning
from apps.firewall.rulebase.base import Semantics
from apps.firewall.rulebase.clean import Cleaned, clean
from apps.firewall.rulebase.findings import NOT_REMOVABLE, Code, Finding
from apps.firewall.rulebase.parse import Format, without
from apps.firewall.selectors.rule_bases import get_visible_base, get_visible_cleaning
from apps.firewall.services.rule_bases import TAKEN, Given, defaults_of, lines_of, store
from apps.outbox import services as outbox

if TYPE_CHECKING:
    from apps.identity.models import Subject

PROPOSED = "firewall.cleaning.proposed"
FEW_LINES = 500
"""Up to so many lines the proof is made while whoever proposes waits; beyond, in the background."""
MOST_WORDS = 2_000


def propose_cleaning(
    *,
    base_id: str,
    codes: Collection[str] = (),
    numbers: Collection[int] = (),
    reason: str,
    actor: Subject,
    at: datetime,
) -> RuleBaseCleaning:
    """Propose to take out the lines that findings of these ``codes``, or the findings at these ``numbers``, are about.

    Raises NothingToClean, CleaningOpen, RuleBaseNotReady.
    """
    base = get_visible_base(viewer=actor, public_id=base_id)
    if not base.is_ready:
        raise refusals.RuleBaseNotReady
    if not 0 < len(reason.strip()) <= MOST_WORDS or "\x00" in reason:
        raise refusals.NothingToClean(fields={"reason": [f"Say why, in at most {MOST_WORDS} characters."]})
    chosen = _chosen(base, codes, numbers)
    try:
        with transaction.atomic():
            cleaning = RuleBaseCleaning.objects.create(
                public_id=f"rc_{secrets.token_hex(8)}",
                base=base,
                asked_by=actor,
                reason=reason.strip(),
                codes=sorted({finding.code.value for finding in chosen}),
                dropped=sorted({finding.number for finding in chosen}),
                created_at=at,
            )
            if base.line_count > FEW_LINES:
                outbox.enqueue(topic=PROPOSED, key=cleaning.public_id, at=at)
            else:
                prove_cleaning(public_id=cleaning.public_id, at=at)
            _record("proposed", cleaning, actor, at, {"lines": cleaning.dropped[:200], "reason": cleaning.reason})
    except IntegrityError:
        raise refusals.CleaningOpen from None
    cleaning.refresh_from_db()
    return cleaning


def _chosen(base: RuleBase, codes: Collection[str], numbers: Collection[int]) -> list[Finding]:
    rows = base.findings.exclude(code__in=[code.value for code in NOT_REMOVABLE])
    rows = rows.filter(number__in=list(numbers)[:50_000]) if numbers else rows.filter(code__in=list(codes))
    found = [Finding(Code(row.code), row.number, tuple(row.involved), row.sentence) for row in rows.order_by("number")]
    if not found:
        raise refusals.NothingToClean
    return found


def prove_cleaning(*, public_id: str, at: datetime) -> None:
    """Work out what a proposal changes, and the text without its lines. Running it again changes nothing."""
    cleaning = RuleBaseCleaning.objects.select_related("base").filter(public_id=public_id, proven_at=None).first()
    if cleaning is None:
        return
    found = _cleaned(cleaning.base, cleaning.dropped)
    _keep_proof(cleaning, [one.sentence for one in found.differences], found.undecided, at)


def leave_unproven(*, public_id: str, at: datetime) -> None:
    """Nobody came to the end of the proof, so nothing is proven, and whoever decides is told so."""
    cleaning = RuleBaseCleaning.objects.select_related("base").filter(public_id=public_id, proven_at=None).first()
    if cleaning is not None:
        _keep_proof(cleaning, [], cleaning.dropped, at)


def _keep_proof(cleaning: RuleBaseCleaning, differences: list[str], unproven: Iterable[int], at: datetime) -> None:
    text = without(cleaning.base.text, Format(cleaning.base.format), frozenset(cleaning.dropped))
    RuleBaseCleaning.objects.filter(pk=cleaning.pk, proven_at=None).update(
        proven_at=at, differences=differences, unproven=list(unproven), text=text
    )


def _cleaned(base: RuleBase, dropped: Collection[int]) -> Cleaned:
    chosen = [Finding(Code.REDUNDANT, number, (), "") for number in dropped]
    return clean(lines_of(base), chosen, semantics=Semantics(base.semantics), defaults=tuple(defaults_of(base).items()))


def decide_cleaning(
    *, public_id: str, approve: bool, comment: str = "", actor: Subject, at: datetime
) -> RuleBaseCleaning:
    """Approve or deny. Approved, the cleaned text is taken in as a new rule base, and may be taken out.

    Raises OwnCleaning, NotYoursToClean, CleaningDecided, CleaningUnproven.
    """
    seen = get_visible_cleaning(viewer=actor, public_id=public_id)
    with transaction.atomic():
        cleaning = (
            RuleBaseCleaning.objects.select_for_update(of=("self",))
            .select_related("base__team", "asked_by")
            .get(pk=seen.pk)
        )
        policies.require_may_decide(actor, cleaning.base, cleaning)
        if cleaning.outcome:
            raise refusals.CleaningDecided
        if cleaning.proven_at is None:
            raise refusals.CleaningUnproven
        cleaning.outcome = CleaningOutcome.APPROVED if approve else CleaningOutcome.DENIED
        cleaning.comment = comment.replace("\x00", "").strip()[:MOST_WORDS]
        cleaning.decided_by, cleaning.decided_at = actor, at
        cleaning.save(update_fields=["outcome", "comment", "decided_by", "decided_at"])
        if approve:
            _take_cleaned(cleaning, actor, at)
        after = {"comment": cleaning.comment, "lines": len(cleaning.dropped), "equivalent": cleaning.is_equivalent}
        _record(cleaning.outcome, cleaning, actor, at, after)
    return cleaning


def _take_cleaned(cleaning: RuleBaseCleaning, actor: Subject, at: datetime) -> None:
    base = cleaning.base
    given = Given(_next_name(base.name), cleaning.text, base.format, base.semantics)
    fresh = store(given, Format(base.format), team=base.team, actor=actor, cleaned_from=cleaning, at=at)
    outbox.enqueue(topic=TAKEN, key=fresh.public_id, at=at)


def _next_name(name: str) -> str:
    return name if name.endswith(" (cleaned)") else f"{name[:190]} (cleaned)"


def _record(what: str, cleaning: RuleBaseCleaning, actor: Subject, at: datetime, after: dict[str, object]) -> None:
    audit.record(
        action=f"firewall.cleaning.{what}",
        actor=actor.actor,
        target_type="firewall.cleaning",
        target_id=cleaning.public_id,
        target_name=cleaning.base.name,
        after=after,
        at=at,
    )
