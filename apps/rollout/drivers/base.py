"""What a driver is given and gives back. No driver sees a row of the database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apps.compiler.artifacts import Artifact

CODE_GROUP = "code"
"""How drift names the code as a whole, beside the paths of items."""


class StalePlan(RuntimeError):
    """The plan was made for another revision, or against another observed state. Plan again."""


class VendorError(Exception):
    """What a vendor's API answered instead of what was asked; ``text`` is its own words, as they came.

    ``kind`` names what no status tells: ``timeout``, ``cut``, ``not_json``, ``invalid_bundle`` and so on.
    """

    def __init__(self, what: str, status: int, text: str, retry_after: float | None = None, *, kind: str = "") -> None:
        super().__init__(f"{what}: {status} {text}".strip())
        self.status, self.text, self.retry_after, self.kind = status, text, retry_after, kind


@dataclass(frozen=True, slots=True)
class Desired:
    """What of a revision the target is not known to hold. ``code`` is all of it as soon as any of it differs."""

    number: int
    digest: str
    puts: tuple[Artifact, ...] = ()
    deletes: tuple[str, ...] = ()
    code: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as last heard of. One that is not ``live`` is waited for by nobody. ``trouble`` names its ``error``."""

    name: str
    number: int
    digest: str
    live: bool
    error: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """``artifacts``: the hash found at each path that was looked at (``""``: nothing there)."""

    artifacts: Mapping[str, str] = field(default_factory=dict)
    code_version: str = ""
    nodes: tuple[NodeView, ...] = ()

    @property
    def fingerprint(self) -> str:
        parts = [*sorted(self.artifacts.items()), self.code_version, *(repr(node) for node in self.nodes)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps from ``observed`` (its fingerprint) to a revision. ``lagging`` are the nodes still to be waited for."""

    number: int
    digest: str
    observed: str
    puts: tuple[Artifact, ...] = ()
    deletes: tuple[str, ...] = ()
    code: tuple[Artifact, ...] = ()
    lagging: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """One activation as the vendor tells of it; times are as it wrote them (ISO 8601)."""

    id: int
    network: str
    version: str
    status: str
    asked_at: str = ""
    changed_at: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    """What a budget allows now: ``granted`` of what was wanted; for the rest, wait so many seconds, and why."""

    granted: int
    wait: float = 0.0
    why: str = ""


class Budget(Protocol):
    """Asked before anything is spent that the vendor counts. What was granted counts as spent, whatever comes of it."""

    def activation(self, network: str) -> Leave: ...

    def version(self) -> Leave: ...

    def writes(self, wanted: int) -> Leave: ...


class Unlimited:
    """A budget for where nobody counts."""

    def activation(self, network: str) -> Leave:
        return Leave(1)

    def version(self) -> Leave:
        return Leave(1)

    def writes(self, wanted: int) -> Leave:
        return Leave(wanted)


@dataclass(frozen=True, slots=True)
class Step:
    """How far one ``apply`` came. Nothing is lost by calling it again.

    ``applied`` maps each path the target now holds to its hash (``""``: it is gone). ``waiting`` says for what, and
    ``retry_after`` for how many seconds at least. ``trouble`` names the error in the catalogue of the driver.
    ``moves`` are the vendor's activations that were looked at; ``to_approve`` is code that waits for a person;
    ``to_try`` code that is live on staging and has to be tried there. ``live``: by network, this code where it was
    found live.
    """

    done: bool
    applied: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    waiting: str = ""
    error: str = ""
    retry_after: float | None = None
    trouble: str = ""
    moves: tuple[Move, ...] = ()
    to_approve: str = ""
    to_try: str = ""
    live: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One call to be made through the edge, as a probe; without a ``token`` it bears none."""

    id: str
    host: str
    method: str
    path: str
    token: str


@dataclass(frozen=True, slots=True)
class DoorAnswer:
    """What one door said of a probe."""

    verdict: str
    reason: str
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The doors' answers to one probe; a door that was not reached has none, and ``detail`` says why.

    ``holds`` is what the edge says it holds: the marks of its code and of the item it read, with a semicolon between.
    """

    id: str
    doors: Mapping[str, DoorAnswer]
    detail: str = ""
    holds: str = ""


class Driver(Protocol):
    """Moves one target. Safe to repeat at any point: every method starts from what is there."""

    def setup(self) -> Mapping[str, object]:
        """Make what must exist once; returns what to remember. Raises VendorError."""
        ...

    def observe(self, expected: Sequence[Artifact]) -> Observed:
        """Read back. Raises VendorError."""
        ...

    def plan(self, desired: Desired, observed: Observed) -> Plan: ...

    def apply(self, plan: Plan) -> Step: ...


def door_answer(header: str) -> DoorAnswer | None:
    """``allow;granted;g_1,g_2`` as the doors write it; None for anything else.

    Two doors in a row (ingress and sidecar) may both have written: then a refusal counts, else the last word.
    """
    answers = [_one_answer(text) for text in header.split(", ")]
    said = [answer for answer in answers if answer is not None]
    if len(said) < len(answers):
        return None
    return next((answer for answer in said if answer.verdict == "deny"), said[-1])


def _one_answer(text: str) -> DoorAnswer | None:
    parts = text.split(";")
    if len(parts) != 3 or parts[0] not in {"allow", "deny"}:
        return None
    return DoorAnswer(parts[0], parts[1], tuple(grant for grant in parts[2].split(",") if grant))
