"""Decisions reach the console within moments, once each in an undisturbed run, and are never lost in silence."""

from __future__ import annotations

import json
import time
from pathlib import Path

from apps.meshagent.decisions import event_of
from apps.meshagent.tail import LARGEST_READ, Tail
from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import CART, Agent, Mesh, until
from tests.meshfixtures import Authority


def call(agent: Agent, mesh: Mesh, authority: Authority, count: int = 1) -> list[str]:
    with agent.client(authority, CART) as cart:
        answers = [cart.send("GET", f"/charges/{turn}", port=mesh.port) for turn in range(count)]
    return [answer.header("X-Request-Id") for answer in answers]


def rolled_out(console: FakeConsole, mesh: Mesh) -> None:
    console.publish(mesh.artifacts(mesh.grant()), 1)
    console.wait_report(revision=1, state="active")


def test_a_decision_is_told_within_moments(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    [rid] = call(agent, mesh, authority)
    called = time.monotonic()
    [event] = console.wait_events(1)
    assert time.monotonic() - called < 0.6
    assert abs(event.pop("ts") - time.time()) < 5
    assert event.pop("ms") >= 0
    assert event == {
        "rid": rid,
        "point": "sidecar",
        "node": "node-1",
        "verdict": "allow",
        "reason": "granted",
        "subject": f"workload:{CART}",
        "peer": CART,
        "service": "payments",
        "route": "read",
        "method": "GET",
        "path": "/charges/0",
        "host": "mesh.test",
        "grants": ["g1"],
        "status": 200,
        "probe": False,
    }


def test_decisions_wait_for_a_console_that_does_not_take_them(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    console.taking_events = False
    rids = call(agent, mesh, authority, 30)
    time.sleep(0.5)
    assert console.events == []
    console.taking_events = True
    assert [event["rid"] for event in console.wait_events(30)] == rids


def test_a_killed_agent_goes_on_where_it_was(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    first = call(agent, mesh, authority, 20)
    console.wait_events(20)
    agent.kill()
    second = call(agent, mesh, authority, 20)
    agent.start()
    console.wait_events(40)
    assert list(dict.fromkeys(event["rid"] for event in console.events)) == first + second


def test_what_could_not_be_sent_is_counted_and_said(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    with (agent.root / "logs/decisions.ndjson").open("ab") as log:
        log.write(b"not a decision\n")
    [rid] = call(agent, mesh, authority)
    assert [event["rid"] for event in console.wait_events(1)] == [rid]
    until(lambda: sum(console.gaps) == 1)


def lines(*numbers: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in numbers)


class Log:
    """A decision log with a writer that opens it anew when told to."""

    def __init__(self, folder: Path, largest: int = 1000) -> None:
        self.path, self.folder, self.largest = folder / "log", folder, largest
        self.path.touch()
        self.reopened = 0

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def tail(self) -> Tail:
        return Tail(self.path, self.folder / "place", self.reopen, self.largest)

    def reopen(self) -> None:
        self.reopened += 1
        self.path.touch()


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    log = Log(tmp_path)
    tail = log.tail()
    log.write(b"line 1\nli")
    first = tail.read()
    tail.keep(first)
    log.write(b"ne 2\n")
    assert first.lines == [b"line 1"]
    assert tail.read().lines == [b"line 2"]


def test_what_was_not_kept_is_read_again_by_the_next(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(lines(1, 2))
    tail = log.tail()
    tail.keep(tail.read())
    log.write(lines(3))
    assert tail.read().lines == [b"line 3"]
    assert log.tail().read().lines == [b"line 3"]


def test_a_large_log_is_moved_aside_and_read_to_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path)
    tail = log.tail()
    log.write(lines(*range(200)))
    tail.tidy()
    assert log.reopened == 1
    log.write(lines(200))
    found: list[bytes] = []
    until(lambda: not _drain(tail, found) and len(found) == 201 and not (tmp_path / "log.1").exists())
    assert found == [b"line %d" % number for number in range(201)]


def _drain(tail: Tail, found: list[bytes]) -> bool:
    read = tail.read()
    found += read.lines
    tail.keep(read)
    tail.tidy()
    return bool(read.lines)


def test_a_log_that_nobody_reads_is_given_up_and_counted(tmp_path: Path) -> None:
    log = Log(tmp_path)
    tail = log.tail()
    log.write(lines(*range(200)))
    tail.tidy()
    log.write(lines(*range(200, 400)))
    tail.tidy()
    assert tail.lost == 200
    assert tail.read().lines[0] == b"line 200"


def test_lines_without_end_do_not_stop_the_rest(tmp_path: Path) -> None:
    log = Log(tmp_path, largest=10_000_000)
    tail = log.tail()
    log.write(b"x" * (LARGEST_READ + 10) + b"\n" + lines(1))
    found: list[bytes] = []
    while _drain(tail, found):
        pass
    assert found[-1] == b"line 1"


def test_a_line_that_is_no_decision_is_no_event() -> None:
    good = dict.fromkeys(("rid", "point", "verdict", "reason", "subject", "peer", "service", "route"), "")
    good |= {"method": "GET", "host": "h", "path": "/" + "x" * 600, "grants": "a,b", "ts": 1, "status": 200}
    line = json.dumps(good | {"seconds": 0.0015, "probe": "1"}).encode()
    event = event_of(line, "n")
    assert event is not None
    assert (len(event["path"]), event["grants"], event["ms"], event["probe"]) == (512, ["a", "b"], 1.5, True)
    assert "variant" not in event
    treated = event_of(json.dumps({**json.loads(line), "variant": ".v2", "rules": "t1,t2"}).encode(), "n")
    assert treated is not None
    assert (treated["variant"], treated["rules"]) == ("v2", ["t1", "t2"])
    assert event_of(line[:-5], "n") is None
    assert event_of(b"[]", "n") is None
    assert event_of(b"\xff", "n") is None
