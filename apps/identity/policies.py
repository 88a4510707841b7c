"""Who may change what about identities. Agents and workloads never may: ``has_role`` is for active people only."""

from __future__ import annotations

from apps.audit.actors import SYSTEM, Actor
from apps.identity import selectors
from apps.identity.errors import MayNotBind, MayNotIssueToken, MayNotSuspend, NotAnAdministrator
from apps.identity.models import Kind, Role, Subject


def _actor_has_role(actor: Actor, *roles: str) -> bool:
    """The console itself (commands, imports, sweeps) may do everything; others by the roles they hold now."""
    if actor == SYSTEM:
        return True
    subject = selectors.find_subject(actor.id)
    return subject is not None and selectors.has_role(subject, *roles)


def require_can_administer(actor: Actor) -> None:
    if not _actor_has_role(actor, Role.ADMINISTRATOR):
        raise NotAnAdministrator


def require_can_suspend(actor: Actor) -> None:
    if not _actor_has_role(actor, Role.SECURITY, Role.ADMINISTRATOR):
        raise MayNotSuspend


def can_use_django_admin(subject: Subject) -> bool:
    return selectors.has_role(subject, Role.OPERATOR, Role.ADMINISTRATOR)


def can_hold_tokens_of(actor: Actor, subject: Subject) -> bool:
    """Make and revoke API tokens of ``subject``."""
    if _actor_has_role(actor, Role.ADMINISTRATOR):
        return True
    person = selectors.find_subject(actor.id)
    if person is None or person.kind != Kind.PERSON or not person.is_active:
        return False
    return subject == person or _answers_for(person, subject)


def _answers_for(person: Subject, subject: Subject) -> bool:
    if subject.owner_id is not None and subject.owner_id == person.pk:
        return True
    return subject.team is not None and selectors.is_owner(person, subject.team)


def require_can_hold_tokens_of(actor: Actor, subject: Subject) -> None:
    if not can_hold_tokens_of(actor, subject):
        raise MayNotIssueToken


def can_bind(actor: Actor, subject: Subject) -> bool:
    """Say which outside identities are ``subject``, and how much it may do. Never the subject itself."""
    person = selectors.find_subject(actor.id)
    return actor == SYSTEM or (person is not None and may_bind(person, subject))


def may_bind(person: Subject, subject: Subject) -> bool:
    if selectors.has_role(person, Role.ADMINISTRATOR):
        return True
    return person.kind == Kind.PERSON and person.is_active and _answers_for(person, subject)


def may_see_bindings(person: Subject, subject: Subject) -> bool:
    """Those who watch over the estate may look; only those who answer for it may change anything."""
    watches = selectors.has_role(person, Role.SECURITY, Role.AUDITOR, Role.OPERATOR)
    return person == subject or watches or may_bind(person, subject)


def require_can_bind(actor: Actor, subject: Subject) -> None:
    if not can_bind(actor, subject):
        raise MayNotBind
