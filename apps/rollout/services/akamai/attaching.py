"""Our rule in a property: asked for, shown as a difference, agreed to by a person, then brought there by a worker.

A worker takes one step at a time; between steps only the row is known, so it may die anywhere. What it reads is
compared with what a person agreed to: when somebody else changed the property, the new difference is shown first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import InvalidInput, NotAllowed, NotFound, Refusal
from apps.outbox import services as outbox
from apps.rollout.models import DriverName, PropertyChange, Target
from apps.rollout.services.akamai.typed import host_and_email
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.targets import BadTarget, get_target, require_called
from apps.rollout.states import OPEN_PROPERTIES, WORKING_PROPERTIES, PropertyState, move

CHANGED = "rollout.property.changed"


class PropertyBusy(Refusal):
    code = "property_busy"
    default_message = "Another change of a property is under way for this target; finish or drop it first."


class NotAgreed(Refusal):
    """What was agreed to is not what is there now."""

    code = "property_moved"
    default_message = "What you agreed to has changed meanwhile. Look at it again."


class PersonNeeded(NotAllowed):
    code = "person_needed"
    default_message = "Only a person can agree to this; others may ask for it."


def ask(
    *, slug: str, hostname: str, removal: bool, email: str, actor: Actor, at: datetime, to_end: bool = False
) -> PropertyChange:
    """Have a worker compare the property of a hostname with what it should do. Nothing is changed yet.

    ``email`` is who Akamai tells of activations: it wants an address.
    """
    name, address, fields = host_and_email(hostname, email, tells_of="activations")
    if fields:
        raise InvalidInput(fields=fields)
    with transaction.atomic():
        target = Target.objects.select_for_update().get(pk=get_target(slug).pk)
        require_called(target)
        if target.driver != DriverName.AKAMAI or "edgeworker_id" not in target.facts:
            raise BadTarget(f"{target.name} has no EdgeWorker that a property could run.")
        if PropertyChange.objects.filter(target=target, state__in=OPEN_PROPERTIES).exists():
            raise PropertyBusy
        change = PropertyChange.objects.create(
            target=target,
            hostname=name,
            removal=removal,
            to_end=to_end,
            email=address,
            asked_by=actor.name[:200],
            asked_at=at,
            retry_at=at,
        )
        _tell(change, "property.asked", actor, at)
    return change


def agree(*, change_id: int, shown: str, actor: Actor, at: datetime) -> PropertyChange:
    """Have it brought there. ``shown`` is the ETag of the version whose difference was seen."""
    _require_person(actor)
    with transaction.atomic():
        change = _locked(change_id)
        if change.base_etag != shown:
            raise NotAgreed
        _step_to(change, PropertyState.WRITING, at)
        _tell(change, "property.agreed", actor, at)
    return change


def agree_to_renewal(*, change_id: int, standing: str, at: datetime) -> PropertyChange:
    """As ``standing`` agreed in advance: the caller has seen that only the client certificate's version changes.

    Warnings that a person accepted when this went live last count as accepted; a new one waits for a person.
    """
    with transaction.atomic():
        change = _locked(change_id)
        done = PropertyChange.objects.filter(target=change.target, hostname=change.hostname, state=PropertyState.DONE)
        change.accepted = next(iter(done.order_by("-pk").values_list("accepted", flat=True)[:1]), [])
        _step_to(change, PropertyState.WRITING, at)
        _tell(change, "property.agreed", SYSTEM, at, agreed_in_advance_by=standing)
    return change


def accept_warnings(*, change_id: int, named: Sequence[str], actor: Actor, at: datetime) -> PropertyChange:
    """Every warning has to be named; who did is on the record."""
    _require_person(actor)
    with transaction.atomic():
        change = _locked(change_id)
        if {one["id"] for one in change.warnings} != set(named):
            raise NotAgreed("Accept every warning by itself, or drop the change.")
        change.accepted = sorted({*change.accepted, *named})
        texts = [one["text"] for one in change.warnings]
        _step_to(change, PropertyState.STAGING, at)
        _tell(change, "property.warnings_accepted", actor, at, warnings=texts)
    return change


def drop(*, change_id: int, actor: Actor, at: datetime) -> PropertyChange:
    """Not wanted any more. What is live stays as it is; a version that was made stays unused."""
    with transaction.atomic():
        change = _locked(change_id)
        _step_to(change, PropertyState.DROPPED, at)
        _tell(change, "property.dropped", actor, at)
    return change


def _require_person(actor: Actor) -> None:
    if not actor.id.startswith("person:"):
        raise PersonNeeded


def _locked(change_id: int) -> PropertyChange:
    change = (
        PropertyChange.objects.select_for_update(of=("self",)).select_related("target").filter(pk=change_id).first()
    )
    if change is None:
        raise NotFound
    return change


def _step_to(change: PropertyChange, to: str, at: datetime) -> None:
    """Raises MoveRefused when it moved on meanwhile."""
    move(change, to)
    change.retry_at, change.attempts, change.error = at, 0, ""
    change.save()


def _tell(change: PropertyChange, verb: str, actor: Actor, at: datetime, **more: object) -> None:
    said = {"hostname": change.hostname, "removal": change.removal, "version": change.version, **more}
    record_target(verb, change.target, actor=actor, at=at, after=said)
    payload = {"target": change.target.slug, "state": change.state}
    outbox.enqueue(topic=CHANGED, key=str(change.pk), payload=payload, at=at)
    tell_pages()


def due(at: datetime) -> list[int]:
    """Changes with a step that a worker should take now."""
    rows = PropertyChange.objects.filter(state__in=WORKING_PROPERTIES, retry_at__lte=at)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def newest(target: Target, limit: int) -> list[PropertyChange]:
    return list(PropertyChange.objects.filter(target=target).order_by("-pk")[:limit])


def attached(target: Target) -> list[PropertyChange]:
    """The last word on each host that our rule should be live for."""
    ended = PropertyChange.objects.filter(target=target, state=PropertyState.DONE)
    newest = ended.order_by("hostname", "-pk").distinct("hostname")
    return [change for change in newest if not change.removal and change.found]


def take_over(change: PropertyChange, hostnames: Sequence[str], actor: Actor, at: datetime) -> None:
    """Hosts for which our rule is live already, though nobody asked for it here."""
    rows = [
        PropertyChange(
            target=change.target,
            hostname=hostname,
            email=change.email,
            state=PropertyState.DONE,
            found=change.found,
            events=[{"text": f"{hostname} was found in our rule and taken over."}],
            asked_by=actor.name[:200],
            asked_at=at,
            retry_at=at,
        )
        for hostname in hostnames
    ]
    PropertyChange.objects.bulk_create(rows)


def is_under_way(target: Target) -> bool:
    return PropertyChange.objects.filter(target=target, state__in=OPEN_PROPERTIES).exists()
