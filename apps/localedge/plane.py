"""Keeps the data plane running: starts the engine, tells it everything it must know, starts it again when it ends."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from apps.localedge.bundles import CodeBundle
from apps.localedge.config import NETWORKS, Config
from apps.localedge.datastream import DataStream
from apps.localedge.engine import Engine, EngineDied, EngineError, Json, find_node
from apps.localedge.keystore import Keystore
from apps.localedge.property_live import LiveProperty
from apps.localedge.tiers import Tier

logger = logging.getLogger("localedge.plane")

RESTART_PAUSE_SECONDS = 0.2
FILE_CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Activation:
    """A bundle on a network, with the tier it must fit."""

    network: str
    edgeworker_id: int
    bundle: CodeBundle
    tier: Tier


@dataclass(frozen=True, slots=True)
class ItemWrite:
    """``value`` None deletes; ``delay`` seconds pass before the edge sees it."""

    network: str
    namespace: str
    group: str
    key: str
    value: str | None
    delay: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything an engine must know before it may serve."""

    activations: tuple[Activation, ...]
    items: tuple[ItemWrite, ...]
    tokens: tuple[Json, ...]
    guards: Json = field(default_factory=dict)


class DataPlane:
    """One engine at a time.

    ``bundles`` and ``items`` are locks, to be taken in this order and before the database's. Whoever changes what an
    engine knows holds one from before the database write until the engine was told; a new engine is briefed under
    both. So no change falls between two engines, and two writes of one item arrive in the order they were stored.
    """

    def __init__(self, config: Config, snapshot: Callable[[], Snapshot]) -> None:
        self._config = config
        self._snapshot = snapshot
        self._node = find_node(config.node)
        self.bundles = threading.RLock()
        self.items = threading.RLock()
        self._engine: Engine | None = None
        self._fault: Json = {}
        self._seen: dict[Path, bytes] = {}
        self._told: dict[str, list[Json]] = {}
        self._identity: tuple[str, str] | None = None
        self._follows: tuple[LiveProperty, DataStream, Keystore] | None = None
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def follow(self, live: LiveProperty, streams: DataStream, keystore: Keystore) -> None:
        """Before the start: whose word on streams and on the client certificate counts."""
        self._follows = (live, streams, keystore)

    def start(self) -> None:
        """Returns when traffic is served. What fails here is a configuration fault, and fatal."""
        self._launch()
        threading.Thread(target=self._supervise, name="plane-supervisor", daemon=True).start()
        threading.Thread(target=self._watch_files, name="plane-files", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self._ended.set()
        with self.bundles:
            engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(EngineError, EngineDied, TimeoutError):
                engine.call("close")
            engine.stop()

    @property
    def pid(self) -> int | None:
        engine = self._engine
        return engine.pid if engine is not None else None

    def status(self) -> Json:
        return self._running().call("status")

    def activate(self, activation: Activation) -> None:
        """Raises EngineError when the bundle is refused (the old one stays), EngineDied when nobody listens."""
        with self.bundles:
            self._running().call("activate", network=activation.network, spec=_spec(activation))

    def deactivate(self, network: str) -> None:
        with self.bundles:
            self._running().call("deactivate", network=network)

    def write(self, write: ItemWrite) -> None:
        """A write that meets no engine is in the database, and so in the next engine's snapshot."""
        self._tell("items", network=write.network, clear=False, writes=[_item(write)])

    def set_tokens(self, tokens: Iterable[Json]) -> None:
        self._tell("tokens", tokens=list(tokens))

    def set_guards(self, networks: Json) -> None:
        """Which addresses reach the guarded hosts of each network."""
        self._tell("guards", networks=networks)

    def set_fault(self, *, status: int, delay_ms: int) -> None:
        self._fault = {"status": status, "delayMs": delay_ms}
        self._tell("fault", fault=self._fault)

    def _tell(self, command: str, **given: Json) -> None:
        with self.items, suppress(EngineDied):
            self._running().call(command, **given)

    def _running(self) -> Engine:
        if self._engine is None:
            raise EngineDied("the data plane is down")
        return self._engine

    def _launch(self) -> None:
        with self.bundles, self.items:
            writable = (self._config.log_file.parent,) if self._config.log_file else ()
            for directory in writable:
                directory.mkdir(parents=True, exist_ok=True)
            engine = Engine(node=self._node, writable=writable)
            try:
                self._brief(engine)
            except BaseException:
                engine.stop()
                raise
            self._ended.clear()
            engine.on_exit(self._ended.set)
            self._engine = engine

    def _brief(self, engine: Engine) -> None:
        """Policy first, listeners last: no request meets an engine that knows only half."""
        snapshot = self._snapshot()
        engine.call("fault", fault=self._fault)
        engine.call("tokens", tokens=list(snapshot.tokens))
        engine.call("guards", networks=snapshot.guards)
        for network in {write.network for write in snapshot.items}:
            writes: list[Json] = [_item(write) for write in snapshot.items if write.network == network]
            engine.call("items", network=network, clear=True, writes=writes)
        for activation in snapshot.activations:
            self._restore(engine, activation)
        self._seen.clear()
        self._told.clear()
        self._identity = None
        self._send_files(engine)
        self._send_property(engine)
        engine.call("serve", **self._serving())

    def _restore(self, engine: Engine, activation: Activation) -> None:
        """A bundle that was good once and is refused now leaves its network closed, not the others."""
        try:
            engine.call("activate", network=activation.network, spec=_spec(activation))
        except EngineError as error:
            logger.error("version %s on %s: %s %s", activation.bundle.version, activation.network, error.code, error)

    def _serving(self) -> dict[str, Json]:
        config = self._config
        listeners: list[Json] = [
            {"network": network, "node": _node_name(config.name, network), "host": address.host, "port": address.port}
            for network, address in config.listeners.items()
        ]
        log: Json = {"path": str(config.log_file), "maxBytes": config.log_bytes} if config.log_file else None
        ship: Json = {"url": config.ship.url, "token": self._token()} if config.ship else None
        return {"listeners": listeners, "log": log, "ship": ship}

    def _token(self) -> str:
        """Read late: the console may hand it out after this process has started."""
        if self._config.ship is None:
            return ""
        with suppress(OSError):
            return self._config.ship.token_file.read_text().strip()
        return ""

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._ended.wait()
            if self._stopping.is_set():
                return
            logger.warning("the data plane ended; starting it again")
            self._relaunch()

    def _relaunch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._launch()
            except (EngineError, EngineDied, TimeoutError) as error:
                logger.error("the data plane does not start: %s", error)
                self._stopping.wait(RESTART_PAUSE_SECONDS)
            else:
                return

    def _watch_files(self) -> None:
        """Certificates are renewed in place; the engine cannot read files, so it is told. So are streams that moved."""
        while not self._stopping.wait(FILE_CHECK_SECONDS):
            with self.bundles, suppress(EngineDied, EngineError):
                self._send_files(self._running())
                self._send_property(self._running())

    def _send_property(self, engine: Engine) -> None:
        """Where lines go, when that is another place than before."""
        if self._follows is None:
            return
        live, streams, _keystore = self._follows
        for network in NETWORKS:
            named, template = live.streams(network)
            deliveries = streams.delivering(named, template)
            if deliveries != self._told.get(network, []):
                engine.call("streams", network=network, list=deliveries)
                self._told[network] = deliveries

    def _send_files(self, engine: Engine) -> None:
        origin, identity = self._config.origin, self._named_identity()
        files_changed = self._changed(origin.ca, origin.cert, origin.key)
        if origin.ca in self._seen and (files_changed or identity != self._identity):
            cert, key = identity or (self._seen[origin.cert].decode(), self._seen[origin.key].decode())
            engine.call(
                "origin",
                url=origin.url,
                others=dict(origin.others),
                ca=self._seen[origin.ca].decode(),
                cert=cert,
                key=key,
                identity=origin.identity,
                idleSeconds=origin.idle_seconds,
            )
            self._identity = identity
        if self._config.ship and self._changed(self._config.ship.token_file):
            engine.call("token", token=self._token())

    def _named_identity(self) -> tuple[str, str] | None:
        """The client certificate the live property names, when it is deployed; else the one in the files is shown."""
        if self._follows is None:
            return None
        live, _streams, keystore = self._follows
        guid = live.certificate()
        return keystore.identity(guid) if guid else None

    def _changed(self, *paths: Path) -> bool:
        """True when all exist and at least one differs from what was sent."""
        try:
            now = {path: path.read_bytes() for path in paths}
        except OSError:
            return False
        if all(self._seen.get(path) == content for path, content in now.items()):
            return False
        self._seen.update(now)
        return True


def _node_name(name: str, network: str) -> str:
    return name if network == "PRODUCTION" else f"{name}:{network.lower()}"


def _spec(activation: Activation) -> Json:
    files: dict[str, Json] = {name: base64.b64encode(data).decode() for name, data in activation.bundle.files.items()}
    return {
        "files": files,
        "limits": cast("Mapping[str, Json]", activation.tier.engine_limits()),
        "version": activation.bundle.version,
        "edgeWorkerId": activation.edgeworker_id,
    }


def _item(write: ItemWrite) -> Json:
    return {
        "namespace": write.namespace,
        "group": write.group,
        "key": write.key,
        "value": write.value,
        "delayMs": round(write.delay * 1000),
    }
