"""Console roles: given and taken away by administrators, and always to people."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import InvalidSubject, LastAdministrator, RoleFromDirectory
from apps.identity.models import ConsoleRole, Kind, MappedRole, Role, Subject, SubjectState
from apps.identity.services.subjects import get_locked, note


def assign_role(*, subject_key: str, role: str, actor: Actor, at: datetime) -> Subject:
    """Quiet when the person already has it."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        subject = get_locked(subject_key)
        if subject.kind != Kind.PERSON or role not in Role.values:
            raise InvalidSubject("Only people hold console roles, and only the roles there are.")
        held, created = ConsoleRole.objects.select_for_update().get_or_create(subject=subject, role=role)
        if not held.stated:
            held.stated = True
            held.save(update_fields=["stated"])
        if created:
            note(subject, "identity.role.assigned", actor=actor, at=at, after={"role": role})
    return subject


def withdraw_role(*, subject_key: str, role: str, actor: Actor, at: datetime) -> Subject:
    """Quiet when the person does not have it; raises RoleFromDirectory when a group gives it: it would again."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        subject = get_locked(subject_key)
        held = ConsoleRole.objects.select_for_update().filter(subject=subject, role=role)
        if not held.exists():
            return subject
        if MappedRole.objects.filter(subject=subject, role=role).exists():
            raise RoleFromDirectory
        if role == Role.ADMINISTRATOR:
            _require_another_administrator(subject)
        held.delete()
        note(subject, "identity.role.withdrawn", actor=actor, at=at, before={"role": role})
    return subject


def _require_another_administrator(subject: Subject) -> None:
    if is_last_administrator(subject):
        raise LastAdministrator


def is_last_administrator(subject: Subject) -> bool:
    """Locks the other administrators' rows, so that two cannot dismiss each other at the same moment."""
    others = ConsoleRole.objects.select_for_update().filter(role=Role.ADMINISTRATOR, subject__state=SubjectState.ACTIVE)
    return others.exclude(subject=subject).order_by("pk").first() is None
