"""API tokens: long random secrets of which only a hash is kept."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.errors import InvalidSubject, InvalidToken, Suspended
from apps.identity.models import ApiToken, ConsoleRole, Kind, Scope, Subject
from apps.identity.services.logins import ensure_user
from apps.identity.services.subjects import entry, get_locked, record
from apps.identity.vault import hash_of

PREFIX = "sp_"
SHOWN = 10
LONGEST = timedelta(days=366)
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """``plain`` exists only here: show it once."""

    token: ApiToken
    plain: str = field(repr=False)


def issue_api_token(
    *, subject_key: str, name: str, scopes: Collection[str], expires_at: datetime, actor: Actor, at: datetime
) -> IssuedToken:
    """A new token for ``subject_key``. Locks the subject, so that a suspension and this happen one after the other."""
    plain = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        subject = get_locked(subject_key)
        policies.require_can_hold_tokens_of(actor, subject)
        if subject.kind == Kind.TEAM:
            raise InvalidSubject("A team has no tokens; its members and agents do.")
        if not subject.is_active:
            raise Suspended
        _check(name=name, scopes=scopes, expires_at=expires_at, at=at)
        ensure_user(subject)
        token = ApiToken.objects.create(
            subject=subject,
            name=name.strip(),
            prefix=plain[:SHOWN],
            hash=hash_of(plain),
            scopes=sorted(set(scopes)),
            created_at=at,
            expires_at=expires_at,
        )
        _record("issued", token, actor, at)
    return IssuedToken(token, plain)


def _check(*, name: str, scopes: Collection[str], expires_at: datetime, at: datetime) -> None:
    fields: dict[str, list[str]] = {}
    if not name.strip() or len(name) > 100:
        fields["name"] = ["Give it a name of at most 100 characters."]
    if not scopes or not set(scopes) <= set(Scope.values):
        fields["scopes"] = [f"Choose from {', '.join(Scope.values)}."]
    if not at < expires_at <= at + LONGEST:
        fields["expires_at"] = [f"Choose a moment within the next {LONGEST.days} days."]
    if fields:
        raise InvalidSubject("The token cannot be made like this.", fields=fields)


def revoke_api_token(*, token_id: int, actor: Actor, at: datetime) -> ApiToken:
    """Revoking twice is revoking once. A token of somebody else is said not to exist."""
    with transaction.atomic():
        token = (
            ApiToken.objects.select_for_update(of=("self",)).select_related("subject__team").filter(pk=token_id).first()
        )
        if token is None or not policies.can_hold_tokens_of(actor, token.subject):
            raise NotFound
        if token.revoked_at is None:
            token.revoked_at = at
            token.save(update_fields=["revoked_at"])
            _record("revoked", token, actor, at)
    return token


def live_tokens_locked(subjects: Collection[Subject], at: datetime) -> list[ApiToken]:
    """Those that work now, held until the transaction ends. No token is made meanwhile where the subject is held."""
    return list(_live(at).select_for_update().filter(subject__in=subjects).order_by("pk"))


def revoke_locked(tokens: Collection[ApiToken], *, at: datetime) -> None:
    """A part of use cases that have checked their actor. What goes on the record is the caller's."""
    ApiToken.objects.filter(pk__in=[token.pk for token in tokens]).update(revoked_at=at)


def revoked(subject: Subject, tokens: Sequence[ApiToken], *, actor: Actor, why: str) -> audit.Entry:
    """What goes on the record when all tokens of ``subject`` end together."""
    names = [{"token": one.pk, "name": one.name, "prefix": one.prefix} for one in tokens]
    return entry(subject, "identity.api_token.all_revoked", actor=actor, after={"tokens": names, "why": why})


def authenticate_api_token(plain: str, *, at: datetime) -> ApiToken:
    """The live token behind ``plain`` with its subject, user and ``held_roles``; raises InvalidToken or Suspended.

    One query, and one write a minute to note its use.
    """
    roles = ConsoleRole.objects.filter(subject=OuterRef("subject")).values("role")
    whole = _live(at).select_related("subject__owner", "subject__team", "subject__user")
    token = whole.annotate(held_roles=ArraySubquery(roles)).filter(hash=hash_of(plain)).first()
    if token is None:
        raise InvalidToken
    if not token.subject.is_active:
        raise Suspended
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=at - USE_NOTED_EVERY)
    if token.last_used_at is None or token.last_used_at <= at - USE_NOTED_EVERY:
        ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=at)
    return token


def _live(at: datetime) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(revoked_at=None, expires_at__gt=at)


def _record(verb: str, token: ApiToken, actor: Actor, at: datetime) -> None:
    after = {"token": token.pk, "name": token.name, "prefix": token.prefix, "scopes": token.scopes}
    record(token.subject, f"identity.api_token.{verb}", actor=actor, at=at, after=after)
