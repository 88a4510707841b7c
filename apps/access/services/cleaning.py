"""Clean-ups: proposed with a proof or a list of losses, decided by somebody else, done by ending grants."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from apps.access import policies, refusals
from apps.access.asks import REASON_LENGTH, read_text
from apps.access.ids import new_clean_up_id
from apps.access.models import CleanUp, Grant
from apps.access.selectors.cleaning import Weighing, visible_clean_ups, weigh_removal
from apps.access.selectors.visibility import visible_grants
from apps.access.services.examining import examine_services
from apps.access.services.grants import end_all_locked, locked_where
from apps.access.services.narrowing import narrow_locked, read_kept
from apps.access.services.records import record_clean_up
from apps.access.states import LIVE_GRANTS, CleanUpState, GrantState, move
from apps.audit.actors import Actor

if TYPE_CHECKING:
    from apps.identity.models import Subject

MOST = 200


def propose_clean_up(
    *,
    grant_ids: Collection[str],
    actor: Subject,
    reason: str,
    must_be_safe: bool,
    keep: Mapping[str, Collection[str]] | None = None,
    at: datetime,
) -> CleanUp:
    """Propose to end these grants, which are of one service. Nothing is ended yet.

    ``keep`` says of some by which routes they go on: a narrower grant of the same holder, doors and end stands in.
    With ``must_be_safe`` it raises NotTheSame unless it is proven that nobody loses anything. Raises BadCleanUp and
    AlreadyProposed.
    """
    policies.require_active(actor)
    said = read_text("reason", reason, longest=REASON_LENGTH, required=True)
    with transaction.atomic():
        grants = _proposable(grant_ids, actor)
        kept = read_kept(grants, keep or {})
        weighed = weigh_removal(grants, at, kept)
        if must_be_safe and not weighed.is_safe:
            raise _not_the_same(weighed)
        row = CleanUp.objects.create(
            public_id=new_clean_up_id(),
            service=grants[0].service,
            environment=grants[0].environment,
            proposer=actor,
            safe=weighed.is_safe,
            reason=said,
            proof=weighed.counted,
            losses=list(weighed.losses),
            kept=kept,
            created_at=at,
        )
        row.grants.set(grants)
        ids = sorted(grant.public_id for grant in grants)
        after = {"grants": ids, "safe": row.safe, "reason": said, "losses": row.losses, "kept": kept}
        record_clean_up("proposed", row, actor=actor.actor, at=at, after=after)
    return row


def _proposable(grant_ids: Collection[str], actor: Subject) -> list[Grant]:
    """Locked, so that of two who propose the same one is second."""
    ids = set(grant_ids)
    if not ids or len(ids) > MOST:
        complaint = f"Choose between one and {MOST} grants."
        raise refusals.BadCleanUp(complaint, fields={"grants": [complaint]})
    seen = visible_grants(actor).filter(public_id__in=ids).values("pk")
    grants = locked_where(Q(pk__in=list(seen.values_list("pk", flat=True)), state__in=LIVE_GRANTS))
    grants = [one for one in grants if one.treatment is None and one.subject.kind != "party"]
    if len(grants) < len(ids):
        missing = sorted(ids - {one.public_id for one in grants})
        complaint = f"There is no open access {', '.join(missing[:5])} that you may see."
        raise refusals.BadCleanUp(complaint, fields={"grants": [complaint]})
    if len({(one.service_id, one.environment_id) for one in grants}) > 1:
        complaint = "Choose grants of one service: its owners decide."
        raise refusals.BadCleanUp(complaint, fields={"grants": [complaint]})
    if CleanUp.objects.filter(grants__in=grants, state=CleanUpState.PENDING).exists():
        raise refusals.AlreadyProposed
    return grants


def _not_the_same(weighed: Weighing) -> refusals.NotTheSame:
    told = list(weighed.losses) or [
        "It changes nothing as things stand, but would once a wall in front of it is lifted."
    ]
    return refusals.NotTheSame(f"This is not safe. {told[0]}", extra={"losses": told})


def decide_clean_up(*, public_id: str, actor: Subject, agree: bool, comment: str = "", at: datetime) -> CleanUp:
    """Do it, or decline it. What was promised to be safe is proven again first, with everything about it locked.

    Raises OwnProposal, NotYoursToCleanUp, AgentsNeverDecide, CleanUpDecided, and CleanUpOvertaken: then nothing was
    ended and it still waits.
    """
    with transaction.atomic():
        row = _locked(public_id, actor)
        policies.require_may_clean_up(actor, row)
        row.comment = read_text("comment", comment, longest=REASON_LENGTH)
        if agree:
            _end_all(row, actor, at)
        _close(row, CleanUpState.APPLIED if agree else CleanUpState.DECLINED, actor, at)
        verb = "applied" if agree else "declined"
        _record(verb, row, actor.actor, at)
        if agree:
            examine_services(service_ids=[row.service_id], environment_id=row.environment_id, at=at)
    return row


def _end_all(row: CleanUp, actor: Subject, at: datetime) -> None:
    """Every grant of the service is locked: nobody ends meanwhile what the others lean on."""
    ids = set(row.grants.values_list("pk", flat=True))
    of_service = Q(service=row.service_id, environment=row.environment_id, state__in=LIVE_GRANTS)
    going = [grant for grant in locked_where(of_service) if grant.pk in ids]
    if len(going) < len(ids):
        raise refusals.CleanUpOvertaken
    weighed = weigh_removal(going, at, row.kept)
    if row.safe and not weighed.is_safe:
        raise refusals.CleanUpOvertaken
    if not row.safe and not set(weighed.losses) <= set(row.losses):
        raise refusals.CleanUpOvertaken
    row.proof, row.losses = weighed.counted, list(weighed.losses)
    why = f"Clean-up {row.public_id}: {row.reason}"
    wide = [grant for grant in going if grant.public_id in row.kept]
    end_all_locked(going, to=GrantState.REVOKED, by=actor, why=why, at=at)
    for grant in wide:
        narrow_locked(grant, row.kept[grant.public_id], actor=actor.actor, at=at)


def withdraw_clean_up(*, public_id: str, actor: Subject, at: datetime) -> CleanUp:
    """By whoever proposed it, or owns the agent that did, while nobody has decided. Nothing is ended."""
    with transaction.atomic():
        row = _locked(public_id, actor)
        policies.require_may_withdraw(actor, row)
        _close(row, CleanUpState.WITHDRAWN, actor, at)
        _record("withdrawn", row, actor.actor, at)
    return row


def _locked(public_id: str, actor: Subject) -> CleanUp:
    rows = CleanUp.objects.select_for_update(of=("self",)).select_related("service__team", "environment", "proposer")
    row = rows.filter(public_id=public_id, pk__in=visible_clean_ups(actor).values("pk")).first()
    if row is None:
        raise refusals.UnknownCleanUp
    return row


def _close(row: CleanUp, to: CleanUpState, actor: Subject, at: datetime) -> None:
    move(row, to)
    row.decided_at, row.decided_by = at, actor
    row.save(update_fields=["state", "decided_at", "decided_by", "comment", "proof", "losses"])


def _record(verb: str, row: CleanUp, actor: Actor, at: datetime) -> None:
    before, after = {"state": CleanUpState.PENDING}, {"state": row.state, "comment": row.comment, "proof": row.proof}
    record_clean_up(verb, row, actor=actor, at=at, before=before, after=after)
