"""Celery entry points of the rollout, and the poke that starts them. Losing any of these costs seconds, no change."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from celery import current_app, shared_task
from django.utils import timezone

from apps.outbox import nudge
from apps.rollout.services import drifting, evidence, preflights, reconciling
from apps.rollout.services.akamai import (
    attaching,
    attaching_steps,
    edge_tokens,
    listing,
    origin_certificate_steps,
    streaming_steps,
    tidying,
)
from apps.rollout.states import PropertyState

CHANNEL = evidence.CHANNEL
SHORT_WAIT, STAY = 0.5, 3.0
"""Within a task it is worth waiting this long for the next step, and staying this long in all."""

LIST_STEPS = 3
"""Steps of a list that follow one another without waiting."""

BEAT = {
    "rollout.sweep": {"task": "rollout.sweep", "schedule": 2.0, "options": {"expires": 10}},
    "rollout.observe": {"task": "rollout.observe", "schedule": 60.0, "options": {"expires": 60}},
    "rollout.tokens": {"task": "rollout.tokens", "schedule": 3600.0, "options": {"expires": 3600}},
    "rollout.tidy": {"task": "rollout.tidy", "schedule": 86_400.0, "options": {"expires": 3600}},
}


def poke(slugs: Iterable[str]) -> None:
    """Have each target looked at now. Without Valkey nobody is woken and nothing is lost: the sweep looks by itself."""
    for slug in dict.fromkeys(slugs):
        if nudge.publish(CHANNEL):
            current_app.send_task("rollout.reconcile", kwargs={"target": slug}, retry=False, expires=60)


def poke_due(at: datetime) -> None:
    poke(reconciling.due_targets(at).values_list("slug", flat=True))


def wake_preflights(at: datetime) -> None:
    """Have workers take what was asked for. A request to many outside calls never waits in a page."""
    for preflight_id in preflights.due(at):
        if nudge.publish(CHANNEL):
            current_app.send_task("rollout.preflight", kwargs={"preflight": preflight_id}, retry=False, expires=60)


def wake_properties(at: datetime) -> None:
    for change_id in attaching.due(at):
        if nudge.publish(CHANNEL):
            current_app.send_task("rollout.property", kwargs={"change": change_id}, retry=False, expires=60)


def wake_lists(at: datetime) -> None:
    """Lists of addresses that differ from what was approved, or whose doors wait."""
    for list_id in listing.due(at):
        if nudge.publish(CHANNEL):
            current_app.send_task("rollout.list", kwargs={"address_list": list_id}, retry=False, expires=60)


def wake_streams(at: datetime) -> None:
    for stream_id in streaming_steps.due(at):
        if nudge.publish(CHANNEL):
            current_app.send_task("rollout.stream", kwargs={"stream": stream_id}, retry=False, expires=60)


def wake_certificates(at: datetime) -> None:
    """Beat's sweep comes by here: what nears its end is due by its row, so no renewal waits in the broker."""
    for row_id in origin_certificate_steps.due(at):
        if nudge.publish(CHANNEL):
            current_app.send_task("rollout.origin_certificate", kwargs={"row": row_id}, retry=False, expires=60)


def run(slug: str) -> None:
    """Reconcile, and stay for what follows within moments."""
    leave_at = time.monotonic() + STAY
    while True:
        outcome = reconciling.reconcile(slug=slug, clock=timezone.now)
        if outcome.busy or outcome.next_at is None:
            return
        wait = max((outcome.next_at - timezone.now()).total_seconds(), 0.01)
        if wait > SHORT_WAIT or time.monotonic() + wait > leave_at:
            return
        time.sleep(wait)


@shared_task(name="rollout.reconcile", acks_late=True, time_limit=120)
def reconcile(*, target: str, **_: object) -> None:
    """Poked when something changed."""
    run(target)


@shared_task(name="rollout.sweep", acks_late=True, time_limit=120)
def sweep(**_: object) -> None:
    """Finds what a lost poke, a dead worker or a backed-off failure left behind."""
    at = timezone.now()
    poke_due(at)
    wake_preflights(at)
    wake_properties(at)
    wake_lists(at)
    wake_streams(at)
    wake_certificates(at)


@shared_task(name="rollout.preflight", acks_late=True, time_limit=170)
def preflight(*, preflight: int, **_: object) -> None:
    """Poked when somebody asked what a target's account lets us do."""
    preflights.run(preflight_id=preflight, clock=timezone.now)


@shared_task(name="rollout.property", acks_late=True, time_limit=170)
def bring_property(*, change: int, **_: object) -> None:
    """Poked when a change of a property has a step to take, and swept while an activation is under way."""
    for _step in PropertyState:
        if not attaching_steps.run(change_id=change, clock=timezone.now):
            return


@shared_task(name="rollout.list", acks_late=True, time_limit=170)
def bring_list(*, address_list: int, **_: object) -> None:
    """Poked when a list has a step to take, and swept while an activation is under way."""
    for _step in range(LIST_STEPS):
        if not listing.run(list_id=address_list, clock=timezone.now):
            return


@shared_task(name="rollout.stream", acks_late=True, time_limit=170)
def bring_stream(*, stream: int, **_: object) -> None:
    """Poked when somebody asked for something of a stream, and swept: its state is looked at every few minutes."""
    streaming_steps.run(stream_id=stream, clock=timezone.now)


@shared_task(name="rollout.origin_certificate", acks_late=True, time_limit=170)
def bring_certificate(*, row: int, **_: object) -> None:
    """Poked when somebody asked, and swept: made, signed, named by the property, renewed ten days before its end."""
    origin_certificate_steps.run(row_id=row, clock=timezone.now)


@shared_task(name="rollout.observe", acks_late=True, time_limit=120)
def observe(**_: object) -> None:
    """Reads back what the targets really hold."""
    drifting.observe_all(at=timezone.now())
    listing.observe_all(at=timezone.now())


@shared_task(name="rollout.tidy", acks_late=True, time_limit=120)
def tidy(**_: object) -> None:
    """Deletes code versions at the vendor that nobody needs any more."""
    tidying.tidy_all(at=timezone.now())


@shared_task(name="rollout.tokens", acks_late=True, time_limit=120)
def keep_tokens(**_: object) -> None:
    """Renews the tokens the code reads EdgeKV with before they end, and deletes those that were replaced."""
    poke(edge_tokens.keep_all(at=timezone.now()))
