"""People, teams, workloads and agents: made, changed, suspended, reinstated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import InvalidSubject, SelfSuspension, UnknownSubject
from apps.identity.models import Kind, Subject, SubjectState
from apps.identity.services import denials
from apps.outbox import services as outbox

CHANGED = "identity.subject.changed"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
SPIFFE_ID = re.compile(r"spiffe://[a-z0-9][a-z0-9._-]{0,62}(/[A-Za-z0-9._-]{1,63}){1,8}")


def upsert_subject(
    *,
    key: str,
    name: str,
    email: str = "",
    owner_key: str | None = None,
    team_key: str | None = None,
    purpose: str = "",
    actor: Actor,
    at: datetime,
) -> Subject:
    """Make ``key`` what is described here. Nothing is written, recorded or enqueued when it already is.

    The caller has checked that ``actor`` may: imports and directory syncs use this too. Owners are locked before their
    agents, here and by whoever sees an owner off.
    """
    kind = kind_of(key)
    wanted: dict[str, object] = {
        "name": name or key.partition(":")[2],
        "email": email,
        "owner": _person(owner_key) if kind == Kind.AGENT else None,
        "team": _team(team_key) if kind in {Kind.WORKLOAD, Kind.AGENT, Kind.PARTY} else None,
        "purpose": purpose,
    }
    with transaction.atomic():
        if owner_key is not None:
            lock_all([owner_key])
        subject = find_locked(key)
        if subject is None:
            return _create(key, kind, wanted, actor, at)
        return _change(subject, wanted, actor, at)


def kind_of(key: str) -> Kind:
    """The kind a key speaks of; raises InvalidSubject unless the key is well formed."""
    kind, _, rest = key.partition(":")
    pattern = SPIFFE_ID if kind == Kind.WORKLOAD else NAME
    if kind not in Kind.values or not pattern.fullmatch(rest) or len(key) > 265:
        raise InvalidSubject(fields={"key": [f"{key!r} is not like person:ada or workload:spiffe://domain/path."]})
    return Kind(kind)


def find_locked(key: str) -> Subject | None:
    return Subject.objects.select_for_update(of=("self",)).select_related("owner", "team").filter(key=key).first()


def get_locked(key: str) -> Subject:
    subject = find_locked(key)
    if subject is None:
        raise UnknownSubject(f"There is no {key}.")
    return subject


def agents_locked(owners: Collection[Subject]) -> list[Subject]:
    """The agents they answer for, in the order of their keys. With the owners locked there come no more."""
    known = {owner.pk: owner for owner in owners}
    agents = list(Subject.objects.select_for_update(of=("self",)).filter(owner__in=known).order_by("key"))
    for agent in agents:
        agent.owner = known[agent.owner_id]  # type: ignore[index]  # found by it
    return agents


def lock_all(keys: Collection[str]) -> dict[str, Subject]:
    """The subjects that exist, by key, locked in the order of their keys."""
    found = Subject.objects.select_for_update(of=("self",)).select_related("owner", "team").filter(key__in=set(keys))
    found = found.order_by("key")
    return {one.key: one for one in found}


def _person(key: str | None) -> Subject:
    owner = Subject.objects.filter(key=key, kind=Kind.PERSON).first()
    if owner is None:
        raise InvalidSubject(fields={"owner": ["An agent needs an owner, and the owner is a person we know."]})
    return owner


def _team(key: str | None) -> Subject | None:
    if key is None:
        return None
    team = Subject.objects.filter(key=key, kind=Kind.TEAM).first()
    if team is None:
        raise InvalidSubject(fields={"team": [f"There is no team {key}."]})
    return team


def _create(key: str, kind: Kind, wanted: dict[str, object], actor: Actor, at: datetime) -> Subject:
    spiffe_id = key.partition(":")[2] if kind == Kind.WORKLOAD else None
    subject = Subject.objects.create(key=key, kind=kind, spiffe_id=spiffe_id, created_at=at, **wanted)
    note(subject, "identity.subject.created", actor=actor, at=at, after=_described(wanted))
    return subject


def _change(subject: Subject, wanted: dict[str, object], actor: Actor, at: datetime) -> Subject:
    changed = {name: value for name, value in wanted.items() if getattr(subject, name) != value}
    if not changed:
        return subject
    before = {name: getattr(subject, name) for name in changed}
    for name, value in changed.items():
        setattr(subject, name, value)
    subject.save(update_fields=list(changed))
    if "owner" in changed:
        denials.settle([subject], at=at)
    note(
        subject,
        "identity.subject.changed",
        actor=actor,
        at=at,
        before=_described(before),
        after=_described(changed),
    )
    return subject


def _described(values: dict[str, object]) -> dict[str, object]:
    return {name: value.key if isinstance(value, Subject) else value for name, value in values.items()}


def note(
    subject: Subject,
    action: str,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    urgent: bool = False,
) -> None:
    """Record a change of ``subject`` and tell whoever compiles from it; ``urgent`` when it takes something away."""
    record(subject, action, actor=actor, at=at, before=before, after=after)
    outbox.enqueue(topic=CHANGED, key=subject.key, at=at, urgent=urgent)


def record(
    subject: Subject,
    action: str,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """What happened to ``subject``, where nothing has to be compiled for it."""
    audit.record_all([entry(subject, action, actor=actor, before=before, after=after)], at=at)


def entry(
    subject: Subject,
    action: str,
    *,
    actor: Actor,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> audit.Entry:
    """What goes on the record about ``subject``."""
    return audit.Entry(action, actor, "identity.subject", subject.key, subject.name, before, after)


def suspend_subject(*, key: str, actor: Actor, at: datetime, why: str = "") -> Subject:
    """Nothing of ``key`` works from now on: sessions, API tokens, and, once compiled, its grants at both doors.

    The same goes for the agents of a suspended person. Suspending twice is suspending once.
    """
    if actor.id == key:
        raise SelfSuspension
    return _move(key=key, to=SubjectState.SUSPENDED, actor=actor, at=at, why=why)


def reinstate_subject(*, key: str, actor: Actor, at: datetime, why: str = "") -> Subject:
    """Undo a suspension. What ended meanwhile stays ended."""
    return _move(key=key, to=SubjectState.ACTIVE, actor=actor, at=at, why=why)


def _move(*, key: str, to: SubjectState, actor: Actor, at: datetime, why: str) -> Subject:
    policies.require_can_suspend(actor)
    with transaction.atomic():
        subject = get_locked(key)
        _move_locked(subject, to=to, actor=actor, at=at, why=why)
    return subject


def reinstate_locked(subject: Subject, *, actor: Actor, at: datetime, why: str) -> None:
    """A part of use cases of this app that ask another rule about ``actor``, and hold the subject's lock."""
    _move_locked(subject, to=SubjectState.ACTIVE, actor=actor, at=at, why=why)


def _move_locked(subject: Subject, *, to: SubjectState, actor: Actor, at: datetime, why: str) -> None:
    moved = moved_to(subject, to, actor=actor, at=at, why=why)
    if moved is None:
        return
    everybody = [subject, *agents_locked([subject])]
    subject.save(update_fields=MOVED)
    denials.settle(everybody, at=at)
    audit.record_all([moved], at=at)
    payloads: dict[str, dict[str, object]] = {one.key: {} for one in everybody}
    outbox.enqueue_many(topic=CHANGED, payloads=payloads, at=at, urgent=to == SubjectState.SUSPENDED)


MOVED = ("state", "suspended_at", "suspended_by")


def moved_to(subject: Subject, to: SubjectState, *, actor: Actor, at: datetime, why: str) -> audit.Entry | None:
    """Change the row, which the caller has locked and saves (MOVED); what goes on the record, or None for no change."""
    if subject.kind == Kind.TEAM:
        raise InvalidSubject("A team cannot be suspended; suspend its members.")
    if subject.state == to:
        return _taken_over(subject, actor, why) if to == SubjectState.SUSPENDED else None
    before = {"state": subject.state}
    subject.state = to
    subject.suspended_at = at if to == SubjectState.SUSPENDED else None
    subject.suspended_by = actor.id if to == SubjectState.SUSPENDED else ""
    verb = "suspended" if to == SubjectState.SUSPENDED else "reinstated"
    return entry(subject, f"identity.subject.{verb}", actor=actor, before=before, after={"state": to, "why": why})


def _taken_over(subject: Subject, actor: Actor, why: str) -> audit.Entry | None:
    """Suspended by a directory and now by somebody here too: the directory alone no longer undoes it."""
    if not policies.is_provider(subject.suspended_by) or policies.is_provider(actor.id):
        return None
    before = {"suspended_by": subject.suspended_by}
    subject.suspended_by = actor.id
    after = {"suspended_by": actor.id, "why": why}
    return entry(subject, "identity.subject.suspended", actor=actor, before=before, after=after)
