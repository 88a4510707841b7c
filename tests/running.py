"""A whole Sallyport, started as `make demo` starts it, on ports and in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from deploy.demo import client, parts, servers
from deploy.demo.places import MESH_BASE_VARIABLE, PORTS, REPOSITORY, SERVICES, Places
from deploy.demo.secrets import load_or_make
from tests.ports import free_block


@dataclass
class Running:
    """``state`` is what `.demo/state.json` says; ``process`` is the supervisor."""

    places: Places
    state: dict[str, Any]
    process: subprocess.Popen[str]
    environ: dict[str, str]

    def api(self, who: str) -> Api:
        return Api(self.state["console"], self.state["tokens"][who])

    def in_browser(self, who: str) -> Api:
        """The REST API as pages call it: in a session that ``who`` began by the demo's sign-in."""
        console = self.state["console"]
        api = Api(console)
        api.session.headers["Referer"] = f"{console}/"
        api.session.get(f"{console}/sign-in/", timeout=10)
        form = {"csrfmiddlewaretoken": api.session.cookies["csrftoken"]}
        key = self.state["people"][who]
        api.session.post(f"{console}/demo/sign-in/{key}", form, allow_redirects=False, timeout=10).raise_for_status()
        api.session.headers["X-CSRFToken"] = api.session.cookies["csrftoken"]
        return api

    def call(self, who: str | None, method: str, url: str, data: str | None = None) -> requests.Response:
        """A call through the edge under a fresh edge token of ``who`` (None: without a token)."""
        token = client.edge_token(self.state, who) if who else None
        return client.call_edge(self.state, token, method, url, data)

    def edge(self, path: str, host: str = "api.shop.localhost") -> str:
        return f"http://{host}:{self.places.ports['edge']}{path}"

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **parts.console_environment(self.places, load_or_make(self.places.state))}
        argv = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
        return subprocess.run(argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)

    def pids(self, name: str) -> list[int]:
        """Direct children of the supervisor whose command line holds ``name``."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _parent(folder) == self.process.pid and name in _command(folder):
                found.append(int(folder.name))
        return found


class Api:
    """A thin client of the REST API under one API token, or in a session."""

    def __init__(self, console: str, token: str = "") -> None:
        self.base = f"{console}/api/v1"
        self.session = requests.Session()
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **params: Any) -> Any:
        answer = self.session.get(f"{self.base}/{path}", params=params, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.session.post(f"{self.base}/{path}", json=body or {}, timeout=10)


def wait_until(check: Callable[[], Any], *, seconds: float = 20, every: float = 0.05, what: str = "it") -> Any:
    """Polls until ``check`` gives something true and returns that; fails the test with ``what`` otherwise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@contextmanager
def running_demo(state: Path) -> Iterator[Running]:
    """Starts the demo and stops it; its logs are left in ``state/logs``."""
    environ = {**os.environ, **_free_ports(), "SALLYPORT_DEMO_STATE": str(state)}
    process = _start(environ)
    places = Places.from_environment(environ)
    try:
        _wait_for_state(process, places)
        document = json.loads((places.state / "state.json").read_text())
        yield Running(places, document, process, environ)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
        servers.forget(state)


def _start(environ: dict[str, str]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "deploy.demo", "up", "--quiet"]
    Path(environ["SALLYPORT_DEMO_STATE"]).mkdir(parents=True, exist_ok=True)
    log = (Path(environ["SALLYPORT_DEMO_STATE"]) / "supervisor.log").open("a")
    return subprocess.Popen(argv, cwd=REPOSITORY, env=environ, stdout=log, stderr=subprocess.STDOUT, text=True)


def _wait_for_state(process: subprocess.Popen[str], places: Places) -> None:
    deadline = time.monotonic() + 180
    while not (places.state / "state.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (places.state / "supervisor.log").read_text()[-4000:]
            raise AssertionError(f"The demo did not start:\n{log}")
        time.sleep(0.2)


def _free_ports() -> dict[str, str]:
    base = free_block(20 + 101 + SERVICES)
    chosen = {variable: str(base + n) for n, (variable, _, _) in enumerate(PORTS.values())}
    return {**chosen, MESH_BASE_VARIABLE: str(base + 20)}


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
