"""Who may do what with firewall requests, zones and services that are to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.access.policies import GOVERNORS, SEE_ALL, require_active
from apps.audit.actors import SYSTEM, Actor
from apps.firewall import refusals
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.catalog.models import Service
    from apps.firewall.models import FirewallLine, FirewallRequest
    from apps.identity.models import Subject


def is_asker(actor: Subject, request: FirewallRequest) -> bool:
    """Whoever wrote it; and the owner of an agent that did, because its owner answers for it."""
    return actor.is_active and actor.pk in {request.asker_id, request.asker.owner_id}


def require_asker(actor: Subject, request: FirewallRequest) -> None:
    require_active(actor)
    if not is_asker(actor, request):
        raise refusals.NotYourFirewallRequest


def is_settled(line: FirewallLine) -> bool:
    return line.access_request_id is not None or line.request.withdrawn_at is not None


def require_unsettled(line: FirewallLine) -> None:
    if is_settled(line):
        raise refusals.LineClosed


def can_zone(actor: Subject) -> bool:
    return identity.has_role(actor, *GOVERNORS)


def require_can_zone(actor: Actor) -> None:
    """The console itself may (seeding); others by the role they hold now."""
    if actor == SYSTEM:
        return
    subject = identity.find_subject(actor.id)
    if subject is None or not can_zone(subject):
        raise refusals.NotYoursToZone


def can_propose_end(actor: Subject, service: Service) -> bool:
    ours = actor.kind == "person" and actor.is_active and identity.is_member(actor, service.team)
    return ours or identity.has_role(actor, *GOVERNORS)


def require_can_propose_end(actor: Subject, service: Service) -> None:
    if not can_propose_end(actor, service):
        raise refusals.NotYoursToDecommission


def can_end_all(actor: Subject, asker_id: int) -> bool:
    """Nobody decides about what they proposed."""
    return actor.pk != asker_id and identity.has_role(actor, *GOVERNORS)


def require_can_end_all(actor: Subject, asker_id: int) -> None:
    if not can_end_all(actor, asker_id):
        raise refusals.NotYoursToEndAll


def require_can_see_end(actor: Subject, service: Service) -> None:
    """What names a service tells who may reach what: for its team and those who watch over all."""
    if not can_propose_end(actor, service) and not identity.has_role(actor, *SEE_ALL):
        raise refusals.NotYoursToDecommission
