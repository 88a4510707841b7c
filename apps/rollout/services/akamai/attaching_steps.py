"""The steps a worker takes to bring our rule into a property, or out of it. Each may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from apps.rollout.drivers.akamai.api import PRODUCTION, STAGING
from apps.rollout.drivers.akamai.errors import Trouble, as_documented, property_trouble
from apps.rollout.drivers.akamai.property import (
    ACTIVE,
    UNDER_WAY,
    ChangedMeanwhile,
    Issue,
    NoProperty,
    Property,
    PropertyDriver,
    RuleTree,
    Unacknowledged,
)
from apps.rollout.drivers.akamai.rules import NotOurRule, difference, hosts_of, is_same, with_our_rule, without_our_rule
from apps.rollout.drivers.akamai.words import explain, own_words, standing
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import PropertyChange
from apps.rollout.services.akamai import attaching, budgets
from apps.rollout.services.akamai.attached import attached
from apps.rollout.services.driving import akamai_api
from apps.rollout.services.evidence import tell_pages
from apps.rollout.services.putting_off import claim, pause
from apps.rollout.states import WORKING_PROPERTIES, PropertyState, move

POLL = timedelta(seconds=10)
MOST_ATTEMPTS = 20
MOST_EVENTS = 50
_NEXT = {STAGING: PropertyState.PRODUCTION, PRODUCTION: PropertyState.DONE}

Clock = Callable[[], datetime]


def run(*, change_id: int, clock: Clock) -> bool:
    """Take the step that is due. False when there is none."""
    working = PropertyChange.objects.filter(state__in=WORKING_PROPERTIES)
    change = claim(working.select_related("target"), change_id, clock())
    if change is None:
        return False
    try:
        with closing(akamai_api(change.target)) as api, as_documented():
            _STEPS[change.state](change, PropertyDriver(api), clock)
    except NotOurRule as error:
        _move(change, PropertyState.FAILED, str(error), clock(), error=str(error))
    except VendorError as error:
        _put_off(change, error, clock())
    return True


def _find(change: PropertyChange, driver: PropertyDriver) -> Property:
    """Our rule is taken out of the property it was put into, whichever has the host by now."""
    held = [one for one in attaching.attached(change.target) if one.hostname == change.hostname]
    if not change.removal or not held:
        return driver.find(change.hostname)
    known = held[0].found
    return driver.get(str(known["id"]), str(known["contract_id"]), str(known["group_id"]))


def _plan(change: PropertyChange, driver: PropertyDriver, clock: Clock) -> None:
    """Compare only."""
    found = _find(change, driver)
    _show(change, found, driver.rules(found, found.base), clock())


def _show(change: PropertyChange, found: Property, active: RuleTree, at: datetime) -> None:
    change.found, change.base_etag = asdict(found), active.etag
    change.diff = difference(active.rules, _wanted(change, active.rules))
    if change.diff:
        _move(change, PropertyState.PLANNED, f"{found.name} version {active.version} would change.", at)
    elif found.staging == found.production or found.production is None:
        _move(change, PropertyState.DONE, f"{found.name} is as it should be; nothing was changed.", at)
    else:
        _move(change, PropertyState.DONE, f"{found.name} is as it should be on production.", at)


def _wanted(change: PropertyChange, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Other hosts of the same property that our rule is for, or should be, are named in it; without any it goes."""
    mark, where = attached(change.target, ()).mark, str(change.found.get("id", ""))
    ours = {one.hostname for one in attaching.attached(change.target) if one.found["id"] == where}
    hosts = ours.union(hosts_of(rules, mark))
    hosts = hosts - {change.hostname} if change.removal else hosts | {change.hostname}
    wish = replace(attached(change.target, tuple(hosts), where), to_end=change.to_end)
    return with_our_rule(rules, wish) if hosts else without_our_rule(rules, mark)


def _write(change: PropertyChange, driver: PropertyDriver, clock: Clock) -> None:
    """A new version from the active one, judged by Akamai before it is written."""
    found = _find(change, driver)
    active = driver.rules(found, found.base)
    if active.etag != change.base_etag:
        _show_again(change, found, active, clock())
        return
    if difference(active.rules, _wanted(change, active.rules)) != change.diff:
        _show_again(change, found, active, clock(), "What our rule should say has changed meanwhile.")
        return
    if change.version is None:
        change.version = driver.new_version(found, active)
        change.save(update_fields=["version"])
    fresh = driver.rules(found, change.version)
    wanted, note = _wanted(change, active.rules), f"Sallyport, asked for by {change.asked_by}"
    if not is_same(fresh.rules, active.rules) and not is_same(fresh.rules, wanted):
        _show_again(change, found, active, clock())
        return
    try:
        judged = driver.write(found, fresh, wanted, note, dry_run=True)
        if not judged.errors:
            judged = driver.write(found, fresh, wanted, note)
    except ChangedMeanwhile:
        _show_again(change, found, driver.rules(found, found.base), clock())
        return
    _judged(change, judged, clock())


def _show_again(change: PropertyChange, found: Property, active: RuleTree, at: datetime, why: str = "") -> None:
    """What was agreed to is not what is there: a person looks again, unless nothing is left to do."""
    change.found, change.base_etag, change.version = asdict(found), active.etag, None
    change.diff = difference(active.rules, _wanted(change, active.rules))
    why = why or f"Somebody else changed {found.name} meanwhile."
    if change.diff:
        _move(change, PropertyState.PLANNED, f"{why} Look again.", at)
    else:
        _move(change, PropertyState.DONE, f"{why} It is as it should be on production.", at)


def _judged(change: PropertyChange, judged: RuleTree, at: datetime) -> None:
    if judged.errors:
        words = "; ".join(one.text for one in judged.errors)
        _move(change, PropertyState.FAILED, "Akamai finds the version invalid.", at, error=words)
        return
    event = f"Version {judged.version} is written."
    if _left(change, judged.warnings):
        _warn(change, judged.warnings, event, at)
    else:
        _move(change, PropertyState.STAGING, event, at)


def _left(change: PropertyChange, warnings: tuple[Issue, ...]) -> bool:
    return any(one.id not in change.accepted for one in warnings)


def _warn(change: PropertyChange, warnings: tuple[Issue, ...], event: str, at: datetime) -> None:
    change.warnings = [asdict(one) for one in warnings]
    _move(change, PropertyState.WARNED, f"{event} Akamai warns: {len(warnings)}.", at)


def _bring_to(network: str, change: PropertyChange, driver: PropertyDriver, clock: Clock) -> None:
    found = _find(change, driver)
    version = int(change.version or 0)
    if found.active_on(network) == version:
        _move(change, _NEXT[network], f"Version {version} is live on {network.lower()}.", clock())
        return
    rows = [one for one in driver.activations(found) if (one.version, one.network) == (version, network)]
    if not rows and _was_overtaken(change, found, network):
        _show_again(change, found, driver.rules(found, found.base), clock())
    elif not rows:
        _activate(network, change, driver, found, clock)
    elif rows[0].status in (*UNDER_WAY, ACTIVE):
        newest = driver.activation(found, rows[0].id)
        text = f"Activation {newest.id} on {network.lower()} is {standing(newest.status)}."
        wait = timedelta(seconds=newest.retry_after) if newest.retry_after is not None else POLL
        _wait(change, text, clock() + min(wait, POLL))
    else:
        newest = driver.activation(found, rows[0].id)
        words = f"Activation {newest.id} on {network.lower()} ended as {newest.status}. {newest.failure}".strip()
        _move(change, PropertyState.FAILED, words, clock(), error=words)


def _was_overtaken(change: PropertyChange, found: Property, network: str) -> bool:
    """Whether another version went live since ours was made: activating ours would take that back unseen."""
    then = Property(**change.found)
    return (found.production, found.active_on(network)) != (then.production, then.active_on(network))


def _activate(network: str, change: PropertyChange, driver: PropertyDriver, found: Property, clock: Clock) -> None:
    note = f"Sallyport, asked for by {change.asked_by}"
    leave = budgets.AccountBudget(change.target, clock()).property_activation()
    if not leave.granted:
        _wait(change, leave.why, clock() + timedelta(seconds=leave.wait))
        return
    try:
        made = driver.activate(
            found,
            int(change.version or 0),
            network,
            emails=[change.email],
            note=note,
            acknowledged=change.accepted,
        )
    except Unacknowledged as refused:
        _warn(change, refused.warnings, f"Activation on {network.lower()} was not begun.", clock())
        return
    _wait(change, f"Activation {made} on {network.lower()} is asked for.", clock())


_STEPS: Mapping[str, Callable[[PropertyChange, PropertyDriver, Clock], None]] = {
    PropertyState.ASKED: _plan,
    PropertyState.WRITING: _write,
    PropertyState.STAGING: partial(_bring_to, STAGING),
    PropertyState.PRODUCTION: partial(_bring_to, PRODUCTION),
}


def _move(change: PropertyChange, to: str, event: str, at: datetime, *, error: str = "") -> None:
    move(change, to)
    change.error, change.attempts = error, 0
    _wait(change, event, at)


def _wait(change: PropertyChange, event: str, until: datetime) -> None:
    if not change.events or change.events[-1]["text"] != event:
        change.events = [*change.events, {"text": event}][-MOST_EVENTS:]
    change.retry_at = until
    with transaction.atomic():
        if PropertyChange.objects.select_for_update().filter(pk=change.pk, state=PropertyState.DROPPED).exists():
            return
        change.save()
        tell_pages()


def _put_off(change: PropertyChange, error: VendorError, at: datetime) -> None:
    """Tried again later and later; what Akamai refuses for good is failed at once. A credential or a right can be given
    back, and what was agreed to is not lost for it.
    """
    change.attempts += 1
    trouble = property_trouble(error)
    words = f"{change.hostname}: {error.text}." if isinstance(error, NoProperty) else explain(error)
    if trouble is not None:
        words = f"{trouble.what} Akamai: {own_words(error)}"
    final = trouble is None and 400 <= error.status < 500 and error.status not in (401, 403, 408, 409, 422, 429)
    if (final or change.attempts >= MOST_ATTEMPTS) and change.state in WORKING_PROPERTIES:
        _move(change, PropertyState.FAILED, words, at, error=words)
        return
    change.error = words
    _wait(change, words, at + _pause(change.attempts, error, trouble))


def _pause(attempts: int, error: VendorError, trouble: Trouble | None) -> timedelta:
    if trouble is not None:
        return timedelta(seconds=trouble.pause(attempts, error.retry_after))
    return pause(attempts, error.retry_after)
