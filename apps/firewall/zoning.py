"""The zone matrix as data: which zones a caller and a service are in, and which cell judges them. Pure.

A thing is in the zones that name it most closely: by service, then by network, namespace, sensitivity and kind. Where
several cells judge, the strictest does. A cell nobody filled needs security, but a zone may always reach itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import product

from apps.compiler.addresses import Block, covers
from apps.compiler.words import listed
from apps.firewall.models import Verdict

ORDER = (Verdict.ALLOWED, Verdict.SECURITY, Verdict.FORBIDDEN)
NOBODY_SAID = "Nobody said anything about these two zones yet."
ITSELF = "Within a zone nothing more is asked."


@dataclass(frozen=True, slots=True)
class ZoneView:
    slug: str
    name: str
    services: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    networks: tuple[Block, ...] = ()
    sensitivities: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """What the zones look at of a caller or a service; what is not known is empty."""

    service: str = ""
    namespace: str = ""
    sensitivity: str = ""
    kind: str = ""
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """``source`` and ``destination`` are names of zones; ``said`` tells whether somebody filled the cell."""

    source: str
    destination: str
    verdict: str
    why: str
    said: bool = True

    @property
    def sentence(self) -> str:
        words = {"allowed": "allowed", "security": "needs security", "forbidden": "forbidden"}[self.verdict]
        return f"{self.source} to {self.destination}: {words}. {self.why}"

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class Matrix:
    """``said`` is keyed by the slugs of source and destination."""

    zones: tuple[ZoneView, ...] = ()
    said: Mapping[tuple[str, str], tuple[str, str]] | None = None

    def cell(self, source: ZoneView, destination: ZoneView) -> Cell:
        found = (self.said or {}).get((source.slug, destination.slug))
        if found is not None:
            return Cell(source.name, destination.name, *found)
        if source.slug == destination.slug:
            return Cell(source.name, destination.name, Verdict.ALLOWED, ITSELF, said=False)
        return Cell(source.name, destination.name, Verdict.SECURITY, NOBODY_SAID, said=False)

    def judge(self, source: Place, destination: Place) -> Cell | None:
        """The strictest cell that judges; None where one of them is in no zone."""
        pairs = product(zones_of(source, self.zones), zones_of(destination, self.zones))
        cells = [self.cell(one, other) for one, other in pairs]
        return max(cells, key=lambda cell: ORDER.index(Verdict(cell.verdict)), default=None)

    def rows(self) -> list[tuple[ZoneView, list[tuple[ZoneView, Cell]]]]:
        return [(one, [(other, self.cell(one, other)) for other in self.zones]) for one in self.zones]


def zones_of(place: Place, zones: Iterable[ZoneView]) -> list[ZoneView]:
    """Those that name it most closely."""
    known = list(zones)
    for names in (_by_service, _by_network, _by_namespace, _by_sensitivity, _by_kind):
        found = [zone for zone in known if names(place, zone)]
        if found:
            return found
    return []


def _by_service(place: Place, zone: ZoneView) -> bool:
    return place.service in zone.services


def _by_network(place: Place, zone: ZoneView) -> bool:
    return bool(place.blocks) and all(covers(zone.networks, block) for block in place.blocks)


def _by_namespace(place: Place, zone: ZoneView) -> bool:
    return place.namespace in zone.namespaces


def _by_sensitivity(place: Place, zone: ZoneView) -> bool:
    return place.sensitivity in zone.sensitivities


def _by_kind(place: Place, zone: ZoneView) -> bool:
    return place.kind in zone.kinds


def members_words(zone: ZoneView) -> str:
    """What is in a zone, as a person reads it."""
    parts = [
        *sorted(zone.services),
        *(f"namespace {name}" for name in sorted(zone.namespaces)),
        *(str(block) for block in zone.networks),
        *(f"{name} services" for name in sorted(zone.sensitivities)),
        *({"party": "outside parties", "person": "people"}.get(kind, f"{kind}s") for kind in sorted(zone.kinds)),
    ]
    return listed(parts) if parts else "nothing yet"
