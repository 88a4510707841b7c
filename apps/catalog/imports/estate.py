"""What a file wants the catalogue to be: plain values, each with a ``ref`` that names it across imports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from apps.catalog.imports.problems import Place


@dataclass(frozen=True, slots=True)
class _Keyed:
    """Whoever has a key is named by it."""

    key: str

    @property
    def ref(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class Team(_Keyed):
    name: str
    purpose: str
    sort: ClassVar[str] = "team"


@dataclass(frozen=True, slots=True)
class Person(_Keyed):
    name: str
    email: str
    sort: ClassVar[str] = "person"


@dataclass(frozen=True, slots=True)
class Agent(_Keyed):
    name: str
    owner: str
    team: str | None
    purpose: str
    sort: ClassVar[str] = "agent"


@dataclass(frozen=True, slots=True)
class Workload(_Keyed):
    name: str
    team: str
    sort: ClassVar[str] = "workload"


@dataclass(frozen=True, slots=True)
class ConsoleRole:
    person: str
    role: str
    sort: ClassVar[str] = "role"

    @property
    def ref(self) -> str:
        return f"role {self.role} of {self.person}"


@dataclass(frozen=True, slots=True)
class Membership:
    team: str
    member: str
    role: str
    sort: ClassVar[str] = "membership"

    @property
    def ref(self) -> str:
        return f"{self.member} in {self.team}"


@dataclass(frozen=True, slots=True)
class Service:
    slug: str
    title: str
    description: str
    upstream_name: str
    team: str
    sensitivity: str
    danger_note: str
    max_duration: int
    system: str
    domain: str
    lifecycle: str
    sort: ClassVar[str] = "service"

    @property
    def ref(self) -> str:
        return f"service:{self.slug}"


@dataclass(frozen=True, slots=True)
class Route:
    service: str
    key: str
    methods: tuple[str, ...]
    template: str
    summary: str
    sort: ClassVar[str] = "route"

    @property
    def ref(self) -> str:
        return f"route:{self.service}/{self.key}"


@dataclass(frozen=True, slots=True)
class Exposure:
    service: str
    environment: str
    point: str
    host: str = ""
    base_path: str = ""
    namespace: str = ""
    workload: str | None = None
    port: int | None = None
    upstream_port: int | None = None
    variants: tuple[str, ...] = ()
    protocol: str = "http"
    sort: ClassVar[str] = "exposure"

    @property
    def ref(self) -> str:
        return f"exposure:{self.service}/{self.environment}/{self.point}"


@dataclass(frozen=True, slots=True)
class Dependency:
    caller: str
    callee: str
    routes: tuple[str, ...]
    sort: ClassVar[str] = "dependency"

    @property
    def ref(self) -> str:
        return f"dependency:{self.caller}/{self.callee}"


Item: TypeAlias = Team | Person | Agent | Workload | ConsoleRole | Membership | Service | Route | Exposure | Dependency

SORTS = (Team, Person, Agent, Workload, ConsoleRole, Membership, Service, Route, Exposure, Dependency)
"""In the order in which they can be written: each only names what stands before it."""


@dataclass(slots=True)
class Estate:
    """Everything a file describes, and where. ``needs`` are the refs it names."""

    items: dict[str, Item] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    needs: dict[str, Place] = field(default_factory=dict)

    def add(self, item: Item, place: Place) -> bool:
        """False when something with the same ref is already there."""
        if item.ref in self.items:
            return False
        self.items[item.ref] = item
        self.places[item.ref] = place
        return True

    def need(self, ref: str, place: Place) -> None:
        self.needs.setdefault(ref, place)

    def unmet(self) -> dict[str, Place]:
        """What is named but not described here; the catalogue may know it from elsewhere."""
        return {ref: place for ref, place in self.needs.items() if ref not in self.items}

    def in_order(self) -> Iterator[Item]:
        for sort in SORTS:
            yield from (item for item in self.items.values() if isinstance(item, sort))
