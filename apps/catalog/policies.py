"""Who may change the catalogue."""

from __future__ import annotations

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import NotAllowed
from apps.identity import selectors as identity
from apps.identity.models import Role


class MayNotImport(NotAllowed):
    code = "may_not_import"
    default_message = "Only an operator or an administrator may import a catalogue."


def can_import(actor: Actor) -> bool:
    return _has_role(actor, Role.OPERATOR, Role.ADMINISTRATOR)


def require_can_import(actor: Actor) -> None:
    if not can_import(actor):
        raise MayNotImport


def can_import_people(actor: Actor) -> bool:
    """People, teams and who decides for them: whoever writes these could make himself an approver."""
    return _has_role(actor, Role.ADMINISTRATOR)


def _has_role(actor: Actor, *roles: str) -> bool:
    if actor == SYSTEM:
        return True
    subject = identity.list_by_keys([actor.id]).get(actor.id)
    return subject is not None and identity.has_role(subject, *roles)
