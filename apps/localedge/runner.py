"""Runs a code bundle without a network: one event, or thousands, in the same engine that serves traffic.

For tests and for the acceptance run before an activation. Time is an argument: ``now`` freezes the bundle's clock.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, NotRequired, TypedDict, cast

from apps.localedge.bundles import pack
from apps.localedge.engine import Engine, Json, find_node
from apps.localedge.tiers import EngineLimits, load_tiers, tier_named

BATCH = 500
WEIGHED_UP_TO = 30 * 1024 * 1024
HELD = "held_while_weighed.js"
ItemAddress = tuple[str, str, str]


class Response(TypedDict):
    status: int
    headers: NotRequired[Mapping[str, Sequence[str]]]


class Request(TypedDict, total=False):
    """``path`` includes the query. With ``response`` the response handlers run as if the origin had answered that."""

    method: str
    host: str
    path: str
    headers: Mapping[str, Sequence[str]]
    ip: str
    body: str
    response: Response


class Failure(TypedDict):
    code: str
    message: str


class Relayed(TypedDict):
    """What the client would see of the origin's response."""

    action: Literal["relay", "respond", "error"]
    status: int
    headers: dict[str, list[str]]
    body: NotRequired[str]


class Result(TypedDict):
    """``headers`` are the response's for "respond" and the forwarded request's for "forward"; names are lower case.

    ``origin`` of a "forward" is the conditional origin it was routed to; empty for the usual one.
    """

    action: Literal["respond", "forward", "error"]
    status: NotRequired[int]
    headers: NotRequired[dict[str, list[str]]]
    body: NotRequired[str]
    path: NotRequired[str]
    query: NotRequired[str]
    origin: NotRequired[str]
    variables: dict[str, str]
    error: NotRequired[Failure]
    relayed: NotRequired[Relayed]
    log: list[str]
    cpu_ms: float
    most_cpu_ms: float


class Measurement(TypedDict):
    """``max_event_cpu_ms`` is the dearest single handler run since the runner was opened."""

    compressed_bytes: int
    uncompressed_bytes: int
    init_cpu_ms: float
    heap_bytes: int
    max_event_cpu_ms: float
    handlers: list[str]


class EdgeRunner:
    """``with EdgeRunner(files, items) as edge: edge.run({"path": "/"}, now=0)``. Not thread-safe.

    Entering raises EngineError when the bundle cannot be activated. Access tokens of EdgeKV are not checked here.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        items: Mapping[ItemAddress, str] | None = None,
        tier: str = "dynamic",
        node: str | None = None,
    ) -> None:
        self._files = dict(files)
        self._items = dict(items or {})
        self._limits = tier_named(load_tiers(), tier).engine_limits()
        self._node = node
        self._engine: Engine | None = None
        self._activated: dict[str, Json] = {}
        self._most_cpu_ms = 0.0

    def __enter__(self) -> EdgeRunner:
        self._engine = Engine(node=find_node(self._node), offline=True)
        try:
            self.set_items(self._items)
            self.activate(self._files)
        except BaseException:
            self._engine.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running().stop()

    def _running(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("enter the runner first")
        return self._engine

    def activate(self, files: Mapping[str, bytes]) -> None:
        """Swaps the bundle; the old one stays when the new one is refused."""
        self._activated = self._activate(files, self._limits)
        self._files = dict(files)

    def _activate(self, files: Mapping[str, bytes], limits: EngineLimits) -> dict[str, Json]:
        encoded: dict[str, Json] = {name: base64.b64encode(data).decode() for name, data in files.items()}
        spec: dict[str, Json] = {
            "files": encoded,
            "limits": cast("dict[str, Json]", limits),
            "version": "offline",
            "edgeWorkerId": 0,
        }
        return cast("dict[str, Json]", self._running().call("activate", network="PRODUCTION", spec=spec))

    def weigh(self, value: str) -> int:
        """Bytes of memory the bundle holds while it holds an item as well: bytes, text, and what JSON makes of it.

        Afterwards the bundle is active as it was.
        """
        held = f"export const text = {json.dumps(value)};\nexport const parsed = JSON.parse(text);\n"
        main = f'import "./{HELD}";\n'.encode() + self._files["main.js"]
        roomy: EngineLimits = {**self._limits, "handler": {**self._limits["handler"], "memoryBytes": WEIGHED_UP_TO}}
        try:
            found = self._activate({**self._files, "main.js": main, HELD: held.encode()}, roomy)
            return cast("int", found["heapBytes"])
        finally:
            self.activate(self._files)

    def set_items(self, items: Mapping[ItemAddress, str | None]) -> None:
        """Writes items at once; None deletes. Items not named stay as they are."""
        writes: list[Json] = [
            {"namespace": namespace, "group": group, "key": key, "value": value, "delayMs": 0}
            for (namespace, group, key), value in items.items()
        ]
        self._running().call("items", network="PRODUCTION", clear=False, writes=writes)

    def set_kv_fault(self, *, status: int = 0, delay_ms: int = 0) -> None:
        """Makes EdgeKV answer every read with ``status``, or late; no arguments end the fault."""
        self._running().call("fault", fault={"status": status, "delayMs": delay_ms})

    def run(self, request: Request, now: float | None = None) -> Result:
        """Runs one event; ``now`` is in epoch seconds, None means the machine's clock."""
        return self.run_many([request], now)[0]

    def run_many(self, requests: Sequence[Request], now: float | None = None) -> list[Result]:
        """Results in the order of the requests; several events are under way at a time, as at the edge."""
        results: list[Result] = []
        for start in range(0, len(requests), BATCH):
            results.extend(self._run_batch(requests[start : start + BATCH], now))
        return results

    def _run_batch(self, requests: Sequence[Request], now: float | None) -> list[Result]:
        frozen = None if now is None else int(now * 1000)
        answers = self._running().call("run", requests=cast("list[Json]", list(requests)), now=frozen)
        results = cast("list[Result]", answers)
        self._most_cpu_ms = max([self._most_cpu_ms, *(result["most_cpu_ms"] for result in results)])
        return results

    def measure(self) -> Measurement:
        return {
            "compressed_bytes": len(pack(self._files)),
            "uncompressed_bytes": sum(map(len, self._files.values())),
            "init_cpu_ms": cast("float", self._activated["initCpuMs"]),
            "heap_bytes": cast("int", self._activated["heapBytes"]),
            "max_event_cpu_ms": self._most_cpu_ms,
            "handlers": cast("list[str]", self._activated["handlers"]),
        }
