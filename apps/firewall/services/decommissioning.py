"""Giving a service up: everything that names it is found, shown, and ended as one change that somebody approves."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.access import services as access
from apps.access.asks import REASON_LENGTH, read_text
from apps.audit import services as audit
from apps.catalog import services as catalog
from apps.firewall import policies, refusals
from apps.firewall.ids import new_decommission_id
from apps.firewall.models import Decommission, FirewallLine, Outcome
from apps.firewall.selectors.naming import Named, list_named, workloads_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apps.catalog.models import Service
    from apps.identity.models import Subject


def propose_end(*, slug: str, reason: str, actor: Subject, at: datetime) -> Decommission:
    """Propose to end everything that names the service. Proposing again replaces what nobody answered yet."""
    why = read_text("reason", reason, longest=REASON_LENGTH, required=True)
    with transaction.atomic():
        service = _living(slug)
        policies.require_can_propose_end(actor, service)
        found = [one.as_json() for one in list_named(service)]
        row = Decommission.objects.select_for_update().filter(service=service, outcome="").first()
        row = row or Decommission(public_id=new_decommission_id(), service=service)
        row.asker, row.reason, row.created_at = actor, why, at
        row.found, row.digest = found, digest_of(found)
        row.save()
        _record("proposed", row, actor, at, {"reason": why, "found": found})
    return row


def decide_end(*, slug: str, outcome: str, actor: Subject, at: datetime) -> Decommission:
    """Approve, and end all of it in this transaction, or deny. Raises DecommissionMoved when something else names it
    by now than what was shown: nobody approves what they did not see."""
    with transaction.atomic():
        service = _living(slug)
        row = Decommission.objects.select_for_update().filter(service=service, outcome="").first()
        if row is None:
            raise refusals.NoDecommission
        policies.require_can_end_all(actor, row.asker_id)
        if outcome == Outcome.APPROVED:
            if digest_of([one.as_json() for one in list_named(service)]) != row.digest:
                raise refusals.DecommissionMoved
            _end(service, row, actor, at)
        row.outcome, row.decided_by, row.decided_at = Outcome(outcome), actor, at
        row.save(update_fields=["outcome", "decided_by", "decided_at"])
        _record(row.outcome, row, actor, at, {"digest": row.digest})
    return row


def _living(slug: str) -> Service:
    service = catalog.hold_service(slug)
    if service.retired_at is not None:
        raise refusals.AlreadyDecommissioned
    return service


def _end(service: Service, row: Decommission, actor: Subject, at: datetime) -> None:
    """Rows of our own are locked before the record is written to."""
    drafts = FirewallLine.objects.filter(meaning__service=service, access_request=None, dropped=False)
    drafts.update(dropped=True, refusal=f"{service.title} was given up.")
    access.end_all_of(
        service_slug=service.slug,
        workload_keys=workloads_of(service),
        actor=actor,
        why=f"{service.title} is given up: {row.reason}"[:300],
        at=at,
    )
    catalog.retire_service(slug=service.slug, actor=actor.actor, at=at)


def digest_of(found: Sequence[Mapping[str, object]]) -> str:
    """Of what is named, whatever the words for it."""
    ids = sorted([str(one["kind"]), str(one["id"])] for one in found)
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def _record(verb: str, row: Decommission, actor: Subject, at: datetime, after: Mapping[str, object]) -> None:
    audit.record(
        action=f"firewall.decommission.{verb}",
        actor=actor.actor,
        target_type="firewall.decommission",
        target_id=row.public_id,
        target_name=row.service.title,
        after=after,
        at=at,
    )


__all__ = ["Named", "decide_end", "digest_of", "propose_end"]
