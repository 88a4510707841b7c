"""The client certificate an edge target shows to the mesh: asked for, looked at, and when it is to be renewed.

Here only rows are written; a worker takes the steps at Akamai (``origin_certificate_steps``). A property is changed
only by the road every change of a property takes: compared, agreed to by a person, activated. Whoever agrees to
renewals in advance agrees to one thing: our own rule naming the newer version instead of the older.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput, NotFound
from apps.outbox import services as outbox
from apps.rollout.models import DriverName, OriginCertificate, PropertyChange, Target
from apps.rollout.services.akamai import budgets
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.akamai.typed import host_and_email
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.targets import BadTarget, get_target, require_called

CHANGED = "rollout.origin_certificate.changed"
RENEW_BEFORE = timedelta(days=10)
"""Of thirty days: a renewal takes minutes, and where a person has to look at it there are days for that."""

WARN_BEFORE = timedelta(days=5)
"""A renewal that is not live by then needs somebody: without it the mesh refuses every call of the edge."""

OVERLAP = timedelta(days=1)
"""So long the older version is kept after the property on production names the newer."""

ACTIVATIONS = 2
"""Of the property, for each renewal: staging, then production."""


class NoOriginCertificate(NotFound):
    code = "no_origin_certificate"
    default_message = "This target has no client certificate at Akamai yet."


@dataclass(frozen=True, slots=True)
class CertificateInput:
    """``agree_to_renewals``: they then go live without being looked at."""

    hostname: str
    email: str
    agree_to_renewals: bool = False


def ask(*, slug: str, given: CertificateInput, actor: Actor, at: datetime) -> OriginCertificate:
    """Have a worker make the certificate, sign it, and ask for the property to name it. Asking again changes it."""
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI or "edgeworker_id" not in target.facts:
        raise BadTarget(f"{target.name} has no EdgeWorker whose property could show a certificate.")
    require_called(target)
    name, email = _checked(given)
    if given.agree_to_renewals and not actor.id.startswith("person:"):
        raise PersonNeeded
    with transaction.atomic():
        Target.objects.select_for_update(of=("self",)).get(pk=target.pk)
        row = OriginCertificate.objects.filter(target=target).first() or OriginCertificate(target=target)
        row.hostname, row.email = name, email
        row.agreed_by = actor.name[:200] if given.agree_to_renewals else ""
        row.asked_by, row.asked_at, row.planned_guid = actor.name[:200], at, ""
        _due(row, at)
        _tell(row, "asked", actor, at, hostname=name, agreed_to_renewals=given.agree_to_renewals)
    return row


def _checked(given: CertificateInput) -> tuple[str, str]:
    name, email, fields = host_and_email(given.hostname, given.email, tells_of="certificates that run out")
    if fields:
        raise InvalidInput(fields=fields)
    return name, email


def renew(*, slug: str, actor: Actor, at: datetime) -> OriginCertificate:
    """Now, rather than ten days before the end."""
    with transaction.atomic():
        row = _locked(slug)
        row.renew_asked = True
        _due(row, at)
        _tell(row, "renewal_asked", actor, at)
    return row


def plan_again(*, slug: str, actor: Actor, at: datetime) -> OriginCertificate:
    """Have the property compared once more: the last change was dropped, or failed."""
    with transaction.atomic():
        row = _locked(slug)
        row.planned_guid = ""
        _due(row, at)
        _tell(row, "plan_asked", actor, at)
    return row


def _locked(slug: str) -> OriginCertificate:
    rows = OriginCertificate.objects.select_for_update(of=("self",)).select_related("target")
    row = rows.filter(target__slug=slug).first()
    if row is None:
        raise NoOriginCertificate
    return row


def _due(row: OriginCertificate, at: datetime) -> None:
    row.retry_at, row.attempts, row.error = at, 0, ""
    row.save()


def _tell(row: OriginCertificate, verb: str, actor: Actor, at: datetime, **more: object) -> None:
    record_target(f"origin_certificate.{verb}", row.target, actor=actor, at=at, after=more or None)
    outbox.enqueue(topic=CHANGED, key=row.target.slug, payload={"target": row.target.slug}, at=at)
    tell_pages()


# -- reading ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Outlook:
    """What comes next. ``room``: how many property activations are left today; a renewal takes ``ACTIVATIONS``."""

    renews_at: datetime | None
    room: int

    @property
    def fits(self) -> bool:
        return self.room >= ACTIVATIONS


def get_origin_certificate(target: Target) -> OriginCertificate | None:
    return OriginCertificate.objects.filter(target=target).first()


def outlook(row: OriginCertificate, *, at: datetime) -> Outlook:
    renews_at = row.deployed_until - RENEW_BEFORE if row.deployed_until else None
    return Outlook(renews_at, budgets.room(row.target, budgets.PROPERTY_ACTIVATIONS, at))


def shown_until(row: OriginCertificate) -> datetime | None:
    """When the certificate ends that production shows, whatever is ready beside it."""
    ends = (one["expires_at"] for one in row.versions if one["guid"] == row.bound_guid)
    return next((datetime.fromisoformat(end) for end in ends if end), None)


def ends_soon(row: OriginCertificate, *, at: datetime) -> bool:
    until = shown_until(row)
    return until is not None and until - WARN_BEFORE <= at


def list_ending(*, at: datetime) -> list[OriginCertificate]:
    """Those that production shows and that run out soon. One query."""
    rows = OriginCertificate.objects.exclude(bound_guid="").select_related("target").order_by("pk")
    return [row for row in rows if ends_soon(row, at=at)]


def version_rows(row: OriginCertificate) -> list[Mapping[str, Any]]:
    """Newest first, each with what it is now."""
    return [{**one, "use": _use(one["guid"], row)} for one in row.versions]


def _use(guid: str, row: OriginCertificate) -> str:
    if guid == row.bound_guid:
        return "shown by production"
    return "next" if guid == row.deployed_guid else ""


def last_change(row: OriginCertificate) -> PropertyChange | None:
    return PropertyChange.objects.filter(target_id=row.target_id).order_by("-pk").first()
