"""How people get in: the session user of a subject, and which provider's word names which person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import NotFound, Refusal
from apps.identity import policies
from apps.identity.errors import InvalidSubject, SomebodyElse, StepUpNeeded, Suspended
from apps.identity.models import DirectoryUser, Kind, Login, Provider, Role, Subject, User
from apps.identity.services.roles import assign_role
from apps.identity.services.sessions import end_sessions
from apps.identity.services.subjects import find_locked, get_locked, record, upsert_subject
from apps.identity.verification import is_name
from apps.outbox import services as outbox

MET = "identity.directory.met"
"""A person has a sign-in under which a directory had described somebody: its groups and its state count from now on."""

USE_NOTED_EVERY = timedelta(minutes=1)
LINK_WITHIN = timedelta(minutes=5)


class UnknownLogin(Refusal):
    code = "unknown_login"
    status = 403
    default_message = "You signed in, but this console does not know you yet. Ask an administrator to add you."


class LoginTaken(Refusal):
    code = "login_taken"
    default_message = "That sign-in already belongs to somebody else."


def ensure_user(subject: Subject) -> User:
    """The user as which ``subject`` has sessions and tokens. Without a usable password."""
    user, _ = User.objects.get_or_create(
        subject=subject, defaults={"username": subject.key, "password": make_password(None)}
    )
    return user


def person_for_login(*, issuer: str, sub: str, claims: Mapping[str, object], create: bool, at: datetime) -> Subject:
    """The person ``issuer`` calls ``sub``. Somebody new is created without any rights, or refused (UnknownLogin).

    Names and addresses in ``claims`` are for showing; nobody is ever found by them. Whoever comes twice at once the
    first time is made once: the slower of the two finds what the faster has made.
    """
    try:
        return _person(issuer, sub, claims, create, at)
    except IntegrityError:
        return _person(issuer, sub, claims, create, at)


def _person(issuer: str, sub: str, claims: Mapping[str, object], create: bool, at: datetime) -> Subject:
    with transaction.atomic():
        login = (
            Login.objects.select_for_update(of=("self",))
            .select_related("subject")
            .filter(issuer=issuer, sub=sub)
            .first()
        )
        if login is None:
            if not create:
                raise UnknownLogin
            login = first_login(issuer=issuer, sub=sub, claims=claims, actor=SYSTEM, at=at)
        if not login.subject.is_active:
            raise Suspended
        if login.last_used_at is None or login.last_used_at <= at - USE_NOTED_EVERY:
            login.last_used_at = at
            login.save(update_fields=["last_used_at"])
    return login.subject


def first_login(*, issuer: str, sub: str, claims: Mapping[str, object], actor: Actor, at: datetime) -> Login:
    """A new person without any rights, and its sign-in. Part of use cases that have looked and found nobody."""
    subject = new_person(issuer=issuer, sub=sub, claims=claims, actor=actor, at=at)
    return link_new(issuer=issuer, sub=sub, subject=subject, actor=actor, at=at)


def new_person(*, issuer: str, sub: str, claims: Mapping[str, object], actor: Actor, at: datetime) -> Subject:
    """A new person under a key nobody has. ``sub`` only has to be the issuer's own for it."""
    return upsert_subject(
        key=_free_key(issuer, sub, claims),
        name=_text(claims, "name") or _text(claims, "preferred_username") or sub,
        email=_text(claims, "email"),
        actor=actor,
        at=at,
    )


def _free_key(issuer: str, sub: str, claims: Mapping[str, object]) -> str:
    """A readable key that nobody has: taking an existing person's key would be taking over the person."""
    wish = _text(claims, "preferred_username").partition("@")[0].lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", wish).strip("-._")[:40]
    suffix = hashlib.sha256(f"{issuer}\n{sub}".encode()).hexdigest()[:10]
    if name and not Subject.objects.filter(key=f"person:{name}").exists():
        return f"person:{name}"
    return f"person:{name or 'p'}-{suffix}"


def _text(claims: Mapping[str, object], name: str) -> str:
    """For showing, so what cannot be shown or stored is left out."""
    value = claims.get(name)
    return "".join(one for one in value if one.isprintable())[:200].strip() if isinstance(value, str) else ""


def link_login(*, issuer: str, sub: str, subject_key: str, actor: Actor, at: datetime) -> Login:
    """Let ``sub`` at ``issuer`` sign in as an existing person: an administrator's decision."""
    policies.require_can_administer(actor)
    if not is_name(sub) or not 0 < len(issuer) <= 300:
        raise InvalidSubject("This names no sign-in.", fields={"sub": ["Printable ASCII, at most 255 characters."]})
    return _link_to(issuer=issuer, sub=sub, subject_key=subject_key, actor=actor, at=at)


def link_own_login(
    *,
    issuer: str,
    sub: str,
    subject_key: str,
    proved_here_at: datetime | None,
    proved_there_at: datetime | None,
    actor: Actor,
    at: datetime,
) -> Login:
    """Let a person sign in in another way too. Both proofs must be minutes old: the session's, and the other one's.

    An open session alone would let whoever finds a screen unlocked make themselves a key to it.
    """
    if actor.id != subject_key:
        raise SomebodyElse
    for proved_at in (proved_here_at, proved_there_at):
        if proved_at is None or not at - LINK_WITHIN <= proved_at <= at:
            raise StepUpNeeded("Both sign-ins must be less than five minutes old. Please start again.")
    return _link_to(issuer=issuer, sub=sub, subject_key=subject_key, actor=actor, at=at)


def _link_to(*, issuer: str, sub: str, subject_key: str, actor: Actor, at: datetime) -> Login:
    try:
        with transaction.atomic():
            subject = get_locked(subject_key)
            if subject.kind != Kind.PERSON:
                raise InvalidSubject("Only people sign in.")
            if not subject.is_active:
                raise Suspended
            taken = Login.objects.select_for_update().filter(issuer=issuer, sub=sub).first()
            if taken is not None and taken.subject_id != subject.pk:
                raise LoginTaken
            return taken or link_new(issuer=issuer, sub=sub, subject=subject, actor=actor, at=at)
    except IntegrityError as error:
        raise LoginTaken from error


def unlink_login(*, login_id: int, actor: Actor, at: datetime) -> Subject:
    """An administrator takes a way to sign in away; the sessions that came by it end."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        login = Login.objects.select_for_update(of=("self",)).select_related("subject").filter(pk=login_id).first()
        if login is None:
            raise NotFound
        login.delete()
        subject = login.subject
        told = {"issuer": login.issuer, "sub": login.sub}
        record(subject, "identity.login.unlinked", actor=actor, at=at, after=told)
        for provider in Provider.objects.filter(issuer=login.issuer).values_list("pk", flat=True):
            end_sessions(
                subject_key=subject.key, provider_id=provider, actor=actor, at=at, why="the sign-in was unlinked"
            )
    return subject


def link_new(*, issuer: str, sub: str, subject: Subject, actor: Actor, at: datetime) -> Login:
    """Write down the sign-in. Users a directory pushed under this name before anybody had it are this person's now."""
    login = Login.objects.create(issuer=issuer, sub=sub, subject=subject, created_at=at)
    record(subject, "identity.login.linked", actor=actor, at=at, after={"issuer": issuer, "sub": sub})
    waiting = DirectoryUser.objects.filter(provider__issuer=issuer, external_id=sub, subject=None)
    if waiting.update(subject=subject):
        outbox.enqueue(topic=MET, key=subject.key, at=at)
    return login


def create_operator(*, name: str, password: str, at: datetime) -> User:
    """Break glass: a local administrator with a password, for when the identity provider is not there.

    Run again for the same name, it sets a new password and gives the roles back.
    """
    key = f"person:{name}"
    with transaction.atomic():
        subject = find_locked(key) or upsert_subject(key=key, name=name, actor=SYSTEM, at=at)
        user = ensure_user(subject)
        _require_good_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        for role in (Role.ADMINISTRATOR, Role.OPERATOR):
            assign_role(subject_key=key, role=role, actor=SYSTEM, at=at)
        record(subject, "identity.operator.password_set", actor=SYSTEM, at=at, after={})
    return user


def _require_good_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidSubject("Choose a better password.", fields={"password": error.messages}) from error
