"""What a node is told when it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.meshagent.calls import Calls
from apps.meshagent.health import Health


@dataclass(frozen=True, slots=True)
class Ship:
    """Where decisions are sent to, and the file that holds the token for it."""

    url: str
    token_file: Path


@dataclass(frozen=True, slots=True)
class Config:
    """``target`` may be left out: then the node stays with the target of the first bundle it takes.

    ``elsewhere`` says by service where the doors of other nodes are (``host:port``); only an ingress needs it.
    ``calls`` are what this node's workload sends to services of the mesh, where the kernel turns that to NGINX.
    ``health`` is what a kubelet may ask of an application behind a door.
    """

    console: str
    token_file: Path
    node: str
    root: Path
    bundle_keys: Path
    workloads: tuple[str, ...]
    nginx: str | None = None
    ship: Ship | None = None
    poll_seconds: int = 25
    target: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    calls: Calls | None = None
    health: Health | None = None

    @classmethod
    def load(cls, path: Path) -> Config:
        data = json.loads(path.read_text(encoding="utf-8"))
        ship = data.get("ship")
        return cls(
            console=data["console"].rstrip("/"),
            token_file=Path(data["token_file"]),
            node=data["node"],
            root=Path(data["root"]).resolve(),
            bundle_keys=Path(data["bundle_keys"]),
            workloads=tuple(data["workloads"]),
            nginx=data.get("nginx"),
            ship=Ship(ship["url"], Path(ship["token_file"])) if ship else None,
            poll_seconds=data.get("poll_seconds", 25),
            target=data.get("target"),
            elsewhere=dict(data.get("elsewhere", {})),
            calls=Calls.read(data["calls"]) if "calls" in data else None,
            health=Health.read(data["health"]) if "health" in data else None,
        )
