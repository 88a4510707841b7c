"""Users that a directory pushes: written down, met with the person they are, suspended and reinstated with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.chain import Json
from apps.identity import policies
from apps.identity.errors import DirectoryEntryTaken
from apps.identity.mapping import reading
from apps.identity.mapping.applying import lock_ahead, settle
from apps.identity.mapping.rules import trips
from apps.identity.models import (
    DirectoryAlert,
    DirectoryUser,
    Login,
    Provider,
    SignalChannel,
    SignalOutcome,
    Subject,
    SubjectState,
)
from apps.identity.services.heard import note_heard
from apps.identity.services.leaving import leave
from apps.identity.services.logins import first_login, link_new, new_person
from apps.identity.services.provider_record import note_provider
from apps.identity.services.provider_secrets import lock_provider
from apps.identity.services.subjects import get_locked, reinstate_locked, upsert_subject

WINDOW = timedelta(minutes=10)
NAMING = frozenset({"displayName", "name", "userName"})
WHY = "The directory says so (SCIM)."


@dataclass(frozen=True, slots=True)
class Described:
    """A user as the directory describes it. ``document`` is the rest of the resource, to give back as it came."""

    user_name: str
    user_name_key: str
    external_id: str
    active: bool
    name: str
    email: str
    document: dict[str, Json]

    @property
    def claims(self) -> dict[str, object]:
        return {"preferred_username": self.user_name, "name": self.name, "email": self.email}


def add_user(*, provider: Provider, described: Described, actor: Actor, at: datetime) -> DirectoryUser:
    """Write down a new user and meet its person. Raises DirectoryEntryTaken."""
    policies.require_can_see_off(actor)
    with transaction.atomic():
        provider = lock_provider(provider.slug)
        _require_free(provider, described, None)
        entry = DirectoryUser(provider=provider, scim_id=uuid4(), created_at=at)
        _copy(described, entry, at)
        entry.subject = _meet(provider, described, entry, actor, at)
        entry.save(force_insert=True)
        _follow_state(entry, actor, at)
        _record("added", entry, actor, at, sorted(described.document))
    return entry


def change_user(*, entry: DirectoryUser, described: Described, actor: Actor, at: datetime) -> DirectoryUser:
    """Write down what changed. The person follows: its name, its mail, whether it is suspended, and who it is.

    ``entry`` was read under the provider's lock.
    """
    policies.require_can_see_off(actor)
    with transaction.atomic():
        _require_free(entry.provider, described, entry.pk)
        if entry.subject_id is not None:
            lock_ahead(entry.provider, [entry.subject_id])
        changed = sorted(
            name
            for name in described.document.keys() | entry.document.keys()
            if described.document.get(name) != entry.document.get(name)
        )
        moved = _moves(entry, described, actor, at)
        _copy(described, entry, at)
        entry.revision += 1
        entry.save()
        if entry.subject is not None and not moved:
            _rename(entry.subject, described, changed, actor, at)
        _follow_state(entry, actor, at)
        _record("changed", entry, actor, at, changed)
        if moved:
            settle(entry.provider, people=moved, actor=actor, at=at)
    return entry


def remove_user(*, entry: DirectoryUser, actor: Actor, at: datetime) -> None:
    """The directory forgets the user: the same as inactive, and the row is gone."""
    policies.require_can_see_off(actor)
    with transaction.atomic():
        subject = entry.subject
        if subject is not None:
            lock_ahead(entry.provider, [subject.pk])
        entry.active = False
        _follow_state(entry, actor, at)
        _record("removed", entry, actor, at, [])
        provider = entry.provider
        entry.delete()
        if subject is not None:
            settle(provider, people=[subject.pk], actor=actor, at=at)


def welcome(*, subject_key: str, at: datetime) -> None:
    """Somebody has got a sign-in that directories had described already: bring the person in line. Idempotent."""
    entries = DirectoryUser.objects.filter(subject__key=subject_key).select_related("provider").order_by("provider")
    for found in entries:
        with transaction.atomic():
            provider = lock_provider(found.provider.slug)
            actor = policies.provider_actor(provider)
            entry = DirectoryUser.objects.select_related("provider", "subject").filter(pk=found.pk).first()
            if entry is not None and entry.subject_id is not None:
                lock_ahead(provider, [entry.subject_id])
                _follow_state(entry, actor, at)
                settle(provider, people=[entry.subject_id], actor=actor, at=at)


def _copy(described: Described, entry: DirectoryUser, at: datetime) -> None:
    entry.user_name, entry.user_name_key = described.user_name, described.user_name_key
    entry.external_id, entry.active = described.external_id, described.active
    entry.document, entry.updated_at = dict(described.document), at


def _require_free(provider: Provider, described: Described, but: int | None) -> None:
    others = DirectoryUser.objects.filter(provider=provider).exclude(pk=but or 0)
    if others.filter(user_name_key=described.user_name_key).exists():
        raise DirectoryEntryTaken(extra={"attribute": "userName"})
    if described.external_id and others.filter(external_id=described.external_id).exists():
        raise DirectoryEntryTaken(extra={"attribute": "externalId"})


def _meet(provider: Provider, described: Described, entry: DirectoryUser, actor: Actor, at: datetime) -> Subject | None:
    """Who this is: whoever signs in under (issuer, externalId). Never somebody of the same mail or user name."""
    issuer, sub = provider.issuer, described.external_id
    if sub:
        login = Login.objects.select_related("subject").filter(issuer=issuer, sub=sub).first()
        if login is not None:
            return login.subject
    if not provider.creates_people:
        return None
    if sub:
        return first_login(issuer=issuer, sub=sub, claims=described.claims, actor=actor, at=at).subject
    return new_person(issuer=issuer, sub=str(entry.scim_id), claims=described.claims, actor=actor, at=at)


def _moves(entry: DirectoryUser, described: Described, actor: Actor, at: datetime) -> list[int]:
    """Give the entry to whoever its new externalId names; returns the people concerned, if it changed hands.

    Another externalId is another person: the former one has left this directory and is suspended. Only a person that
    nobody can sign in as yet, because the directory named no externalId so far, may get it for a sign-in.
    """
    if described.external_id == entry.external_id or not described.external_id:
        return []
    former, issuer = entry.subject, entry.provider.issuer
    known = Login.objects.filter(issuer=issuer, sub=described.external_id).exists()
    if former is not None and not known and not former.logins.exists():
        link_new(issuer=issuer, sub=described.external_id, subject=former, actor=actor, at=at)
        return []
    entry.subject = _meet(entry.provider, described, entry, actor, at)
    if former == entry.subject:
        return []
    if former is not None:
        _leave(entry, former, actor, at)
    return [one.pk for one in (former, entry.subject) if one is not None]


def _rename(subject: Subject, described: Described, changed: list[str], actor: Actor, at: datetime) -> None:
    """Only what the directory itself changed: somebody may be called otherwise here."""
    name = described.name if NAMING & set(changed) else subject.name
    email = described.email if "emails" in changed else subject.email
    if (name, email) != (subject.name, subject.email):
        upsert_subject(key=subject.key, name=name, email=email, actor=actor, at=at)


def _follow_state(entry: DirectoryUser, actor: Actor, at: datetime) -> None:
    """Inactive there is suspended here, at once. Active again undoes only what this directory did, and only while no
    other directory says inactive."""
    if entry.subject_id is None:
        return
    subject = get_locked(entry.subject.key)  # type: ignore[union-attr]  # its id is there
    if not entry.active:
        if _leave(entry, subject, actor, at):
            _watch_suspensions(entry.provider, actor, at)
        return
    if subject.state == SubjectState.SUSPENDED and subject.suspended_by == actor.id:
        _give_back(entry, subject, actor, at)


def _leave(entry: DirectoryUser, subject: Subject, actor: Actor, at: datetime) -> bool:
    """True when somebody was still here. That is noted among the signals, beside what other ways told."""
    left = leave(subject_key=subject.key, actor=actor, at=at, why=WHY)
    if left.suspended or left.sessions or left.tokens:
        note_heard(
            provider=entry.provider,
            channel=SignalChannel.SCIM,
            identifier=f"{entry.scim_id} {subject.pk} {at.isoformat()}",
            kind="active: false",
            outcome=SignalOutcome.LEFT,
            subject=subject,
            sub=entry.external_id,
            sessions=left.sessions,
            tokens=left.tokens,
            at=at,
        )
    return left.suspended


def _give_back(entry: DirectoryUser, subject: Subject, actor: Actor, at: datetime) -> None:
    elsewhere = DirectoryUser.objects.filter(subject=subject, active=False).exclude(pk=entry.pk)
    other = elsewhere.select_related("provider").first()
    if other is None:
        reinstate_locked(subject, actor=actor, at=at, why=WHY)
        return
    subject.suspended_by = policies.provider_actor(other.provider).id
    subject.save(update_fields=["suspended_by"])


def _watch_suspensions(provider: Provider, actor: Actor, at: datetime) -> None:
    """Leaving is never delayed. When very many leave at once, somebody is told, once in a while."""
    recent = Subject.objects.filter(suspended_by=actor.id, suspended_at__gt=at - WINDOW).count()
    if recent < reading.AT_LEAST:
        return
    total = DirectoryUser.objects.filter(provider=provider, subject__isnull=False).count()
    share = reading.most_loss_percent()
    told = DirectoryAlert.objects.filter(provider=provider, raised_at__gt=at - WINDOW)
    if not trips(losing=recent, holders=total, percent=share, at_least=reading.AT_LEAST) or told.exists():
        return
    DirectoryAlert.objects.create(provider=provider, people=recent, out_of=total, raised_at=at)
    told_now = {"people": recent, "out_of": total}
    note_provider(provider, "identity.directory.mass_suspension", actor=actor, at=at, after=told_now)


def _record(verb: str, entry: DirectoryUser, actor: Actor, at: datetime, changed: list[str]) -> None:
    audit.record(
        action=f"identity.directory_user.{verb}",
        actor=actor,
        target_type="identity.directory_user",
        target_id=str(entry.scim_id),
        target_name=entry.user_name,
        after={
            "person": entry.subject.key if entry.subject else None,
            "external_id": entry.external_id,
            "active": entry.active,
            "attributes": changed,
        },
        at=at,
    )
