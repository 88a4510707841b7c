"""Setting zones and the cells of their matrix. For security and administrators; all of it is on the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.catalog import selectors as catalog
from apps.catalog.models import Sensitivity
from apps.compiler.addresses import BadBlock, merge, read_block, write
from apps.compiler.graph import SubjectKind
from apps.compiler.words import listed
from apps.firewall import policies, refusals
from apps.firewall.models import Verdict, Zone, ZoneRule

MOST_ZONES = 20
"""More do not fit in a matrix that anybody reads."""
MOST_MEMBERS = 500


@dataclass(frozen=True, slots=True)
class ZoneValues:
    """What a zone holds, besides its short name. ``networks`` are blocks as people write them."""

    name: str
    services: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    sensitivities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def set_zone(*, slug: str, values: ZoneValues, actor: Actor, at: datetime) -> Zone:
    """Make a zone, or have it hold this. Raises BadZone with what is wrong by field."""
    policies.require_can_zone(actor)
    clean = _read(values)
    with transaction.atomic():
        zone = Zone.objects.select_for_update().filter(slug=slug).first()
        before = None if zone is None else _described(zone)
        if zone is None and Zone.objects.count() >= MOST_ZONES:
            raise refusals.BadZone(f"At most {MOST_ZONES} zones: more make a matrix that nobody reads.")
        zone = zone or Zone(slug=slug, created_at=at)
        for name, value in asdict(clean).items():
            setattr(zone, name, list(value) if isinstance(value, tuple) else value)
        try:
            zone.full_clean()
        except ValidationError as error:
            fields = {name: list(found) for name, found in error.message_dict.items()}
            raise refusals.BadZone(" ".join(error.messages), fields=fields) from error
        zone.save()
        _record("changed" if before else "created", zone, actor, at, before, _described(zone))
    return zone


def remove_zone(*, slug: str, actor: Actor, at: datetime) -> None:
    """With its row and its column of the matrix."""
    policies.require_can_zone(actor)
    with transaction.atomic():
        zone = Zone.objects.select_for_update().filter(slug=slug).first()
        if zone is None:
            raise refusals.UnknownZone
        before = _described(zone)
        zone.delete()
        _record("removed", zone, actor, at, before, None)


def set_cell(*, source: str, destination: str, verdict: str, why: str, actor: Actor, at: datetime) -> ZoneRule:
    """Say whether what is in one zone may be let into another."""
    policies.require_can_zone(actor)
    said = why.strip()
    fields: dict[str, list[str]] = {}
    if verdict not in Verdict.values:
        fields["verdict"] = ["Choose one of the three."]
    if not said or len(said) > 300 or not said.isprintable():
        fields["why"] = ["Say why, in a line of at most 300 characters."]
    if fields:
        raise refusals.BadZone(fields=fields)
    with transaction.atomic():
        zones = {zone.slug: zone for zone in Zone.objects.select_for_update().filter(slug__in=[source, destination])}
        if source not in zones or destination not in zones:
            raise refusals.UnknownZone
        pair = {"source": zones[source], "destination": zones[destination]}
        row = ZoneRule.objects.filter(**pair).first()
        before = None if row is None else {"verdict": row.verdict, "why": row.why}
        row = row or ZoneRule(**pair)
        row.verdict, row.why = verdict, said
        row.save()
        audit.record(
            action="firewall.zonerule.changed",
            actor=actor,
            target_type="firewall.zonerule",
            target_id=f"{source}:{destination}",
            target_name=f"{zones[source].name} to {zones[destination].name}",
            before=before,
            after={"verdict": row.verdict, "why": row.why},
            at=at,
        )
    return row


def _read(values: ZoneValues) -> ZoneValues:
    fields: dict[str, list[str]] = {}
    known = set(catalog.list_living_services().filter(slug__in=values.services).values_list("slug", flat=True))
    _complain(fields, "services", "service", set(values.services) - known)
    _complain(fields, "sensitivities", "sensitivity", set(values.sensitivities) - set(Sensitivity.values))
    _complain(fields, "kinds", "kind of caller", set(values.kinds) - {kind.value for kind in SubjectKind})
    try:
        networks = tuple(write(block) for block in merge(read_block(text) for text in values.networks))
    except BadBlock as error:
        fields["networks"], networks = [str(error)], ()
    if sum(len(part) for part in asdict(values).values() if isinstance(part, tuple)) > MOST_MEMBERS:
        fields["services"] = [f"At most {MOST_MEMBERS} members."]
    if fields:
        raise refusals.BadZone(" ".join(one for many in fields.values() for one in many), fields=fields)
    return ZoneValues(
        name=values.name.strip(),
        services=_once(values.services),
        namespaces=_once(values.namespaces),
        networks=networks,
        sensitivities=_once(values.sensitivities),
        kinds=_once(values.kinds),
    )


def _once(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(given))


def _complain(fields: dict[str, list[str]], field: str, what: str, unknown: set[str]) -> None:
    if unknown:
        fields[field] = [f"There is no {what} {listed(sorted(unknown)[:3])}."]


def _described(zone: Zone) -> dict[str, object]:
    return {
        "name": zone.name,
        "services": zone.services,
        "namespaces": zone.namespaces,
        "networks": zone.networks,
        "sensitivities": zone.sensitivities,
        "kinds": zone.kinds,
    }


def _record(
    verb: str,
    zone: Zone,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    audit.record(
        action=f"firewall.zone.{verb}",
        actor=actor,
        target_type="firewall.zone",
        target_id=zone.slug,
        target_name=zone.name,
        before=before,
        after=after,
        at=at,
    )
