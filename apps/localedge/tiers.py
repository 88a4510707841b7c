"""Resource tiers: one table that is served under ``/resource-tiers`` and enforced by the engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from apps.localedge.engine import Json

TABLE = Path(__file__).with_name("tiers.json")

# CPU limits are multiples of Akamai's: this machine is slower, colder and busier than an edge server.
CPU_SLACK = 5

_HANDLER = {
    "cpuMs": "Maximum CPU time per event handler",
    "wallMs": "Maximum wall time per event handler",
    "memoryBytes": "Maximum memory usage per event handler",
    "subrequests": "Maximum number of HTTP sub-requests allowed from a parent request",
    "parallel": "Maximum number of HTTP sub-requests allowed in parallel with the parent request",
    "subrequestMs": "Maximum wall time per HTTP sub-request",
    "subrequestBytes": "Maximum response size per HTTP sub-request",
}
_DURING_PROVIDER = "during the execution of the responseProvider event handler"
_PROVIDER = {
    "cpuMs": "Maximum CPU time for responseProvider",
    "wallMs": "Maximum wall time for responseProvider",
    "memoryBytes": "Maximum memory usage for responseProvider",
    "subrequests": "Maximum number of HTTP sub-requests allowed for responseProvider",
    "parallel": "Maximum number of HTTP sub-requests allowed in parallel for responseProvider",
    "subrequestMs": f"Maximum wall time for HTTP sub-requests {_DURING_PROVIDER}",
    "subrequestBytes": f"Maximum response size for HTTP sub-requests {_DURING_PROVIDER}",
}


class TierRow(TypedDict):
    """A limit as the API words it."""

    limitName: str
    limitValue: int
    limitUnit: str


class EngineLimits(TypedDict):
    """The limits as the engine reads them."""

    initCpuMs: int
    initWallMs: int
    slack: int
    handler: dict[str, int]
    provider: dict[str, int]


class UnknownTier(Exception):
    """No resource tier has this name or id."""


@dataclass(frozen=True, slots=True)
class Tier:
    id: int
    name: str
    rows: tuple[TierRow, ...]

    def as_json(self) -> Json:
        limits = cast("list[Json]", list(self.rows))
        return {"resourceTierId": self.id, "resourceTierName": self.name, "edgeWorkerLimits": limits}

    def engine_limits(self) -> EngineLimits:
        value = {row["limitName"]: row["limitValue"] for row in self.rows}
        return {
            "initCpuMs": value["Maximum CPU time during initialization"],
            "initWallMs": value["Maximum wall time during initialization"],
            "slack": CPU_SLACK,
            "handler": {key: value[name] for key, name in _HANDLER.items()},
            "provider": {key: value[name] for key, name in _PROVIDER.items()},
        }


def load_tiers(path: Path = TABLE) -> tuple[Tier, ...]:
    rows = json.loads(path.read_text())
    return tuple(Tier(row["resourceTierId"], row["resourceTierName"], tuple(row["edgeWorkerLimits"])) for row in rows)


def tier_named(tiers: tuple[Tier, ...], name: str) -> Tier:
    """``dynamic`` finds "Dynamic Compute"."""
    for tier in tiers:
        if tier.name.split()[0].lower() == name.lower():
            return tier
    raise UnknownTier(name)


def tier_with_id(tiers: tuple[Tier, ...], tier_id: int) -> Tier:
    for tier in tiers:
        if tier.id == tier_id:
            return tier
    raise UnknownTier(str(tier_id))
