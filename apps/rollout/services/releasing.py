"""What a person decides about code on its way: to production, not at all, or once more."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput, NotFound, Refusal
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.drivers.akamai.errors import ENDINGS
from apps.rollout.models import DriverName, EdgeMove, Production, Target
from apps.rollout.services import releases
from apps.rollout.services.akamai import history
from apps.rollout.services.compiling import current_code
from apps.rollout.services.driving import akamai_driver
from apps.rollout.services.evidence import record_target
from apps.rollout.services.targets import require_called
from apps.rollout.states import ReleaseState


class NoCode(Refusal):
    code = "no_code_here"
    default_message = "This target runs no code of ours; its nodes fetch what they need."


class NothingToApprove(Refusal):
    code = "nothing_to_approve"
    default_message = "No code waits for approval any more."


class TooLateToStop(Refusal):
    code = "too_late_to_stop"
    default_message = "Akamai is activating it already, or nothing is under way; only going back to older code helps."


def set_production(*, slug: str, production: str, actor: Actor, at: datetime) -> Target:
    """Whether code goes to production by itself once it is live on staging, or when an operator approves.

    Of a cluster: whether a service may be closed for the first time by itself.
    """
    if production not in Production.values:
        raise InvalidInput(fields={"production": [f"Choose one of {', '.join(Production.values)}."]})
    with transaction.atomic():
        target = _of(slug, lock=True, drivers=(DriverName.AKAMAI, DriverName.KUBERNETES))
        if target.production == production:
            return target
        before, target.production, target.retry_at = target.production, production, None
        target.save(update_fields=["production", "retry_at"])
        record_target(
            "production.changed",
            target,
            actor=actor,
            at=at,
            before={"production": before},
            after={"production": production},
        )
    return target


def approve(*, slug: str, version: str, actor: Actor, at: datetime) -> Target:
    """Let one version go to production. Refused when another waits by now: nobody approves what was not shown."""
    with transaction.atomic():
        target = _locked(slug)
        if not version or target.to_approve != version:
            raise NothingToApprove
        target.approved, target.to_approve, target.waiting_for, target.retry_at = version, "", "", None
        target.save(update_fields=["approved", "to_approve", "waiting_for", "retry_at"])
        record_target("code.approved", target, actor=actor, at=at, after={"version": version})
    return target


def stop(*, slug: str, actor: Actor, at: datetime) -> Target:
    """Have Akamai drop the activation that has not begun. The code before stays; ``try_again`` takes it up anew.

    Akamai is asked outside the transaction. When we die in between, the next step sees that it is cancelled.
    """
    target = _of(slug, lock=False)
    with akamai_driver(target, at) as driver:
        stopped = driver.code.cancel(code_version(current_code(target)))
    if not stopped:
        raise TooLateToStop
    with transaction.atomic():
        target = _locked(slug)
        history.note(target, stopped)
        target.retry_at = None
        target.save(update_fields=["retry_at"])
        after = {"activations": [f"{move.network} {move.id}" for move in stopped], "version": stopped[0].version}
        record_target("code.stopped", target, actor=actor, at=at, after=after)
    return target


def try_again(*, slug: str, actor: Actor, at: datetime) -> Target:
    """Do not wait any longer, and let the failures until now count no more; also those of the code that is wanted."""
    with transaction.atomic():
        target = Target.objects.select_for_update().filter(slug=slug).first()
        if target is None:
            raise NotFound
        before = target.trouble
        EdgeMove.objects.filter(target=target, status__in=ENDINGS, forgiven=False).update(forgiven=True)
        target.attempts, target.retry_at = 0, None
        target.save(update_fields=["attempts", "retry_at"])
        _forgive_code(target, actor, at)
        record_target("tried_again", target, actor=actor, at=at, before={"trouble": before})
    return target


def _forgive_code(target: Target, actor: Actor, at: datetime) -> None:
    version = code_version(current_code(target)) if target.driver == DriverName.AKAMAI else ""
    last = releases.forgive(target, version) if version else None
    if last is not None and last.state == ReleaseState.STUCK:
        releases.ask_again(last, asked_by=actor.name, at=at)


def _locked(slug: str) -> Target:
    return _of(slug, lock=True)


def _of(slug: str, *, lock: bool, drivers: Collection[str] = (DriverName.AKAMAI,)) -> Target:
    rows = Target.objects.select_for_update() if lock else Target.objects
    target = rows.filter(slug=slug).first()
    if target is None:
        raise NotFound
    if target.driver not in drivers:
        raise NoCode
    require_called(target)
    return target
