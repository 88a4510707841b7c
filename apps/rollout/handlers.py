"""What the rest of the house tells us. Each handler only notes what to compile again and wakes the work.

Running one twice notes the change twice, which compiles to the same bytes once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from apps.access import carriers
from apps.compiler.graph import Point
from apps.outbox.registry import News, handles, handles_many
from apps.rollout import tasks
from apps.rollout.services import changes, delivering, preflights
from apps.rollout.services.akamai import attaching, origin_certificates, streaming
from apps.rollout.services.cluster import driving

carriers.register(driving.carries_tcp)
carriers.register_list_keeper(delivering.keeps_lists)
LEASE = 3
"""Seconds: these only write down what is to be done, so a worker that takes longer is taken for dead."""


@handles_many("access.grant.changed", lease_seconds=LEASE)
def grants_changed(*, news: Sequence[News], at: datetime) -> None:
    found = [_grant_news(one) for one in news]
    outside = [one.grant_id for one in found if set(one.points) == {Point.EDGE}]
    noted = changes.note_grants(grants=found, at=at)
    noted += changes.note_addresses(grant_ids=outside, at=at) if outside else []
    _wake(list(dict.fromkeys(noted)))
    transaction.on_commit(partial(tasks.wake_lists, at), robust=True)


def _grant_news(news: News) -> changes.GrantNews:
    payload = news.payload
    points, environment = _strings(payload["points"]), str(payload["environment"])
    return changes.GrantNews(news.key, str(payload["service"]), points, environment, news.urgent)


@handles("access.guardrail.changed", lease_seconds=LEASE)
def guardrail_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    _wake(changes.note_guardrail(slug=key, services=_strings(payload.get("services", [])), at=at))


@handles("access.host.changed", lease_seconds=LEASE)
def host_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    _wake(changes.note_addresses(grant_ids=None, at=at))
    transaction.on_commit(partial(tasks.wake_lists, at), robust=True)


@handles("catalog.service.changed", lease_seconds=LEASE)
def service_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    _wake(changes.note_service(slug=key, at=at))


@handles("trust.key.changed", lease_seconds=LEASE)
def key_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    _wake(changes.note_key(purpose=key, at=at))


@handles("trust.certificate.issued", lease_seconds=LEASE)
def certificate_issued(*, key: str, payload: dict[str, object], at: datetime) -> None:
    _wake(changes.note_certificate(workload=key, at=at))


@handles(preflights.ASKED, lease_seconds=LEASE)
def preflight_asked(*, key: str, payload: dict[str, object], at: datetime) -> None:
    transaction.on_commit(partial(tasks.wake_preflights, at), robust=True)


@handles(attaching.CHANGED, lease_seconds=LEASE)
def property_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    transaction.on_commit(partial(tasks.wake_properties, at), robust=True)


@handles(streaming.CHANGED, lease_seconds=LEASE)
def stream_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    transaction.on_commit(partial(tasks.wake_streams, at), robust=True)


@handles(origin_certificates.CHANGED, lease_seconds=LEASE)
def origin_certificate_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    transaction.on_commit(partial(tasks.wake_certificates, at), robust=True)


def _strings(value: object) -> Sequence[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _wake(slugs: Sequence[str]) -> None:
    transaction.on_commit(partial(tasks.poke, tuple(slugs)), robust=True)
