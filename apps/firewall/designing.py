"""How a line could be opened: with what is there, by a little more beside it, or by a new rule; the narrowest first.

A proposal is what an ordinary access request would ask for. A grant never changes, so one more route is one more grant,
which ends when its neighbour ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from apps.access.risk import READS
from apps.compiler.graph import Route, Service, SubjectKind
from apps.compiler.words import listed, moment, routes_words
from apps.firewall.live import FOR_EVER, Asked, Live

if TYPE_CHECKING:
    from apps.access.selectors import HeldGrant, Wish

REUSE, REPLACE, FOLLOW, WIDEN, NEW = "reuse", "replace", "follow", "widen", "new"
ORDER = (REUSE, REPLACE, FOLLOW, WIDEN, NEW)
EVERYTHING = "A new rule for everything"


@dataclass(frozen=True, slots=True)
class Proposal:
    """``kind``: ``reuse`` what is open, ``follow`` a request that waits, ``widen`` beside a grant, or ``new``; where it
    is open already, ``replace`` what opens too much by what is needed of it.

    ``duration`` in seconds; 0 where nothing is asked for. ``beside`` is the id of the grant or the request it leans on.
    """

    kind: str
    title: str
    sentence: str
    routes: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    duration: int = 0
    beside: str = ""

    @property
    def id(self) -> str:
        """The same for the same proposal, so that it can be taken after it was looked at."""
        what = [self.kind, self.beside, list(self.routes), list(self.points)]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]

    @property
    def narrowness(self) -> tuple[int, int, int, int]:
        """What is there already opens nothing; then the fewest routes, doors and seconds."""
        opens = self.kind in (WIDEN, NEW)
        return (opens * len(self.routes), opens * len(self.points), opens * self.duration, ORDER.index(self.kind))

    @property
    def is_all(self) -> bool:
        """All of a service of which the line names nothing: for a person to choose, never to be taken as narrow."""
        return self.title == EVERYTHING and len(self.routes) > 1

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for some of a service's routes where a line names none: keys, by where that is known from.

    ``used`` are those that calls took lately, by grant; nothing of one that was not watched for long enough.
    """

    declared: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    used: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line to be opened. ``named`` tells whether it names its routes; ``longest`` is what the service allows."""

    asked: Asked
    shape: Service
    named: bool
    duration: int
    longest: int

    @property
    def seconds(self) -> int:
        return min(self.duration, self.longest)


def propose(live: Live, wanted: Wanted, evidence: Evidence) -> tuple[Proposal, ...]:
    """The narrowest first. Where it is open for as long as it is wanted nothing has to open, but some may close."""
    if is_open(live, wanted.asked):
        return tuple(_replacing(live, wanted, evidence.used))
    found = [
        *_reusing(live, wanted),
        *_following(live, wanted),
        *_widening(live, wanted),
        *_anew(wanted, evidence),
    ]
    once = {one.id: one for one in reversed(found)}  # of several reasons for the same, the first
    return tuple(sorted(once.values(), key=lambda one: one.narrowness))


def is_open(live: Live, asked: Asked) -> bool:
    """For as long as it is wanted."""
    opened = live.opened(asked)
    return opened is not None and opened.until >= asked.until


def too_wide(live: Live, wanted: Wanted) -> list[HeldGrant]:
    """What the caller itself holds that opens all of this there, and more."""
    if not wanted.named or wanted.asked.kind == SubjectKind.PARTY:
        return []
    return [
        grant
        for _, grant in sorted(live.held.items())
        if not grant.is_coming
        and _is_for(grant, wanted)
        and wanted.asked.points <= grant.points
        and wanted.asked.routes < grant.routes
    ]


def _replacing(live: Live, wanted: Wanted, used: Mapping[str, Collection[str]]) -> Iterator[Proposal]:
    """One that opens more than this line needs and calls used."""
    for grant in too_wide(live, wanted):
        name, held = grant.public_id, grant.routes
        kept = wanted.asked.routes.union(used.get(name, held))
        if kept < held:
            said = (
                f"{name} opens {len(held)} routes there, and calls take {len(used[name])} of them. Have it narrowed to"
                f" {routes_words(wanted.shape, kept)}: once its owners agree, the rest closes and nothing opens."
            )
            points = tuple(sorted(grant.points))
            yield Proposal(REPLACE, "Replace what is too wide", said, tuple(sorted(kept)), points, beside=name)


def _reusing(live: Live, wanted: Wanted) -> Iterator[Proposal]:
    """It is open, only not for as long as it is wanted."""
    opened = live.opened(wanted.asked)
    if opened is None or opened.until >= FOR_EVER:
        return
    through = listed(opened.grants)
    said = f"It is open by {through} until {moment(opened.until)}. Take that, and nothing has to be approved."
    yield Proposal(REUSE, "Use what is open", said, beside=through)


def _following(live: Live, wanted: Wanted) -> Iterator[Proposal]:
    """Somebody asked for it already, or it was approved and is on its way."""
    for wish in live.wishes:
        if _is_for(wish, wanted) and wanted.asked.routes <= wish.routes and wanted.asked.points <= wish.points:
            said = f"{wish.public_id} asks for the same and waits for an answer. Follow that one."
            yield Proposal(FOLLOW, "Follow what is asked for", said, beside=wish.public_id)
    for name, grant in sorted(live.held.items()):
        if grant.is_coming and _is_for(grant, wanted) and grant.request and wanted.asked.routes <= grant.routes:
            said = f"{name} is approved and opens just now. Follow that one."
            yield Proposal(FOLLOW, "Follow what is opening", said, beside=grant.request)


def _is_for(row: Wish | HeldGrant, wanted: Wanted) -> bool:
    """Outside parties differ in their addresses, so one request is never another's."""
    if wanted.asked.kind == SubjectKind.PARTY:
        return False
    return row.subject == wanted.asked.subject and row.service == wanted.asked.service


def _widening(live: Live, wanted: Wanted) -> Iterator[Proposal]:
    """The caller holds something at these doors of the service: only what is missing is asked for."""
    if not wanted.named or wanted.asked.kind == SubjectKind.PARTY:
        return
    for name, grant in sorted(live.held.items()):
        missing = wanted.asked.routes - grant.routes
        if not _is_for(grant, wanted) or not missing or not wanted.asked.points <= grant.points:
            continue
        left = None if grant.ends_at is None else int(grant.ends_at.timestamp()) - live.at
        seconds = wanted.seconds if left is None else min(wanted.seconds, left)
        if grant.is_coming or seconds < 60:
            continue
        what = routes_words(wanted.shape, missing)
        end = "It stands without an end" if left is None else "Both end together"
        said = f"{name} opens other routes there to the same caller. Ask for {what} beside it. {end}."
        yield _of(WIDEN, "One more beside what is open", said, wanted, missing, seconds, beside=name)


def _anew(wanted: Wanted, evidence: Evidence) -> Iterator[Proposal]:
    shape, seconds = wanted.shape, wanted.seconds
    if wanted.asked.kind == SubjectKind.PARTY:
        host = shape.edge.host if shape.edge is not None else ""
        said = f"Let these addresses come as far as the token check of {host}."
        yield _of(NEW, "A new opening for addresses", said, wanted, wanted.asked.routes, seconds)
        return
    if wanted.named:
        said = f"Ask for {routes_words(shape, wanted.asked.routes)}, and nothing else."
        yield _of(NEW, "A new rule for exactly this", said, wanted, wanted.asked.routes, seconds)
        return
    for title, why, routes in _guesses(shape, evidence):
        yield _of(NEW, title, f"{why}: {routes_words(shape, frozenset(routes))}.", wanted, routes, seconds)


def _guesses(shape: Service, evidence: Evidence) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Which routes a line may want that names none."""
    known = {route.id: route for route in shape.routes}
    guesses = (
        ("A new rule for what was refused lately", "Calls to these were refused within a week", evidence.refused),
        ("A new rule for what the catalogue says", "The catalogue says it needs these", evidence.declared),
        ("A new rule for what only reads", "These change nothing", _reading(known)),
        (EVERYTHING, "All there is, so choose it last", tuple(known)),
    )
    for title, why, routes in guesses:
        there = [key for key in routes if key in known]
        if there:
            yield title, why, there


def _reading(routes: Mapping[str, Route]) -> tuple[str, ...]:
    return tuple(key for key, route in routes.items() if route.methods <= READS)


def _of(
    kind: str, title: str, said: str, wanted: Wanted, routes: Iterable[str], seconds: int, beside: str = ""
) -> Proposal:
    shorter = " It is for less long than wanted: the service allows no more." if seconds < wanted.duration else ""
    return Proposal(
        kind=kind,
        title=title,
        sentence=said + (shorter if kind == NEW else ""),
        routes=tuple(sorted(routes)),
        points=tuple(sorted(wanted.asked.points)),
        duration=seconds,
        beside=beside,
    )
