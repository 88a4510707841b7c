"""Deleting a rule base that is of no more use: its text, its lines, its findings and its clean-ups."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.audit import services as audit
from apps.firewall import rule_base_policies as policies
from apps.firewall import rule_base_refusals as refusals
from apps.firewall.models import RuleBase
from apps.firewall.selectors.rule_bases import get_visible_base

if TYPE_CHECKING:
    from apps.identity.models import Subject


def delete_rule_base(*, public_id: str, name: str, actor: Subject, at: datetime) -> None:
    """Delete it for good. ``name`` is its name, written by whoever means it; nothing of it can be brought back.

    The record keeps what it was, the hash of its text, and which clean-up still waited. A rule base that was cleaned
    out of it stays. Raises UnknownRuleBase, NotYoursToDelete, DeletionUnconfirmed.
    """
    seen = get_visible_base(viewer=actor, public_id=public_id)
    policies.require_can_delete(actor, seen)
    if name.strip() != seen.name:
        raise refusals.DeletionUnconfirmed(fields={"name": [refusals.DeletionUnconfirmed.default_message]})
    with transaction.atomic():
        base = RuleBase.objects.select_for_update(of=("self",)).select_related("team").filter(pk=seen.pk).first()
        if base is None:
            raise refusals.UnknownRuleBase
        before = _described(base)
        RuleBase.objects.filter(cleaned_from__base=base).update(cleaned_from=None)
        base.delete()
        audit.record(
            action="firewall.rule_base.deleted",
            actor=actor.actor,
            target_type="firewall.rule_base",
            target_id=public_id,
            target_name=seen.name,
            before=before,
            at=at,
        )


def _described(base: RuleBase) -> dict[str, object]:
    waiting = base.cleanings.filter(outcome="").values_list("public_id", flat=True)
    return {
        "format": base.format,
        "lines": base.line_count,
        "sha256": hashlib.sha256(base.text.encode()).hexdigest(),
        "taken_at": base.taken_at.isoformat(),
        "team": base.team.key if base.team is not None else "",
        "waiting": list(waiting),
    }
