"""``python -m apps.meshagent.cluster_agent --config FILE.json``: keeps one cluster as the console wants it, inside it.

For clusters that let nobody in: it asks the console by the node agent's protocol, believes only what was signed with a
pinned key, applies it with its own service account, and says what came of it. Every few minutes it applies the same
again, so that what somebody changed by hand comes to light. The console may be away for as long as it likes.
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
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from apps.meshagent.bundle import BundleError, Manifest, Verifier
from apps.meshagent.cluster_objects import ClusterError, Objects, Server
from apps.meshagent.console import Console, ConsoleError, Offer
from apps.meshagent.layout import replace_file

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Config:
    """``target`` is the cluster's short name at the console; ``bundle_keys`` the JWK set to believe.

    ``floor_file`` keeps the highest revision ever taken, on a volume that outlives the pod. ``server`` is for an agent
    that runs outside; inside, the pod's own account is used. Durations are seconds.
    """

    console: str
    token_file: Path
    bundle_keys: Path
    node: str
    target: str
    namespaces: tuple[str, ...]
    server: Server
    floor_file: Path
    access_control: str = "allow"
    poll_seconds: int = 25
    again_seconds: int = 300

    @classmethod
    def load(cls, path: Path) -> Config:
        data = json.loads(path.read_text(encoding="utf-8"))
        more = {name: data[name] for name in ("access_control", "poll_seconds", "again_seconds") if name in data}
        return cls(
            console=data["console"].rstrip("/"),
            token_file=Path(data["token_file"]),
            bundle_keys=Path(data["bundle_keys"]),
            node=data["node"],
            target=data["target"],
            namespaces=tuple(data["namespaces"]),
            server=_server(data.get("server")),
            floor_file=Path(data["floor_file"]),
            **more,
        )


def _server(data: Mapping[str, Any] | None) -> Server:
    if data is None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        return Server(f"https://{f'[{host}]' if ':' in host else host}:{port}")
    ca = data.get("ca_file")
    return Server(data["url"].rstrip("/"), Path(data["token_file"]), Path(ca) if ca else None)


class ClusterAgent:
    def __init__(self, config: Config, console: Console, verifier: Verifier, objects: Objects) -> None:
        self._config, self._console, self._verifier, self._objects = config, console, verifier, objects
        self._held: dict[str, bytes] = {}
        self._manifest: Manifest | None = None
        self._done_at = 0.0
        self._have = ""

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
        offer = self._console.wait_for_bundle(self._have, self._config.poll_seconds)
        if offer is not None and offer.signed:
            self._take(offer)
        elif self._manifest is not None and time.monotonic() - self._done_at > self._config.again_seconds:
            self._make_true(self._manifest)

    def _take(self, offer: Offer) -> None:
        manifest = self._verifier.read(offer.signed)
        self._require_next(manifest)
        contents = {**self._held, **offer.inline}
        missing = set(manifest.hashes.values()) - contents.keys()
        contents |= self._console.artifacts(missing) if missing else {}
        self._held = {sha256: _checked(sha256, contents.get(sha256, b"")) for sha256 in manifest.hashes.values()}
        self._manifest = manifest
        self._make_true(manifest)

    def _require_next(self, manifest: Manifest) -> None:
        """An older bundle, though it was signed once, would open again what was closed since."""
        if manifest.target != self._config.target:
            raise BundleError(f"This bundle is for {manifest.target}; this agent belongs to {self._config.target}.")
        floor = self._floor()
        if manifest.revision < floor:
            raise BundleError(f"Revision {manifest.revision} is older than {floor}.")
        replace_file(self._config.floor_file, str(manifest.revision).encode())

    def _floor(self) -> int:
        file = self._config.floor_file
        return int(file.read_text(encoding="utf-8")) if file.exists() else 0

    def _make_true(self, manifest: Manifest) -> None:
        contents = {path: self._held[sha256] for path, sha256 in manifest.hashes.items()}
        try:
            self._objects.bring(contents, manifest.hashes, manifest.revision)
        except ClusterError as error:
            self._have = ""
            self._console.report(self._report(manifest, "failed", str(error)))
            raise
        self._have, self._done_at = manifest.digest, time.monotonic()
        self._console.report(self._report(manifest, "active"))
        _log.info("Revision %d is in the cluster", manifest.revision)

    def _report(self, manifest: Manifest, state: str, error: str = "") -> dict[str, Any]:
        said = {"revision": manifest.revision, "digest": manifest.digest, "state": state, "error": error[:2000]}
        return {"node": self._config.node, **said, "probes": [], "identities": []}


def _checked(sha256: str, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"The content of {sha256} is another.")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description="The Sallyport cluster agent: applies what the console signed.")
    parser.add_argument("--config", type=Path, required=True)
    config = Config.load(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _end)
    objects = Objects(config.server, config.target, config.namespaces, config.access_control)
    console = Console(config.console, config.token_file)
    ClusterAgent(config, console, Verifier(config.bundle_keys), objects).run()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
