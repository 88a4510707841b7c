"""One subject with all that identity knows of it: who it is, where it belongs and by whose word, how it gets in.

A page about somebody shows a dozen short lists. They are read as one statement, each list as JSON made by PostgreSQL,
because a page may ask the database eight times in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.identity.errors import UnknownSubject
from apps.identity.mapping.rules import Rule
from apps.identity.models import Kind, Match, Subject
from apps.identity.portrait_rows import with_lists

BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Place:
    """A team somebody is in, or somebody in a team; ``sources`` say in words by whose word."""

    key: str
    name: str
    kind: str
    role: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A console role, and by whose word it is held."""

    role: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """How a provider names a person."""

    pk: int
    provider: str
    issuer: str
    sub: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Live:
    """A session that is alive. ``provider`` is empty where the console itself let somebody in.

    ``asked_at`` is when the provider last said that its person is still good, and ``silent_since`` since when it says
    nothing.
    """

    provider: str
    started_at: datetime
    here: bool
    asked_at: datetime | None
    silent_since: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """An API token that is good now."""

    pk: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dependent:
    """An agent somebody answers for, or a workload or agent of a team."""

    key: str
    name: str
    kind: str
    state: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Entry:
    """How a directory describes a person."""

    provider: str
    slug: str
    user_name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Filling:
    """A rule of a directory that puts people into a team."""

    provider: str
    slug: str
    match: str
    pattern: str
    role: str

    @property
    def words(self) -> str:
        return f"{Match(self.match).label} {self.pattern}"


@dataclass(frozen=True, slots=True)
class Portrait:
    """``places`` are the teams of a person, workload or agent, and the members of a team."""

    subject: Subject
    places: tuple[Place, ...]
    roles: tuple[Held, ...]
    ways: tuple[Way, ...]
    sessions: tuple[Live, ...]
    tokens: tuple[Token, ...]
    dependents: tuple[Dependent, ...]
    entries: tuple[Entry, ...]
    rules: tuple[Filling, ...]
    calls_today: int


def portrait_of(key: str, *, at: datetime, session_key: str | None = None) -> Portrait:
    """Raises UnknownSubject. One statement. ``session_key`` is of whoever looks, to mark their own session."""
    found = with_lists(Subject.objects.filter(key=key), at, session_key or "").first()
    if found is None:
        raise UnknownSubject(f"There is no {key or 'subject without a key'}.")
    told: Any = found
    is_team = found.kind == Kind.TEAM
    rules = [(Filling(**_without(one, "team", "console_role")), _rule(one)) for one in told.j_rules]
    reasons = _Reasons(rules, [(one["provider"], one["name"]) for one in told.j_groups])
    return Portrait(
        subject=found,
        places=tuple(_place(one, "member" if is_team else "team", reasons) for one in told.j_places),
        roles=tuple(Held(one["role"], reasons.of(one, console_role=one["role"])) for one in told.j_roles),
        ways=tuple(_way(one) for one in told.j_ways),
        sessions=tuple(_live(one, at) for one in told.j_sessions),
        tokens=tuple(_token(one, at) for one in told.j_tokens),
        dependents=tuple(Dependent(**one) for one in told.j_dependents),
        entries=tuple(Entry(**one) for one in told.j_entries),
        rules=tuple(filling for filling, rule in rules if is_team and rule.team == found.key),
        calls_today=told.calls_today or 0,
    )


@dataclass(frozen=True, slots=True)
class _Reasons:
    """The rules that speak of the same places, and the groups somebody is in, by provider."""

    rules: Sequence[tuple[Filling, Rule]]
    groups: Sequence[tuple[str, str]]

    def of(self, row: Mapping[str, Any], *, team: str = "", console_role: str = "") -> tuple[str, ...]:
        """By whose word a row counts: the team's own list or an administrator, and each provider with its rules."""
        by_hand = [BY_HAND] if row["stated"] else []
        return (*by_hand, *(self._of_provider(one, team, console_role) for one in row["mapped"]))

    def _of_provider(self, mapped: Mapping[str, Any], team: str, console_role: str) -> str:
        fitting = [
            filling.words
            for filling, rule in self.rules
            if filling.slug == mapped["slug"]
            and (rule.team, rule.console_role) == (team, console_role)
            and any(slug == filling.slug and rule.fits(name) for slug, name in self.groups)
        ]
        return f"{mapped['name']}: group {' or '.join(fitting)}" if fitting else str(mapped["name"])


def _place(row: Mapping[str, Any], side: str, reasons: _Reasons) -> Place:
    return Place(**row[side], role=row["role"], sources=reasons.of(row, team=row["team"]["key"]))


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(row["match"], row["pattern"], row["team"] or "", row["role"], row["console_role"])


def _way(row: Mapping[str, Any]) -> Way:
    named = row["provider"] or row["issuer"]
    return Way(**{**row, "provider": named, "last_used_at": _moment(row["last_used_at"])})


def _live(row: Mapping[str, Any], at: datetime) -> Live:
    started = _moment(row["started_at"]) or at
    asked, silent = _moment(row["asked_at"]), _moment(row["silent_since"])
    return Live(row["provider"] or "", started, row["here"], asked, silent)


def _token(row: Mapping[str, Any], at: datetime) -> Token:
    moments = {"expires_at": _moment(row["expires_at"]) or at, "last_used_at": _moment(row["last_used_at"])}
    return Token(**{**row, "scopes": tuple(row["scopes"]), **moments})


def _without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
