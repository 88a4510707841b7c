"""Who may change what about identities. Agents and workloads never may: ``has_role`` is for active people only."""

from __future__ import annotations

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import NotAllowed
from apps.identity import selectors
from apps.identity.errors import MayNotBind, MayNotIssueToken, MayNotSuspend, NotAnAdministrator
from apps.identity.models import Kind, Provider, Role, Subject

SUSPENDERS = (Role.SECURITY, Role.ADMINISTRATOR)
"""Who may suspend, reinstate and see somebody off."""

PROVIDER = "provider"
"""The kind in the id of an actor that is a provider: ``provider:okta``."""


def is_provider(actor_id: str) -> bool:
    """No key of a subject can look like a provider's id, by the kinds there are."""
    return actor_id.startswith(f"{PROVIDER}:")


def provider_actor(provider: Provider) -> Actor:
    """The provider itself, as the record names it when a directory told us something."""
    return Actor(id=f"{PROVIDER}:{provider.slug}", name=provider.name)


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
    if not _actor_has_role(actor, *SUSPENDERS):
        raise MayNotSuspend


def can_end_sessions(actor: Actor, subject_key: str) -> bool:
    """One's own, and as security or an administrator everybody's."""
    return actor.id == subject_key or _actor_has_role(actor, Role.SECURITY, Role.ADMINISTRATOR)


def require_can_end_sessions(actor: Actor, subject_key: str) -> None:
    if not can_end_sessions(actor, subject_key):
        raise NotAllowed("Only they themselves, security and administrators may end somebody's sessions.")


def require_can_see_off(actor: Actor) -> None:
    """Make somebody leave, or sign them out everywhere: for those who may suspend, and a provider that is enabled.

    A provider is no subject, so ``require_can_suspend`` never knows one: it gets here only through the services of
    leaving, which name it themselves. No key of a subject can look like a provider's id, by the kinds there are.
    """
    kind, _, slug = actor.id.partition(":")
    if kind == PROVIDER and Provider.objects.filter(slug=slug, enabled=True).exists():
        return
    require_can_suspend(actor)


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
