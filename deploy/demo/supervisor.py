"""A small supervisor: starts children, prefixes their logs, restarts what dies and says so, stops all: stores last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_GIVE_UP_AFTER = 8
_STEADY_SECONDS = 20.0


@dataclass
class Child:
    """One process to keep alive. ``ready`` is polled until true; ``stop_signal`` asks it to end.

    A ``store`` is what the others write to until they end.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    cwd: Path | None = None
    user: str | None = None
    store: bool = False
    process: subprocess.Popen[str] | None = field(default=None, repr=False)
    started: float = 0.0
    failures: int = 0


class Supervisor:
    """Owns its children from start to stop. Not thread-safe: use it from one thread."""

    def __init__(self, *, log_dir: Path, out: TextIO | None = None, quiet: bool = False) -> None:
        self.children: list[Child] = []
        self._out = out or sys.stdout
        self._quiet = quiet
        self._log_dir = log_dir
        self._lock = threading.Lock()
        self._stopping = False
        log_dir.mkdir(parents=True, exist_ok=True)

    def say(self, message: str) -> None:
        self._write("demo", message, 1)

    def start(self, child: Child) -> None:
        if child not in self.children:
            self.children.append(child)
        child.process = subprocess.Popen(
            list(child.argv),
            env={**os.environ, **child.env},
            cwd=child.cwd,
            user=child.user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the children in order
        )
        child.started = time.monotonic()
        threading.Thread(target=self._pump, args=(child, child.process), daemon=True).start()

    def wait_ready(self, children: Sequence[Child], *, timeout: float) -> None:
        """Blocks until every child is ready, restarting the ones that die. Raises TimeoutError naming the laggards."""
        deadline = time.monotonic() + timeout
        waiting = list(children)
        while waiting:
            self.tend()
            waiting = [child for child in waiting if not child.ready()]
            if waiting and time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                raise TimeoutError(f"Not healthy after {timeout:.0f} s: {names}. Their logs are in {self._log_dir}.")
            if waiting:
                time.sleep(0.1)

    def tend(self) -> None:
        """Restarts every child that has ended; gives up when one keeps dying."""
        for child in self.children:
            if self._stopping or child.process is None or child.process.poll() is None:
                continue
            child.failures = _failures(child)
            if child.failures > _GIVE_UP_AFTER:
                raise RuntimeError(f"{child.name} keeps ending (code {child.process.returncode}); giving up.")
            self.say(f"{child.name} ended with code {child.process.returncode}; restarting it.")
            time.sleep(min(2.0, 0.1 * 2**child.failures))
            self.start(child)

    def run(self) -> None:
        """Tends the children until stop() is called from a signal handler."""
        while not self._stopping:
            self.tend()
            time.sleep(0.3)

    def request_stop(self) -> None:
        self._stopping = True

    def stop(self, *, grace: float = 8.0) -> None:
        """Ends every child, the stores when the others are gone; kills what does not go within ``grace`` seconds."""
        self._stopping = True
        for stores in (False, True):
            self._end([child for child in reversed(self.children) if child.store is stores], grace)

    def _end(self, children: Sequence[Child], grace: float) -> None:
        """Asks all of them at once: some take seconds to finish what they do."""
        running = [(child, child.process) for child in children if child.process and child.process.poll() is None]
        for child, process in running:
            process.send_signal(child.stop_signal)
        deadline = time.monotonic() + grace
        for child, process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{child.name} did not stop in {grace:.0f} s; killing it.")
                _kill_group(process)

    def _pump(self, child: Child, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101  (PIPE was asked for above)
        colour = _COLOURS[self.children.index(child) % len(_COLOURS)]
        path = self._log_dir / f"{child.name}.log"
        with path.open("a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                if not self._quiet:
                    self._write(child.name, line.rstrip("\n"), colour)

    def _write(self, name: str, line: str, colour: int) -> None:
        prefix = f"{name:>10} | "
        if self._out.isatty():
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        with self._lock:
            self._out.write(f"{prefix}{line}\n")
            self._out.flush()


def _failures(child: Child) -> int:
    """How often in a row it ended young. What somebody else killed did not fail by itself."""
    ended_by_signal = child.process is not None and (child.process.returncode or 0) < 0
    if ended_by_signal or time.monotonic() - child.started > _STEADY_SECONDS:
        return 1
    return child.failures + 1


def _kill_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(5)
