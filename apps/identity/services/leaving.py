"""Leaving means leaving: one use case, whoever brings the news, for one person or for many at once.

Every row is locked before the first word goes into the record, as the other services do it: first the people in the
order of their keys, then their agents, tokens and sessions, and last the record's head.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import UnknownSubject
from apps.identity.models import ApiToken, SignIn, Subject, SubjectState
from apps.identity.services import api_tokens, denials, sessions
from apps.identity.services.subjects import CHANGED, MOVED, agents_locked, entry, lock_all, moved_to
from apps.outbox import services as outbox

Owned = TypeVar("Owned", ApiToken, SignIn)


@dataclass(frozen=True, slots=True)
class Left:
    """What there was to end. All nothing when somebody has left already."""

    sessions: int
    tokens: int
    suspended: bool


class Departures:
    """Some people held for leaving: what ends is gathered, and written down together at the end.

    Made in a transaction. Nothing is written before ``write``, so somebody who cannot leave costs nobody else anything.
    """

    def __init__(self, keys: Collection[str], *, at: datetime) -> None:
        self._at = at
        self._people = lock_all(keys)
        agents = agents_locked(self._people.values())
        everybody = [*self._people.values(), *agents]
        self._agents: defaultdict[int | None, list[Subject]] = defaultdict(list)
        for agent in agents:
            self._agents[agent.owner_id].append(agent)
        self._tokens = _of_each(api_tokens.live_tokens_locked(everybody, at))
        self._sign_ins = _of_each(sessions.locked(SignIn.objects.filter(subject__in=everybody)))
        self._entries: list[audit.Entry] = []
        self._moved: list[Subject] = []
        self._settled: list[Subject] = []
        self._denied: list[Subject] = []
        self._told: list[str] = []
        self._revoked: list[ApiToken] = []
        self._ended: list[SignIn] = []

    def leave(self, key: str, *, actor: Actor, why: str) -> Left:
        """Suspend, revoke, sign out: the person and the agents it answers for."""
        subject = self._held(key)
        everybody = [subject, *self._agents[subject.pk]]
        active = subject.state != SubjectState.SUSPENDED
        moved = moved_to(subject, SubjectState.SUSPENDED, actor=actor, at=self._at, why=why)
        if moved is not None:
            self._entries.append(moved)
            self._moved.append(subject)
            self._settled += everybody
            self._told += [one.key for one in everybody]
        tokens = sum(self._revoke(one, actor, why) for one in everybody)
        return Left(sum(self._sign_out(one, actor, why) for one in everybody), tokens, active)

    def revoke_and_sign_out(self, key: str, *, actor: Actor, why: str) -> Left:
        """Whatever was given out until now is good for nothing any more; the person stays active."""
        subject = self._held(key)
        self._denied.append(subject)
        self._entries.append(entry(subject, sessions.TOKENS_DENIED, actor=actor, after={"why": why}))
        self._told.append(subject.key)
        tokens = self._revoke(subject, actor, why)
        return Left(self._sign_out(subject, actor, why), tokens, suspended=False)

    def sign_out(self, key: str, *, actor: Actor, why: str) -> Left:
        return Left(self._sign_out(self._held(key), actor, why), 0, suspended=False)

    def _held(self, key: str) -> Subject:
        if key not in self._people:
            raise UnknownSubject(f"There is no {key}.")
        return self._people[key]

    def _revoke(self, subject: Subject, actor: Actor, why: str) -> int:
        """What was taken once is not there to be taken again, should two speak of the same person."""
        tokens = self._tokens.pop(subject.pk, [])
        if tokens:
            self._revoked += tokens
            self._entries.append(api_tokens.revoked(subject, tokens, actor=actor, why=why))
        return len(tokens)

    def _sign_out(self, subject: Subject, actor: Actor, why: str) -> int:
        rows = self._sign_ins.pop(subject.pk, [])
        if rows:
            self._ended += rows
            self._entries.append(sessions.ended(subject, len(rows), actor=actor, why=why))
        return len(rows)

    def write(self) -> None:
        """All that was gathered, in a number of statements that does not depend on how many leave."""
        Subject.objects.bulk_update(self._moved, MOVED)
        denials.settle(self._settled, at=self._at)
        denials.deny_tokens(dict.fromkeys(self._denied), at=self._at)
        api_tokens.revoke_locked(self._revoked, at=self._at)
        sessions.delete_locked(self._ended, at=self._at)
        audit.record_all(self._entries, at=self._at)
        outbox.enqueue_many(topic=CHANGED, payloads={key: {} for key in self._told}, at=self._at, urgent=True)


def _of_each(rows: Iterable[Owned]) -> dict[int, list[Owned]]:
    found: defaultdict[int, list[Owned]] = defaultdict(list)
    for row in rows:
        found[row.subject_id].append(row)
    return dict(found)


def leave(*, subject_key: str, actor: Actor, at: datetime, why: str) -> Left:
    """Suspend ``subject_key``, end its sessions and revoke its API tokens; the same for the agents it answers for.

    The suspension is announced, so that its timed grants end and both doors are compiled without it and its agents.
    Tokens are revoked for good: whoever is reinstated makes new ones. Leaving twice is leaving once.
    """
    policies.require_can_see_off(actor)
    with transaction.atomic():
        held = Departures([subject_key], at=at)
        left = held.leave(subject_key, actor=actor, why=why)
        held.write()
    return left


def sign_out_and_revoke(*, subject_key: str, actor: Actor, at: datetime, why: str) -> Left:
    """End the sessions and revoke the API tokens of ``subject_key``, which stays active and keeps its access.

    Edge tokens it holds are turned away at both doors; one it gets afterwards works. That is what a provider's
    Universal Logout asks: the person has to prove again who they are.
    """
    policies.require_can_see_off(actor)
    with transaction.atomic():
        held = Departures([subject_key], at=at)
        left = held.revoke_and_sign_out(subject_key, actor=actor, why=why)
        held.write()
    return left
