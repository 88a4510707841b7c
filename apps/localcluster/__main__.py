"""``python -m apps.localcluster --config FILE.json``: a Kubernetes API server on your laptop."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from apps.localcluster.config import BadConfig, load_config
from apps.localcluster.service import Service


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """uvicorn raises the signal again when it has stopped; this way the file is put away too."""
    raise SystemExit(0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="localcluster", description="A Kubernetes API server on your laptop.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        Service(load_config(arguments.config)).run()
    except BadConfig as error:
        sys.stderr.write(f"localcluster: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
