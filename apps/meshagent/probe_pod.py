"""``python -m apps.meshagent.probe_pod --config FILE.json``: calls from inside a cluster, as one of its workloads.

It speaks the node agent's protocol and enforces nothing: it takes probes, makes them and reports. What it is known by
(account, labels, certificate) is what its pod was given. It only calls hosts of its own cluster.
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from apps.meshagent import probes
from apps.meshagent.bundle import BundleError, Manifest, Verifier
from apps.meshagent.config import Config
from apps.meshagent.console import Console, ConsoleError, Offer
from apps.meshagent.identities import Identities
from apps.meshagent.layout import Layout

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
_log = logging.getLogger(__name__)


class ProbePod:
    def __init__(self, config: Config, console: Console, verifier: Verifier) -> None:
        self._config, self._console, self._verifier = config, console, verifier
        self._layout = Layout(config.root)
        self._layout.prepare()
        self._identities = Identities(self._layout, console, config.workloads if config.certificates else ())
        self._have = ""
        self._last = 0

    def run(self) -> None:
        """Never returns."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                self.step()
                pause = SHORTEST_PAUSE
            except (ConsoleError, BundleError) as error:
                _log.warning("%s", error)
                time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, not a secret
                pause = min(LONGEST_PAUSE, pause * 2)

    def step(self) -> None:
        """One round: a certificate if it needs one, then at most one offer."""
        self._identities.renew(datetime.now(UTC))
        offer = self._console.wait_for_bundle(self._have, self._config.poll_seconds)
        if offer is not None:
            self._take(offer)

    def _take(self, offer: Offer) -> None:
        """Probes are asked for together with a revision: what they show is true of that one, or of a later one."""
        manifest = self._verifier.read(offer.signed)
        if self._config.target not in (None, manifest.target):
            raise BundleError(f"This is about {manifest.target}; these probes belong to {self._config.target}.")
        if manifest.revision < self._last:
            raise BundleError(f"Revision {manifest.revision} is older than {self._last}, which was probed before.")
        found = probes.run(self._layout, offer.probes, self._may_call)
        self._console.report(self._report(manifest, found))
        self._have, self._last = manifest.digest, manifest.revision

    def _may_call(self, host: str) -> bool:
        return any(host == one or host.endswith(f".{one}") for one in self._config.reach)

    def _report(self, manifest: Manifest, found: list[dict[str, Any]]) -> dict[str, Any]:
        """It stands for its workloads whether or not it has certificates: in a cluster the pod itself is who it is."""
        held = {identity.workload: identity.describe() for identity in self._identities.held()}
        return {
            "node": self._config.node,
            "revision": manifest.revision,
            "digest": manifest.digest,
            "state": "active",
            "error": "",
            "probes": found,
            "identities": [held.get(workload, {"workload": workload}) for workload in self._config.workloads],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="The Sallyport probe pod: makes calls from inside a cluster.")
    parser.add_argument("--config", type=Path, required=True)
    config = Config.load(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _end)
    ProbePod(config, Console(config.console, config.token_file), Verifier(config.bundle_keys)).run()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
