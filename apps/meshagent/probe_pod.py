"""``python -m apps.meshagent.probe_pod --config FILE.json``: calls from inside a cluster, as one of its workloads.

It speaks the node agent's protocol and enforces nothing: it takes probes, makes them and reports. Who it is (account,
labels, the identity its mesh gives it) is what its pod was given. It only calls hosts of its own cluster.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from apps.meshagent import plain_calls
from apps.meshagent.console import Console, ConsoleError

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
IN_CLUSTER = ("svc", "svc.cluster.local")
_log = logging.getLogger(__name__)


class WrongPartError(Exception):
    """The console takes this pod for a node that enforces."""


@dataclass(frozen=True, slots=True)
class Config:
    """``workloads`` are those this pod is, to the cluster; ``reach`` the names below which it may call."""

    console: str
    token_file: Path
    node: str
    workloads: tuple[str, ...]
    reach: tuple[str, ...] = IN_CLUSTER
    poll_seconds: int = 25

    @classmethod
    def load(cls, path: Path) -> Config:
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            console=data["console"].rstrip("/"),
            token_file=Path(data["token_file"]),
            node=data["node"],
            workloads=tuple(data["workloads"]),
            reach=tuple(data.get("reach", IN_CLUSTER)),
            poll_seconds=data.get("poll_seconds", 25),
        )


class ProbePod:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._console = Console(config.console, config.token_file)

    def run(self) -> None:
        """Never returns. It says first whom it stands for: only then is it asked anything."""
        pause = SHORTEST_PAUSE
        introduced = False
        while True:
            try:
                if not introduced:
                    self.introduce()
                    introduced = True
                self.step()
                pause = SHORTEST_PAUSE
            except (ConsoleError, WrongPartError) as error:
                _log.warning("%s", error)
                time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, not a secret
                pause = min(LONGEST_PAUSE, pause * 2)

    def introduce(self) -> None:
        self._console.report(self._report([]))

    def step(self) -> None:
        """Waits for probes, makes them, says what happened."""
        offer = self._console.wait_for_bundle("", self._config.poll_seconds)
        if offer is None:
            return
        if offer.signed:
            raise WrongPartError("The console offers a bundle: let this pod in as one that only tries calls.")
        self._console.report(self._report(plain_calls.run(offer.probes, self._may_call)))

    def _may_call(self, host: str) -> bool:
        return any(host == one or host.endswith(f".{one}") for one in self._config.reach)

    def _report(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "node": self._config.node,
            "revision": 0,
            "digest": "",
            "state": "active",
            "error": "",
            "probes": found,
            "identities": [{"workload": workload} for workload in self._config.workloads],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="The Sallyport probe pod: makes calls from inside a cluster.")
    parser.add_argument("--config", type=Path, required=True)
    config = Config.load(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _end)
    ProbePod(config).run()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
