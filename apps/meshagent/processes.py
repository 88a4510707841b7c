"""What /proc says about NGINX processes. Linux only, as the node agent is."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

MASTER = "nginx: master process"
WORKER = "nginx: worker process"


def title(pid: int) -> str:
    """The title a process gives itself; '' when there is none any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        return False


def serving_workers(master: int) -> set[int]:
    """Workers of a master that take new connections; one that is shutting down says so in its title."""
    try:
        children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
    except OSError:
        return set()
    return {int(child) for child in children if title(int(child)) == WORKER}


def end_leftovers(folder: Path, *, spare: int | None) -> None:
    """Ends every NGINX process that works in ``folder`` and does not belong to the master ``spare``.

    A master that was killed leaves workers behind that hold the ports and serve an old configuration for ever.
    """
    family = set() if spare is None else {spare, *_children(spare)}
    leftovers = {pid for pid in _nginx_in(folder) if pid not in family}
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in leftovers:
            _signal(pid, how)
        if wait_gone(leftovers, seconds=2):
            return


def wait_gone(pids: set[int], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(title(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _nginx_in(folder: Path) -> set[int]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return {pid for pid in pids if title(pid).startswith("nginx: ") and works_in(pid, folder)}


def _children(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()}
    except OSError:
        return set()


def _signal(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
