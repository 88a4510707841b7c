"""Decision lines on their way to the console: in batches, again and again, and never in the way of a call."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import eventually

ALLOW = """
export const onClientRequest = (r) => {
  r.setVariable('PMUSER_SP_V', JSON.stringify({ v: 'deny', r: 'no_grant', s: 'person:ada', svc: 'cart', g: [] }));
  r.respondWith(403, {}, '');
};
"""


class Console(ThreadingHTTPServer):
    """Takes lines; ``statuses`` are the next answers, 202 when there are none left; ``pause`` makes it slow."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Ingest)
        self.statuses: list[int] = []
        self.pause = 0.0
        self.batches: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.arrivals: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/telemetry/v1/events"

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [line for batch in list(self.batches) for line in batch]


class Ingest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Console

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""

    def __getattr__(self, name: str) -> Any:
        if name == "do_POST":
            return self._take
        raise AttributeError(name)

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.pause)
        status = self.server.statuses.pop(0) if self.server.statuses else 202
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if status == 202:
            self.server.arrivals.append(time.time())
            self.server.batches.append([json.loads(line) for line in body.splitlines()])
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def listening(port: int = 0) -> Iterator[Console]:
    console = Console(("127.0.0.1", port))
    threading.Thread(target=console.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield console
    finally:
        console.shutdown()
        console.server_close()


def token_file(directory: Path, token: str = "ingest-1") -> Path:
    path = directory / "ingest-token"
    path.write_text(f"{token}\n")
    return path


def test_lines_arrive_soon_and_once(make_standin: MakeStandIn, tmp_path: Path) -> None:
    with listening() as console:
        standin = make_standin(ship={"url": console.url, "token_file": str(token_file(tmp_path))})
        standin.deploy(ALLOW)
        for number in range(30):
            standin.get(f"/{number}")
        eventually(lambda: len(console.lines) == 30)
        time.sleep(0.3)
        assert [line["path"] for line in console.lines] == [f"/{number}" for number in range(30)]
        assert console.lines == standin.decisions(30)
        waited = [arrived - batch[0]["ts"] for arrived, batch in zip(console.arrivals, console.batches, strict=True)]
        assert min(waited) < 0.15
    assert console.headers[0]["authorization"] == "Bearer ingest-1"
    assert console.headers[0]["content-type"] == "application/x-ndjson"


def test_a_busy_console_is_asked_again(make_standin: MakeStandIn, tmp_path: Path) -> None:
    with listening() as console:
        console.statuses = [500, 429, 401]
        standin = make_standin(ship={"url": console.url, "token_file": str(token_file(tmp_path))})
        standin.deploy(ALLOW)
        standin.get("/1")
        eventually(lambda: len(console.lines) == 1)
        assert console.lines[0]["path"] == "/1"
        assert len(console.headers) == 4


def test_a_refused_batch_is_counted_and_the_next_one_goes_on(make_standin: MakeStandIn, tmp_path: Path) -> None:
    with listening() as console:
        console.statuses = [400]
        standin = make_standin(ship={"url": console.url, "token_file": str(token_file(tmp_path))})
        standin.deploy(ALLOW)
        standin.get("/refused")
        eventually(lambda: len(console.headers) == 1)
        standin.get("/taken")
        eventually(lambda: [line["path"] for line in console.lines] == ["/taken"])
    gaps = [line for line in (standin.directory / "stderr.log").read_text().splitlines() if "telemetry_gap" in line]
    assert [json.loads(gap)["lost"] for gap in gaps] == [1]


def test_a_silent_console_delays_no_call(make_standin: MakeStandIn, tmp_path: Path) -> None:
    with listening() as console:
        console.pause = 3
        standin = make_standin(ship={"url": console.url, "token_file": str(token_file(tmp_path))})
        standin.deploy(ALLOW)
        began = time.monotonic()
        for number in range(50):
            standin.get(f"/{number}")
        assert time.monotonic() - began < 2.5
        assert len(standin.decisions(50)) == 50


def test_a_console_that_comes_late_gets_everything(make_standin: MakeStandIn, tmp_path: Path) -> None:
    with listening() as console:
        url, port = console.url, console.server_address[1]
    standin = make_standin(ship={"url": url, "token_file": str(tmp_path / "absent")})
    standin.deploy(ALLOW)
    standin.get("/early")
    token_file(tmp_path).rename(tmp_path / "absent")
    time.sleep(1.3)
    with listening(port) as late:
        eventually(lambda: [line["path"] for line in late.lines] == ["/early"], patience=15)
        assert late.headers[-1]["authorization"] == "Bearer ingest-1"


def test_the_log_has_a_bound(make_standin: MakeStandIn) -> None:
    standin = make_standin(log_bytes=2000)
    standin.deploy(ALLOW)
    for number in range(40):
        standin.get(f"/{number}")
    older = standin.log_file.with_name(standin.log_file.name + ".1")
    eventually(older.exists)
    assert older.stat().st_size < 4000
    assert standin.log_file.stat().st_size < 4000
    kept = [json.loads(line)["path"] for file in (older, standin.log_file) for line in file.read_text().splitlines()]
    assert kept[-1] == "/39"
    assert kept == [f"/{number}" for number in range(40 - len(kept), 40)]


def test_the_last_lines_are_sent_before_it_ends(make_standin: MakeStandIn, tmp_path: Path) -> None:
    with listening() as console:
        standin = make_standin(ship={"url": console.url, "token_file": str(token_file(tmp_path))})
        standin.deploy(ALLOW)
        standin.get("/last")
        assert standin.stop() == 0
        assert [line["path"] for line in console.lines] == ["/last"]


def test_a_call_that_only_asks_is_known_as_one_before_there_is_a_gate(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.get("/ours", headers={"X-Sallyport-Probe": "1"})
    standin.get("/theirs")
    assert [(line["path"], line["probe"]) for line in standin.decisions(2)] == [("/ours", True), ("/theirs", False)]
