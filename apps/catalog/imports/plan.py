"""What an import would change, in words: the file's estate held against what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from apps.catalog import models
from apps.catalog.imports.backstage import claim_words, claims
from apps.catalog.imports.current import Current
from apps.catalog.imports.estate import (
    SORTS,
    ConsoleRole,
    Dependency,
    Estate,
    Exposure,
    Item,
    Membership,
    Route,
    Service,
    Team,
    Workload,
)
from apps.catalog.imports.problems import Findings


class ChangeKind(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    RESTORED = "restored"
    GONE = "gone"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Change:
    """``sentence`` is for people. ``before`` and ``after`` hold the fields that differ."""

    kind: ChangeKind
    ref: str
    sort: str
    sentence: str
    before: dict[str, object] = field(default_factory=dict)
    after: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which they are made. ``items`` are those to write, ``leaving`` those to retire."""

    changes: tuple[Change, ...]
    items: dict[str, Item]
    leaving: dict[str, Item]
    unchanged: int


def make_plan(estate: Estate, current: Current, spoken_of: Iterable[str], *, retire: bool) -> Plan:
    """``spoken_of`` are the refs this source named before. What it no longer names is left alone unless ``retire``."""
    wanted = list(estate.in_order())
    written = [change for item in wanted if (change := _difference(item, current)) is not None]
    gone = {ref: current.items[ref] for ref in spoken_of if _has_gone(ref, estate, current)}
    ordered = sorted(gone.values(), key=lambda item: (-_rank(item), item.ref))
    left = [_farewell(item, retire=retire and not isinstance(item, Team)) for item in ordered]
    return Plan(
        changes=(*written, *left),
        items={change.ref: estate.items[change.ref] for change in written},
        leaving={change.ref: gone[change.ref] for change in left if change.kind is ChangeKind.RETIRED},
        unchanged=len(wanted) - len(written),
    )


def _rank(item: Item) -> int:
    return SORTS.index(type(item))


def _has_gone(ref: str, estate: Estate, current: Current) -> bool:
    return ref not in estate.items and ref in current.items and ref not in current.dormant


def _difference(item: Item, current: Current) -> Change | None:
    old = current.items.get(item.ref)
    after = _fields(item)
    if old is None:
        return Change(ChangeKind.CREATED, item.ref, item.sort, f"New: {describe(item)}.", {}, after)
    if item.ref in current.dormant and isinstance(item, Service | Route):
        return Change(ChangeKind.RESTORED, item.ref, item.sort, f"Back again: {describe(item)}.", _fields(old), after)
    before = _fields(old)
    differing = [name for name in after if before.get(name) != after[name]]
    if not differing:
        return None
    moves = ", ".join(
        f"{_LABELS.get(name, name)} {_shown(before.get(name))} → {_shown(after[name])}" for name in differing
    )
    return Change(
        ChangeKind.CHANGED,
        item.ref,
        item.sort,
        f"Changed: {describe(item)}: {moves}.",
        {name: before.get(name) for name in differing},
        {name: after[name] for name in differing},
    )


_LABELS = {
    "team": "team",
    "danger_note": "danger note",
    "max_duration": "longest access in seconds",
    "upstream_name": "upstream name",
    "base_path": "base path",
    "upstream_port": "upstream port",
}


def _fields(item: Item) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(item).items()}


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(part) for part in value) or "nothing"
    text = str(value) if value not in (None, "") else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _farewell(item: Item, *, retire: bool) -> Change:
    if retire:
        return Change(ChangeKind.RETIRED, item.ref, item.sort, f"Retired: {describe(item)}.", _fields(item), {})
    return Change(ChangeKind.GONE, item.ref, item.sort, f"No longer in the file, left as it is: {describe(item)}.")


def describe(item: Item) -> str:
    """What it is, for a sentence."""
    if isinstance(item, ConsoleRole):
        return f"role {item.role} of {item.person}"
    if isinstance(item, Membership):
        return f"{item.member} as {item.role} of {item.team}"
    if isinstance(item, Workload):
        return item.key
    if isinstance(item, Service | Route | Exposure | Dependency):
        return _describe_service(item)
    return f"{item.name} ({item.key})"


def _describe_service(item: Service | Route | Exposure | Dependency) -> str:
    if isinstance(item, Service):
        return f"service {item.title} ({item.slug})"
    if isinstance(item, Route):
        return f"route {' '.join(item.methods)} {item.template} of {item.service}"
    if isinstance(item, Dependency):
        return f"{item.caller} calls {item.callee}"
    port = f"TCP port {item.upstream_port}" if item.protocol == "tcp" else f"port {item.port}"
    where = f"{item.host}{item.base_path}" if item.point == "edge" else f"{port} as {item.workload}"
    return f"{item.service} at the {item.point} of {item.environment}, {where}"


def check_needs(estate: Estate, known: Current, findings: Findings) -> None:
    """Whatever the file names without describing must be here already."""
    for ref, place in estate.unmet().items():
        if ref not in known.items:
            findings.blame(place, f"There is no {ref.replace('service:', 'service ')}, neither in the file nor here.")


def check_claims(estate: Estate, findings: Findings) -> None:
    """Nobody outside the file may already have an address, port or workload the file gives to a service."""
    ours = [item for item in estate.in_order() if isinstance(item, Exposure)]
    taken = dict(_claims_elsewhere({item.ref for item in ours}))
    for item in ours:
        for claim in claims(item):
            if claim in taken:
                findings.blame(estate.places[item.ref], f"{taken[claim]} already has {claim_words(claim)}.")


def _claims_elsewhere(refs: set[str]) -> Iterator[tuple[tuple[object, ...], str]]:
    rows = models.Exposure.objects.select_related("service", "environment", "workload")
    for row in rows:
        item = Exposure(
            row.service.slug,
            row.environment.slug,
            row.point,
            host=row.host,
            base_path=row.base_path,
            workload=row.workload.key if row.workload else None,
            port=row.port,
        )
        if item.ref not in refs:
            yield from ((claim, item.service) for claim in claims(item))
