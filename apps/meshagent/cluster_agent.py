"""``python -m apps.meshagent.cluster_agent --config FILE.json``: keeps one cluster as the console wants it, inside it.

For clusters that let nobody in: it asks the console by the node agent's protocol, believes only what was signed with a
pinned key, applies it with its own service account, and says what came of it and what it sees there. What somebody
changed by hand it leaves as it is until a person said otherwise. The console may be away for as long as it likes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from apps.meshagent.bundle import BundleError, Manifest, Verifier, digest_of
from apps.meshagent.cluster.applying import Applying, Orders, Outcome
from apps.meshagent.cluster.kinds import KINDS, BadObject, Ref, parsed, ref_of
from apps.meshagent.cluster.memory import MemoryFile
from apps.meshagent.cluster.reading import Reader, Wanted, differences
from apps.meshagent.cluster.reviewing import review
from apps.meshagent.cluster.server import ACCOUNT, Api, ClusterError, Server
from apps.meshagent.console import Console, ConsoleError, Offer

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
MOST_BEHIND = 5000
NOBODY_KNOWN = Manifest("", 0, "", {})
"""Of what was not signed nothing is believed, not even its number."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Config:
    """``target`` is the cluster's short name at the console; ``bundle_keys`` the JWK set to believe.

    ``memory_file`` lies on a volume that outlives the pod. ``namespaces`` and ``kinds`` are all that is ever read or
    written. ``server`` is for an agent that runs outside; inside, the pod's own account is used. ``token_file`` holds
    what the console knows the agent by; it is read anew for each call. Durations are seconds.
    """

    console: str
    token_file: Path
    bundle_keys: Path
    node: str
    target: str
    namespaces: tuple[str, ...]
    server: Server
    memory_file: Path
    kinds: tuple[str, ...] = tuple(KINDS)
    poll_seconds: float = 25
    look_seconds: float = 60

    @classmethod
    def load(cls, path: Path) -> Config:
        data = json.loads(path.read_text(encoding="utf-8"))
        more = {name: data[name] for name in ("poll_seconds", "look_seconds") if name in data}
        return cls(
            console=data["console"].rstrip("/"),
            token_file=Path(data["token_file"]),
            bundle_keys=Path(data["bundle_keys"]),
            node=data["node"],
            target=data["target"],
            namespaces=tuple(data["namespaces"]),
            server=_server(data.get("server")),
            memory_file=Path(data["memory_file"]),
            kinds=tuple(data.get("kinds", KINDS)),
            **more,
        )


def _server(data: Mapping[str, Any] | None) -> Server:
    if data is None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        return Server(f"https://{f'[{host}]' if ':' in host else host}:{port}")
    ca, token = data.get("ca_file"), data.get("token_file", ACCOUNT / "token")
    return Server(data["url"].rstrip("/"), Path(token), Path(ca) if ca else None)


class ClusterAgent:
    def __init__(self, config: Config, console: Console, verifier: Verifier, api: Api, memory: MemoryFile) -> None:
        self._config, self._console, self._verifier = config, console, verifier
        self._api, self._memory = api, memory
        self._reader = Reader(api, config.target, config.namespaces, config.kinds)
        self._held: dict[str, bytes] = {}
        self._manifest: Manifest | None = None
        self._wanted: dict[Ref, Wanted] = {}
        self._have = ""
        self._looked_at = 0.0

    def run(self) -> None:
        """Never returns. Whatever goes wrong only makes it wait."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                self.step()
                pause = SHORTEST_PAUSE
            except (ConsoleError, BundleError, ClusterError) as error:
                _log.warning("%s", error)
                time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, not a secret
                pause = min(LONGEST_PAUSE, pause * 2)

    def step(self) -> None:
        """At most one offer; without any, a look at the cluster now and then."""
        offer = self._console.wait_for_bundle(self._have, self._config.poll_seconds)
        if offer is not None:
            self._take(offer)
        elif self._have and time.monotonic() - self._looked_at >= self._config.look_seconds:
            self._look({})

    def _take(self, offer: Offer) -> None:
        manifest = self._read(offer)
        try:
            orders = self._accept(manifest, offer)
        except (BundleError, BadObject) as error:
            self._console.report(self._report(manifest, "failed", str(error)))
            raise BundleError(str(error)) from error
        if manifest.digest == self._have and not orders.again:
            self._memory.keep(done=max(orders.number, self._memory.now.done))
            self._look(offer.ask)
        else:
            self._bring(manifest, orders, offer.ask)

    def _read(self, offer: Offer) -> Manifest:
        try:
            return self._verifier.read(offer.signed)
        except BundleError as error:
            self._console.report(self._report(NOBODY_KNOWN, "failed", str(error)))
            raise

    def _accept(self, manifest: Manifest, offer: Offer) -> Orders:
        """From here on nothing older is taken, whatever comes of this one. Raises BundleError, BadObject."""
        orders = self._require_next(manifest)
        contents = {**self._held, **offer.inline}
        missing = set(manifest.hashes.values()) - contents.keys()
        contents |= self._console.artifacts(missing) if missing else {}
        held = {sha256: _checked(sha256, contents.get(sha256, b"")) for sha256 in manifest.hashes.values()}
        refs = {ref_of(path): sha256 for path, sha256 in manifest.hashes.items()}
        self._require_inside(refs)
        wanted = {ref: Wanted(parsed(ref, held[sha256]), sha256) for ref, sha256 in refs.items()}
        for path in orders.again:
            self._require_inside([ref_of(path)])
        self._memory.keep(revision=manifest.revision, order=orders.number)
        self._held, self._wanted, self._manifest = held, wanted, manifest
        return orders

    def _require_next(self, manifest: Manifest) -> Orders:
        """An older bundle, though it was signed once, would open again what was closed since. An order that was carried
        out is not carried out twice."""
        now, orders = self._memory.now, _orders(manifest)
        if manifest.target != self._config.target:
            raise BundleError(f"This bundle is for {manifest.target}; this agent belongs to {self._config.target}.")
        if manifest.revision < now.revision:
            raise BundleError(f"Revision {manifest.revision} is older than {now.revision}.")
        if orders.number < now.order:
            raise BundleError(f"Order {orders.number} is older than {now.order}.")
        fresh = orders.number > now.done
        return replace(orders, again=orders.again if fresh else frozenset())

    def _require_inside(self, refs: Mapping[Ref, str] | list[Ref]) -> None:
        namespaces = {ref.namespace for ref in refs} - set(self._config.namespaces)
        kinds = {ref.key for ref in refs} - set(self._config.kinds)
        if namespaces or kinds:
            outside = ", ".join(sorted(namespaces | kinds))
            raise BundleError(f"This agent may not touch {outside}: apply its manifest again.")

    def _bring(self, manifest: Manifest, orders: Orders, ask: Mapping[str, Any]) -> None:
        self._have = ""
        try:
            applying = Applying(self._api, self._reader, self._config.target, self._memory)
            outcome = applying.run(self._wanted, manifest.revision, orders)
        except ClusterError as error:
            self._console.report(self._report(manifest, "failed", str(error)) | {"trouble": _trouble(error)})
            raise
        if outcome.is_done or orders.again <= outcome.brought.keys():
            self._memory.keep(done=max(orders.number, self._memory.now.done))
        if outcome.is_done:
            self._have = manifest.digest
            _log.info("Revision %d is in the cluster", manifest.revision)
        self._look(ask, outcome)

    def _look(self, ask: Mapping[str, Any], outcome: Outcome | None = None) -> None:
        """Reads the cluster back and tells what is there. Raises ClusterError after it was told, too."""
        manifest = self._manifest or NOBODY_KNOWN
        failed = outcome is not None and not outcome.is_done
        error = "; ".join(map(str, outcome.failures)) if outcome is not None else ""
        report = self._report(manifest, "failed" if failed else "active", error or ("Not all of it." if failed else ""))
        if outcome is not None and outcome.failures:
            report["trouble"] = _trouble(outcome.failures[0])
        try:
            report["seen"] = self._seen(outcome.conflicts if outcome is not None else {})
            report["access"] = review(self._api, ask, self._config.namespaces, self._config.kinds)
        except ClusterError as silence:
            self._console.report(report | {"trouble": _trouble(silence), "error": str(silence)[:2000]})
            raise
        self._console.report(report)
        if failed:
            raise ClusterError("Not all of it is in the cluster", 0, error)

    def _seen(self, conflicts: Mapping[str, Any]) -> dict[str, Any]:
        """What is in the cluster of ours: what differs with its text, and by one hash whether all the rest is there."""
        began = time.monotonic()
        brought = self._memory.now.brought
        live = self._reader.with_missing(self._reader.ours(), self._wanted)
        differs = differences(live, self._wanted, brought)
        off = {one["path"] for one in differs}
        wanted = {ref.path: one.sha256 for ref, one in self._wanted.items()}
        behind = sorted(
            {path for path, sha256 in wanted.items() if brought.get(path) != sha256} | brought.keys() - wanted
        )
        there = {path: sha256 for path, sha256 in wanted.items() if path not in {*off, *behind}}
        self._looked_at = began
        return {
            "age": round(time.monotonic() - began, 3),
            "version": self._api.version(),
            "order": self._memory.now.done,
            "digest": digest_of(there),
            "held": len(there),
            "differs": differs,
            "behind": behind[:MOST_BEHIND],
            "conflicts": dict(conflicts),
        }

    def _report(self, manifest: Manifest, state: str, error: str = "") -> dict[str, Any]:
        said = {"revision": manifest.revision, "digest": manifest.digest, "state": state, "error": error[:2000]}
        return {"node": self._config.node, **said, "probes": [], "identities": []}


def _orders(manifest: Manifest) -> Orders:
    try:
        said = manifest.cluster
        again = frozenset(str(path) for path in said.get("again", ()))
        closes = said.get("access_control", "allow") == "allow"
        return Orders(int(said.get("order", 0)), again, closes, leaves=said.get("leaves") is True)
    except (TypeError, ValueError) as error:
        raise BundleError(f"The orders cannot be read: {error}") from error


def _checked(sha256: str, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"The content of {sha256} is another.")
    return content


def _trouble(error: ClusterError) -> dict[str, Any]:
    return {"status": error.status, "kind": error.kind, "text": str(error)[:2000]}


def main() -> None:
    parser = argparse.ArgumentParser(description="The Sallyport cluster agent: applies what the console signed.")
    parser.add_argument("--config", type=Path, required=True)
    config = Config.load(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _end)
    console, verifier = Console(config.console, config.token_file), Verifier(config.bundle_keys)
    ClusterAgent(config, console, verifier, Api(config.server), MemoryFile(config.memory_file)).run()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
