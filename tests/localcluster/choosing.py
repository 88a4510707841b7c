"""What tests speak to: the stand-in, or a real API server where the programs of one are named.

``python -m tests.localcluster.choosing`` starts a real one, says where its kubeconfig is, and stops when interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.localcluster.cluster import LocalCluster
from tests.localcluster.newer import PROGRAM, NewerCluster
from tests.localcluster.real import RealCluster

REAL = "SALLYPORT_REAL_CLUSTER"
"""The directory ``deploy/realcluster/build.sh`` filled."""


def cluster_in(directory: Path, **settings: Any) -> LocalCluster:
    named = os.environ.get(REAL)
    return real_in(Path(named), directory, **settings) if named else LocalCluster(directory, **settings)


def real_in(programs: Path, directory: Path, **settings: Any) -> RealCluster:
    kind = NewerCluster if (programs / PROGRAM).exists() else RealCluster
    return kind(programs, directory, **settings)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="sallyport-real-") as folder:
        cluster = real_in(Path(os.environ[REAL]), Path(folder))
        try:
            cluster.start()
            sys.stdout.write(f"KUBECONFIG={folder}/kubeconfig\n")
            sys.stdout.flush()
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
