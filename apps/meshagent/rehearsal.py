"""Before a revision is put in force it answers its own decision tables, in an NGINX beside the one that serves.

A table comes with the policy of each service, signed like everything else. One wrong answer refuses the revision.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.meshagent.binary import Binary
from apps.meshagent.bundle import Manifest
from apps.meshagent.layout import Layout
from apps.meshagent.nginx import NginxError

TRIALS = "trials.json"
START_SECONDS = 20
ANSWER_SECONDS = 30
AT_ONCE = 2000

Trial = Sequence[Any]
"""Service, subject, method, path, at; then what must come back: reason, grants, and what traffic rules make of it."""
ASKED = 5
"""So many of them are the question."""


def services_to_try(manifest: Manifest, before: Manifest | None) -> set[str]:
    """Folders of the services whose policy, or whose reading by the doors' scripts, is not the one in force."""
    known = {} if before is None else before.hashes
    changed = {path for path, sha256 in manifest.hashes.items() if known.get(path) != sha256}
    tried = {path.rpartition("/")[0] for path in manifest.hashes if path.endswith(f"/{TRIALS}")}
    if any(path.startswith("js/") for path in changed):
        return tried
    return tried & {path.rpartition("/")[0] for path in changed}


def rehearse(layout: Layout, binary: Binary, revision: Path, services: Iterable[str]) -> int:
    """How many trials passed; raises NginxError on the first that did not. ``services`` are folders of the revision."""
    tables = [revision / service / TRIALS for service in sorted(services)]
    trials = [trial for table in tables if table.exists() for trial in json.loads(table.read_text(encoding="utf-8"))]
    if not trials:
        return 0
    with _beside(layout, binary, revision) as path:
        for first in range(0, len(trials), AT_ONCE):
            batch = trials[first : first + AT_ONCE]
            _require_agreement(batch, _ask(path, batch))
    return len(trials)


def _require_agreement(trials: Sequence[Trial], answers: Sequence[Any]) -> None:
    if len(answers) != len(trials):
        raise NginxError("The rehearsal was not answered in full.")
    for trial, answer in zip(trials, answers, strict=True):
        wanted = list(trial[ASKED:])
        if answer != wanted:
            service, subject, method, path, at = trial[:ASKED]
            call = f"{method} {path} on {service} by {subject} at {at}"
            raise NginxError(f"Rehearsal: {call} is {_words(answer)} here; it must be {_words(wanted)}.")


def _words(said: Sequence[Any]) -> str:
    """The reason, and what traffic rules make of it where any does."""
    return f"{said[0]} {json.dumps(said[2])}" if len(said) > 2 else str(said[0])


def _ask(path: Path, trials: Sequence[Trial]) -> list[Any]:
    """What the policy says of each call."""
    body = json.dumps([list(trial[:ASKED]) for trial in trials]).encode()
    try:
        with socket.socket(socket.AF_UNIX) as connected:
            connected.settimeout(ANSWER_SECONDS)
            connected.connect(str(path))
            connection = http.client.HTTPConnection("rehearsal")
            connection.sock = connected
            connection.request("POST", "/", body)
            answer = connection.getresponse()
            content = answer.read()
        found = json.loads(content) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NginxError(f"The rehearsal was not answered: {type(error).__name__}") from error
    if not isinstance(found, list):
        raise NginxError("The policy failed in its rehearsal; the error log says how.")
    return found


@contextmanager
def _beside(layout: Layout, binary: Binary, revision: Path) -> Iterator[Path]:
    """The revision's policy behind a socket, in an NGINX of its own that ends with the block."""
    path = layout.root / "run" / "rehearsal.sock"
    path.unlink(missing_ok=True)
    argv = [binary.path, "-p", f"{layout.root}/", "-c", f"{revision}/rehearsal.conf", "-e", "logs/error.log"]
    process = subprocess.Popen(
        [*argv, "-g", binary.rehearsal_conf(layout.root)],
        cwd=layout.root,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(process, path)
        yield path
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        path.unlink(missing_ok=True)


def _await(process: subprocess.Popen[bytes], path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _listens(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NginxError("The rehearsal did not start; the error log says why.")
        time.sleep(0.003)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as knocking:
        try:
            knocking.connect(str(path))
        except OSError:
            return False
    return True
