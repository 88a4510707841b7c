"""Looking at what a target's account lets us do: asked for here, done by a worker, kept to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.outbox import nudge
from apps.outbox import services as outbox
from apps.rollout.drivers.akamai.capabilities import CHECKS
from apps.rollout.drivers.akamai.driver import kv_token_name
from apps.rollout.drivers.akamai.preflight import ALL_SECONDS, CALL_SECONDS, GRANTED, Check, Finding, Wanted, examine
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import Delivery, DriverName, Preflight, Target
from apps.rollout.services import troubles
from apps.rollout.services.cluster import preflight as cluster_preflight
from apps.rollout.services.cluster.preflight import Answer
from apps.rollout.services.driving import NotConnected, akamai_api, token_in_use
from apps.rollout.services.evidence import CHANNEL, record_target, tell_pages
from apps.rollout.services.targets import BadTarget, get_target, require_called
from apps.rollout.surroundings import namespace_of

ASKED = "rollout.preflight.asked"
LEASE = timedelta(seconds=2 * ALL_SECONDS)
"""Who took one and has not finished it by then is taken for dead."""
KEPT = 20

Clock = Callable[[], datetime]


class PreflightUnderWay(Refusal):
    code = "preflight_under_way"
    default_message = "It is being looked at already; the result comes by itself."


def ask(*, slug: str, actor: Actor, at: datetime) -> Preflight:
    """Have a worker look. One at a time for each target; older results than the last few are forgotten."""
    with transaction.atomic():
        target = Target.objects.select_for_update().get(pk=get_target(slug).pk)
        asked = _questions(target)
        _give_up(target, at)
        if Preflight.objects.filter(target=target, finished_at=None).exists():
            raise PreflightUnderWay
        made = Preflight.objects.create(target=target, asked_at=at, asked_by=actor.name[:200], asked=asked)
        old = Preflight.objects.filter(target=target).order_by("-pk").values_list("pk", flat=True)[KEPT:]
        Preflight.objects.filter(pk__in=list(old)).delete()
        record_target("preflight.asked", target, actor=actor, at=at)
        if not target.is_pulled:
            outbox.enqueue(topic=ASKED, key=str(made.pk), payload={"target": target.slug}, at=at)
    return made


def _give_up(target: Target, at: datetime) -> None:
    """An agent that did not answer by now is not waited for any longer."""
    if target.is_pulled:
        rows = Preflight.objects.filter(target=target, finished_at=None, asked_at__lt=at - LEASE)
        rows.update(finished_at=at, error="Its agent did not answer")


def waiting(target: Target) -> Preflight | None:
    """The one its agent is to answer."""
    return (
        Preflight.objects.filter(target=target, finished_at=None).order_by("pk").first() if target.is_pulled else None
    )


def answer(*, target: Target, told: Answer, at: datetime) -> None:
    """What an agent found out. An answer to a question that is no longer asked is dropped."""
    preflight = Preflight.objects.filter(target=target, pk=told.preflight, finished_at=None).first()
    if preflight is None:
        return
    found = cluster_preflight.findings(target, told.review)
    preflight.started_at, preflight.asked = at, len(found)
    preflight.save(update_fields=["started_at", "asked"])
    _note(preflight, dict(enumerate((one,) for one in found)))
    _finish(preflight, "", at)


def _questions(target: Target) -> int:
    """How many there are to ask. Raises BadTarget where nobody can be asked."""
    if target.driver == DriverName.NGINX:
        raise BadTarget(f"The console calls nobody for {target.name}: there is nothing to ask.")
    require_called(target)
    return cluster_preflight.questions(target) if target.driver == DriverName.KUBERNETES else len(CHECKS)


def due(at: datetime) -> list[int]:
    """Asked for and not taken, or taken by a worker that died."""
    taken = Q(started_at=None) | Q(started_at__lt=at - LEASE)
    called = Preflight.objects.filter(taken, finished_at=None).exclude(target__delivery=Delivery.PULLED)
    return list(called.order_by("pk").values_list("pk", flat=True))


def run(*, preflight_id: int, clock: Clock, checks: Sequence[Check] = CHECKS, patience: float = ALL_SECONDS) -> bool:
    """Ask everything and note each answer as it comes. False when somebody else is at it, or it is done."""
    at = clock()
    taken = Q(started_at=None) | Q(started_at__lt=at - LEASE)
    if not Preflight.objects.filter(taken, pk=preflight_id, finished_at=None).update(started_at=at):
        return False
    preflight = Preflight.objects.select_related("target").get(pk=preflight_id)
    if preflight.target.driver == DriverName.KUBERNETES:
        _look_at_cluster(preflight, clock)
        return True
    try:
        api = akamai_api(preflight.target, read_seconds=CALL_SECONDS)
    except NotConnected as error:
        _finish(preflight, str(error), clock())
        return True
    found: dict[int, tuple[Finding, ...]] = {}
    with closing(api):
        for number, findings in examine(api, wanted_of(preflight.target), checks=checks, patience=patience):
            found[number] = findings
            _note(preflight, found)
    _finish(preflight, "", clock())
    return True


def _look_at_cluster(preflight: Preflight, clock: Clock) -> None:
    """All at once: the cluster answers in moments."""
    try:
        found = cluster_preflight.look(preflight.target)
    except VendorError as error:
        _finish(preflight, f"{troubles.explain(preflight.target, error).what} {error}", clock())
        return
    preflight.asked = len(found)
    preflight.save(update_fields=["asked"])
    _note(preflight, dict(enumerate((one,) for one in found)))
    _finish(preflight, "", clock())


def wanted_of(target: Target) -> Wanted:
    namespace = namespace_of(target)
    return Wanted(
        group_id=int(target.config["group_id"]),
        resource_tier_id=int(target.config["resource_tier_id"]),
        namespace=namespace,
        token_name=token_in_use(target) or kv_token_name(namespace, int(target.facts.get("edgeworker_id", 0))),
        contract_id=str(target.config.get("contract_id", "")),
    )


def _note(preflight: Preflight, found: dict[int, tuple[Finding, ...]]) -> None:
    preflight.answered = len(found)
    preflight.findings = [asdict(one) for number in sorted(found) for one in found[number]]
    preflight.save(update_fields=["answered", "findings"])
    nudge.publish(CHANNEL)


def _finish(preflight: Preflight, error: str, at: datetime) -> None:
    preflight.error, preflight.finished_at = error, at
    with transaction.atomic():
        preflight.save(update_fields=["error", "finished_at"])
        tell_pages()


def latest(target: Target) -> Preflight | None:
    return Preflight.objects.filter(target=target).order_by("-pk").first()


def stoppers(preflight: Preflight) -> int:
    """How many needed capabilities are not known to be granted."""
    return sum(1 for one in preflight.findings if one["needed"] and one["verdict"] != GRANTED)
