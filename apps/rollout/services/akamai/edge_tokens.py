"""The tokens the code at the edge reads EdgeKV with: remembered, renewed before they end, deleted when replaced.

A new token goes into new code, and new code goes its whole way: staging, a trial there, production, a watch. Only when
that code was seen to be good the old token is deleted. So whatever fails on the way, code that works goes on working.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction

from apps.audit.actors import SYSTEM
from apps.identity import vault
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.drivers.akamai.driver import KvToken, kv_token_name, next_token_name
from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import Delivery, DriverName, EdgeToken, PendingChange, Release, Target
from apps.rollout.services import releases
from apps.rollout.services.compiling import current_code
from apps.rollout.services.driving import akamai_driver
from apps.rollout.services.evidence import record_target
from apps.rollout.services.holding import hold_target
from apps.rollout.states import ReleaseState
from apps.rollout.surroundings import namespace_of

RENEWED, REFERENCE = "rollout.token.renewed", "kv_token_ref"
RENEW_BEFORE = timedelta(days=30)


def remember(target: Target, token: KvToken, at: datetime) -> EdgeToken:
    """The caller has opened a transaction."""
    facts = {
        "uuid": token.uuid,
        "value_sealed": vault.seal(token.value.encode()) if token.value else b"",
        "expires_on": token.expires_on,
        "refreshed_next": token.refreshed_next,
        "gone_at": None,
        "error": "",
    }
    row, _ = EdgeToken.objects.update_or_create(
        target=target, name=token.name, defaults=facts, create_defaults={**facts, "known_at": at}
    )
    return row


def list_tokens(target: Target) -> list[EdgeToken]:
    """Those that are not gone, the newest first."""
    return list(EdgeToken.objects.filter(target=target, gone_at=None).order_by("-known_at", "-pk"))


def base_name(target: Target) -> str:
    return kv_token_name(namespace_of(target), int(target.facts["edgeworker_id"]))


def is_ending(expires_on: date | None, at: datetime) -> bool:
    return expires_on is not None and expires_on - at.date() <= RENEW_BEFORE


def keep_all(*, at: datetime) -> list[str]:
    """Renew and tidy every target's tokens; the slugs of those for which there is new code to make."""
    rows = Target.objects.filter(driver=DriverName.AKAMAI, delivery=Delivery.DIRECT, facts__has_key=REFERENCE)
    return [target.slug for target in rows.order_by("slug") if keep(target=target, at=at)]


def keep(*, target: Target, at: datetime) -> bool:
    """Renew the token when it ends soon, and delete what was replaced. True when new code is to be made.

    Where Akamai refuses, the token says so, and it is tried again the next time.
    """
    current = EdgeToken.objects.filter(target=target, uuid=target.facts[REFERENCE]).first()
    try:
        if current is None or is_ending(current.expires_on, at):
            return _renew(target, current, at)
        _delete_replaced(target, current, at)
    except VendorError as error:
        EdgeToken.objects.filter(target=target, gone_at=None).update(error=explain(error))
    return False


def _renew(target: Target, current: EdgeToken | None, at: datetime) -> bool:
    """Another token. One that was made before we died is found under its name again, and used."""
    used = set(EdgeToken.objects.filter(target=target).values_list("name", flat=True))
    with akamai_driver(target, at) as driver:
        token = None
        while token is None:
            name = next_token_name(base_name(target), used)
            used.add(name)
            token = driver.ensure_token(name, int(target.facts["edgeworker_id"]))
    if current is None and token.uuid == target.facts[REFERENCE]:
        remember(target, token, at)
        return False
    with transaction.atomic():
        held = hold_target(target.pk)
        row = remember(target, token, at)
        held.facts = {**held.facts, REFERENCE: row.uuid}
        held.save(update_fields=["facts"])
        PendingChange.objects.create(target=target, topic=RENEWED, cause=row.name, at=at, retry_at=at)
        ends = {"expires_on": str(row.expires_on or "never")}
        before = {"token": current.name if current else "", "expires_on": str(current.expires_on if current else "")}
        record_target("token.renewed", target, actor=SYSTEM, at=at, before=before, after={"token": row.name, **ends})
    return True


def _delete_replaced(target: Target, current: EdgeToken, at: datetime) -> None:
    """Only once the code that is wanted, and was seen to be good on production, uses the current one."""
    replaced = EdgeToken.objects.filter(target=target, gone_at=None, known_at__lt=current.known_at).exclude(
        pk=current.pk
    )
    if not replaced or not _is_proven(target, current):
        return
    with akamai_driver(target, at) as driver:
        for row in replaced:
            driver.delete_token(row.name)
            with transaction.atomic():
                hold_target(target.pk)
                row.gone_at = at
                row.save(update_fields=["gone_at"])
                record_target("token.deleted", target, actor=SYSTEM, at=at, before={"token": row.name})


def _is_proven(target: Target, current: EdgeToken) -> bool:
    if releases.current(target) is not None:
        return False
    code = current_code(target)
    good = Release.objects.filter(
        target=target, version=code_version(code), state=ReleaseState.GOOD, began_at__gte=current.known_at
    )
    return good.exists() and any(mark_of(current) in artifact.content for artifact in code)


def mark_of(token: EdgeToken) -> bytes:
    """What of it stands in code."""
    return vault.unseal(token.value_sealed) if token.value_sealed else token.uuid.encode()
