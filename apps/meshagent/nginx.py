"""The NGINX of this node: started, adopted, checked, reloaded, kept alive.

The agent may die at any moment; NGINX goes on without it, and the next agent takes it over.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from apps.meshagent import processes
from apps.meshagent.binary import Binary
from apps.meshagent.layout import Layout, replace_file

START_SECONDS = 10
RELOAD_SECONDS = 10
RESTART_PAUSE = 0.5
_log = logging.getLogger(__name__)


class NginxError(Exception):
    """NGINX refused a configuration or did not start; the message holds its own words."""


class Nginx:
    """All methods may be called from any thread. ``tend`` runs in one of its own."""

    def __init__(self, layout: Layout, binary: Binary) -> None:
        self._layout, self.binary = layout, binary
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._master: int | None = None
        self._wanted = False
        self._ended = threading.Event()

    def check(self, revision: Path) -> None:
        """``nginx -t`` on a revision that is not in force yet; raises NginxError."""
        done = subprocess.run(
            [*self._command(f"{revision}/nginx.conf"), "-t"],
            cwd=self._layout.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise NginxError(_complaints(done.stderr))

    def serve(self) -> None:
        """Makes ``current`` the configuration that is served, whether NGINX runs or not; raises NginxError."""
        with self._lock:
            self._wanted = True
            if self._is_running():
                self._reload()
            else:
                self._start()

    def adopt(self) -> bool:
        """Takes over an NGINX that an earlier agent left behind, and ends what belongs to none."""
        with self._lock:
            replace_file(self._layout.root / "node.conf", self.binary.node_conf(self._layout.root).encode())
            replace_file(self._layout.root / "node_http.conf", self.binary.http_conf().encode())
            master = self._left_behind()
            processes.end_leftovers(self._layout.root, spare=master)
            self._master = master
            return master is not None

    def reopen_log(self) -> None:
        with self._lock:
            if self._is_running():
                self._signal(signal.SIGUSR1)

    def tend(self) -> None:
        """Starts NGINX again whenever it ends without having been told to."""
        while not self._ended.wait(RESTART_PAUSE):
            with self._lock:
                if self._wanted and not self._is_running():
                    _log.warning("NGINX has ended; starting it again")
                    self._try(self._start)

    def stop(self) -> None:
        self._ended.set()
        with self._lock:
            self._wanted = False
            if self._is_running() and self._master is not None:
                self._signal(signal.SIGTERM)
                processes.wait_gone({self._master}, seconds=5)
                self._is_running()

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except NginxError as error:
            _log.warning("%s", error)

    def _command(self, configuration: str) -> list[str]:
        return [self.binary.path, "-p", f"{self._layout.root}/", "-c", configuration, "-e", "logs/error.log"]

    def _start(self) -> None:
        processes.end_leftovers(self._layout.root, spare=None)
        for name in ("verifier.sock", "nginx.pid"):
            (self._layout.root / "run" / name).unlink(missing_ok=True)
        self._child = subprocess.Popen(
            [*self._command("current/nginx.conf"), "-g", "daemon off;"],
            cwd=self._layout.root,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._master = self._child.pid
        self._await_start(self._child)

    def _await_start(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not processes.serving_workers(child.pid):
            if child.poll() is not None:
                raise NginxError(_complaints(child.stderr.read().decode(errors="replace") if child.stderr else ""))
            if time.monotonic() > deadline:
                raise NginxError("NGINX did not start in time.")
            time.sleep(0.005)

    def _reload(self) -> None:
        """Returns when no worker with the old configuration takes connections any more."""
        if self._master is None:
            raise NginxError("NGINX does not run.")
        before = processes.serving_workers(self._master)
        errors = _size(self._error_log)
        self._signal(signal.SIGHUP)
        deadline = time.monotonic() + RELOAD_SECONDS
        while True:
            now = processes.serving_workers(self._master)
            if now and now.isdisjoint(before):
                return
            if time.monotonic() > deadline or not self._is_running():
                raise NginxError(f"NGINX did not reload: {_complaints(_tail(self._error_log, errors))}")
            time.sleep(0.003)

    @property
    def _error_log(self) -> Path:
        return self._layout.root / "logs" / "error.log"

    def _is_running(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            self._child, self._master = None, None
        return self._master is not None and processes.title(self._master).startswith("nginx: ")

    def _left_behind(self) -> int | None:
        try:
            pid = int((self._layout.root / "run" / "nginx.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        ours = processes.works_in(pid, self._layout.root) and processes.title(pid).startswith(
            f"{processes.MASTER} {self.binary.path} "
        )
        return pid if ours else None

    def _signal(self, how: signal.Signals) -> None:
        if self._master is not None:
            os.kill(self._master, how)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(20_000).decode(errors="replace")


def _complaints(text: str) -> str:
    """The lines of NGINX's own words that say what is wrong."""
    bad = [line for line in text.splitlines() if "[emerg]" in line or "[crit]" in line or "[alert]" in line]
    return "\n".join(bad[:5] or text.splitlines()[-5:]) or "NGINX ended without a word."
