"""Bringing a target to its newest revision, step by step. Any step may be repeated, or be the last before a crash."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from apps.access.services import record_errors
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.drivers.akamai.driver import AkamaiDriver, KvToken
from apps.rollout.drivers.akamai.errors import Trouble
from apps.rollout.drivers.base import Driver, Plan, StalePlan, Step, VendorError
from apps.rollout.drivers.kubernetes.driver import KubernetesDriver
from apps.rollout.models import Activation, DriverName, Target, TargetArtifact
from apps.rollout.services import proving, releases, troubles
from apps.rollout.services.akamai import budgets, edge_tokens, history, placing
from apps.rollout.services.cluster import objects as cluster_objects
from apps.rollout.services.driving import akamai_driver, believed, desired, driver_of, node_views
from apps.rollout.services.evidence import announce_activation
from apps.rollout.services.holding import hold_activations, hold_target
from apps.rollout.states import OPEN_ACTIVATIONS, OPEN_PROBES, ActivationState, move
from apps.rollout.surroundings import namespace_of

POLL_FIRST, POLL_LONGEST, POLL_NODES = timedelta(seconds=0.15), timedelta(seconds=15), timedelta(seconds=2)
MOST_EVENTS = 100
NO_TROUBLE: Mapping[str, Any] = {"error": "", "error_at": None, "trouble": "", "waiting_for": "", "to_approve": ""}
UNSETTLED = "unsettled"
SETTLED_BY: Mapping[str, str] = {DriverName.AKAMAI: "kv_token_ref", DriverName.KUBERNETES: "server_version"}
"""What ``setup`` finds, by driver: a target without it was never set up."""


def needs_setup(target: Target) -> bool:
    """Also again after another credential came, which may belong to another account."""
    if target.is_exported or target.is_removed:
        return False
    made = SETTLED_BY.get(target.driver)
    return made is not None and not target.is_pulled and (made not in target.facts or UNSETTLED in target.facts)


def set_up(*, target: Target, at: datetime) -> bool:
    """Make what the target needs once. False, with the error on the target, when the vendor would not."""
    try:
        with driver_of(target, at) as driver:
            if isinstance(driver, AkamaiDriver):
                _require_own_namespace(target, driver.store())
            found = driver.setup()
        _require_own_namespace(target, found)
    except VendorError as error:
        put_off(target, str(error), troubles.explain(target, error), error.retry_after, at)
        return False
    _settle(target, found, at)
    return True


def _require_own_namespace(target: Target, learned: Mapping[str, object]) -> None:
    """Two targets in one namespace would overwrite each other's grants."""
    namespace = namespace_of(target)
    if target.driver == DriverName.AKAMAI and (other := placing.sharing(target, namespace, learned)):
        words = f"is kept by the target {other.name} of the same account"
        raise VendorError(f"EdgeKV namespace {namespace}", 0, words, kind="namespace_shared")


def _settle(target: Target, found: Mapping[str, object], at: datetime) -> None:
    """Another credential may have come meanwhile: then what was found with the old one is looked for again."""
    token = found.get("kv_token")
    with transaction.atomic():
        held = Target.objects.select_for_update().get(pk=target.pk)
        if held.facts.get("account_id", "") not in ("", found.get("account_id", "")):
            placing.forget(held)  # nothing of what it holds was ever brought to this account
        held.facts = {**held.facts, **{name: value for name, value in found.items() if name != "kv_token"}}
        if isinstance(token, KvToken):
            held.facts["kv_token_ref"] = edge_tokens.remember(held, token, at).uuid
        if bytes(held.secret_sealed) == bytes(target.secret_sealed):
            held.facts.pop(UNSETTLED, None)
        held.attempts, held.retry_at, held.error, held.error_at, held.trouble = 0, None, "", None, ""
        held.save(update_fields=["facts", "attempts", "retry_at", "error", "error_at", "trouble"])


def learn_limits(target: Target, at: datetime) -> None:
    """Once a day, ask what the account may do. When it is not answered, what was known goes on being true."""
    if target.driver != DriverName.AKAMAI or not target.is_called or budgets.limits_are_fresh(target, at):
        return
    try:
        with akamai_driver(target, at) as driver:
            limits = driver.limits()
    except VendorError:
        limits = {}
    budgets.learn_limits(target=target, limits=limits, at=at)


def advance(*, target: Target, at: datetime) -> bool:
    """Take the next step of the open activation. False when there is none. The caller holds the target's lock."""
    activation = (
        Activation.objects.select_related("revision", "target")
        .filter(target=target, state__in=OPEN_ACTIVATIONS)
        .first()
    )
    if activation is None:
        return False
    learn_limits(target, at)
    wanted = desired(target, activation.revision)
    if wanted.code:
        releases.ensure(target=target, version=code_version(wanted.code), number=wanted.number, at=at)
    with driver_of(target, at) as driver:
        plan = driver.plan(wanted, believed(target, at))
        begin(activation, plan, at)
        step = _apply(driver, plan, target)
        if isinstance(driver, KubernetesDriver):
            cluster_objects.note_conflicts(target, driver, plan, step)
    _note(activation, step, at)
    return True


def begin(activation: Activation, plan: Plan, at: datetime) -> None:
    """Refuse a plan that was overtaken between planning and now; else say that it is being applied."""
    with transaction.atomic():
        target = hold_target(activation.target_id)
        if target.latest_number != plan.number or believed(target, at).fingerprint != plan.observed:
            raise StalePlan(f"{target.slug} moved on while revision {plan.number} was planned.")
        if activation.state == ActivationState.PENDING:
            move(activation, ActivationState.APPLYING)
            activation.started_at = at
            activation.save(update_fields=["state", "started_at"])


def _apply(driver: Driver, plan: Plan, target: Target) -> Step:
    try:
        return driver.apply(plan)
    except VendorError as error:
        trouble = troubles.explain(target, error).code
        return Step(done=False, error=str(error), retry_after=error.retry_after, trouble=trouble)


def _note(activation: Activation, step: Step, at: datetime) -> None:
    with transaction.atomic():
        hold_target(activation.target_id)
        _note_artifacts(activation.target, step)
        history.note(activation.target, step.moves)
        releases.note(activation.target, step, at)
        lines = [*step.events, *([step.waiting] if step.waiting else []), *([step.error] if step.error else [])]
        _say(activation, lines, at)
        if step.done:
            complete(activation, at=at)
        elif step.applied:
            proving.make_ready(activation.target, services=_services_in_force(activation.target, step), at=at)
    if not step.done:
        _wait(activation, step, at)


def _note_artifacts(target: Target, step: Step) -> None:
    """Remember what the target took, one statement for each hash."""
    for path, sha256 in step.applied.items():
        TargetArtifact.objects.filter(target=target, path=path).update(applied_sha256=sha256)
    gone = [path for path, sha256 in step.applied.items() if not sha256]
    TargetArtifact.objects.filter(target=target, path__in=gone, sha256="").delete()


def _services_in_force(target: Target, step: Step) -> Collection[str]:
    """Services of which the target holds everything now, though the rest of the revision is still under way."""
    touched = set(TargetArtifact.objects.filter(target=target, path__in=step.applied).values_list("service", flat=True))
    behind = TargetArtifact.objects.filter(target=target, service__in=touched).exclude(sha256=F("applied_sha256"))
    return touched - set(behind.values_list("service", flat=True))


def _say(activation: Activation, lines: Collection[str], at: datetime) -> None:
    """Append to the progress what was not just said."""
    said = {event["text"] for event in activation.events[-5:]}
    fresh = [{"at": at.isoformat(), "text": line} for line in lines if line not in said]
    activation.events = [*activation.events, *fresh][-MOST_EVENTS:]
    activation.save(update_fields=["events"])


def complete(activation: Activation, *, at: datetime) -> None:
    """The revision is in force. Nothing happens when it already was, or was overtaken. Call it in a transaction."""
    hold_target(activation.target_id)
    activation = hold_activations([activation.pk])[activation.pk]
    if activation.state not in OPEN_ACTIVATIONS:
        return
    if activation.state == ActivationState.PENDING:
        move(activation, ActivationState.APPLYING)
        activation.started_at = at
    move(activation, ActivationState.ACTIVE)
    activation.applied_at, activation.error = at, ""
    activation.save(update_fields=["state", "started_at", "applied_at", "error"])
    target = activation.target
    TargetArtifact.objects.filter(target=target).exclude(sha256=F("applied_sha256")).update(applied_sha256=F("sha256"))
    Target.objects.filter(pk=target.pk).update(
        active_number=activation.revision.number, attempts=0, retry_at=None, **NO_TROUBLE
    )
    announce_activation(activation, at)
    proving.make_ready(target, services=None, at=at)
    activation.refresh_from_db(fields=["state"])
    proving.finish(activation, at=at)


def complete_if_reported(*, target: Target, at: datetime) -> None:
    """Nodes report by themselves: when the last live one has, the open activation is done."""
    with transaction.atomic():
        hold_target(target.pk)
        activation = (
            Activation.objects.select_related("revision").filter(target=target, state__in=OPEN_ACTIVATIONS).first()
        )
        if activation is None:
            return
        views = [view for view in node_views(target, at) if view.live]
        if views and all(view.number >= activation.revision.number for view in views):
            complete(activation, at=at)


def _wait(activation: Activation, step: Step, at: datetime) -> None:
    """Look again soon when the vendor is working on it; later and later when it refused."""
    target = activation.target
    if step.error:
        put_off(target, step.error, troubles.named(target, step.trouble), step.retry_after, at)
        _tell_grants(activation, step.error, at)
        return
    age = at - (activation.started_at or at)
    soon = POLL_NODES if target.is_fetched else min(max(POLL_FIRST, age / 5), POLL_LONGEST)
    if step.retry_after is not None:
        soon = timedelta(seconds=step.retry_after)
    waiting = {**NO_TROUBLE, "waiting_for": step.waiting, "to_approve": step.to_approve}
    Target.objects.filter(pk=target.pk).update(attempts=0, retry_at=at + soon, **waiting)


def put_off(target: Target, error: str, trouble: Trouble, retry_after: float | None, at: datetime) -> None:
    """Note the failure on the target and when to try again."""
    attempts = target.attempts + 1
    delay = timedelta(seconds=trouble.pause(attempts, retry_after))
    noted = {**NO_TROUBLE, "error": error, "error_at": at, "trouble": trouble.code}
    Target.objects.filter(pk=target.pk).update(attempts=attempts, retry_at=at + delay, **noted)
    Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).update(error=error)


def _tell_grants(activation: Activation, error: str, at: datetime) -> None:
    """Whoever waits for a grant sees what keeps it, in the vendor's words."""
    waiting = activation.probes.filter(state__in=OPEN_PROBES).order_by("grant_id")
    told = waiting.values_list("grant_id", flat=True).distinct()[:50]
    record_errors(errors=dict.fromkeys(told, f"{activation.target.name}: {error}"), at=at)
