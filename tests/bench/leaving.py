"""How long from a directory's word until both doors refuse, for one person at a time and for a thousand at once.

One at a time: somebody holds a grant at both doors and knocks all the time under a token that is good for minutes; the
clock starts when the event hook is sent. A thousand: hooks of a hundred events each, and the clock stops when the last
of them is suspended, when the last grant has ended, when the last of some who knock is refused, and when the last door
was seen to be closed.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
import requests

from deploy.demo import parts, servers
from deploy.demo.secrets import load_or_make
from tests.bench import report
from tests.bench.latency import Wish, first, knocker, last_approval, latest, open_request, settled, wishes_of
from tests.running import Running, running_demo, wait_until

TRIES, QUICK_TRIES = 30, 3
CROWD, QUICK_CROWD, EVENTS, SAMPLE = 1000, 40, 100, 20
PATIENCE = 400.0
AIM_P95 = 3.0
ALONE, TOGETHER = "one", "many"


@dataclass(frozen=True)
class Try:
    """Seconds after the hook was sent."""

    answered: float
    refused: float
    edge: float
    mesh: float


def main(*, quick: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        state = Path(folder)
        try:
            with running_demo(state) as demo:
                people = connect(demo)
                hook = Hook(demo, people.ensure_provider())
                tries = list(attempts(demo, people, hook, QUICK_TRIES if quick else TRIES))
                show(tries, {})
                show(tries, everybody(demo, people, hook, QUICK_CROWD if quick else CROWD))
        finally:
            servers.forget(state)


def connect(demo: Running) -> Any:
    """Django on the demo's own database, and the module that works there."""
    os.environ.update(parts.console_environment(demo.places, load_or_make(demo.places.state)))
    django.setup()
    return importlib.import_module("tests.bench.leaving_people")


class Hook:
    """What Okta would send."""

    def __init__(self, demo: Running, secret: str) -> None:
        self._url = f"{demo.state['console']}/signals/bench/okta-events"
        self._session = requests.Session()
        self._session.headers["Authorization"] = secret

    def send(self, *subs: str) -> float:
        """Seconds until it was answered."""
        body = {"eventType": "com.okta.event_hook", "data": {"events": [_event(sub) for sub in subs]}}
        began = time.monotonic()
        answer = self._session.post(self._url, json=body, timeout=10)
        assert answer.status_code == 204, answer.text
        return time.monotonic() - began


def _event(sub: str) -> dict[str, object]:
    return {
        "uuid": str(uuid4()),
        "published": datetime.now(UTC).isoformat(),
        "eventType": "user.lifecycle.deactivate",
        "actor": {"id": "00uadmin", "type": "User"},
        "target": [{"id": sub, "type": "User", "alternateId": f"{sub}@bench.test"}],
        "outcome": {"result": "SUCCESS"},
    }


def attempts(demo: Running, people: Any, hook: Hook, count: int) -> Iterator[Try]:
    """Each person leaves once, so each try has somebody new."""
    names = people.make(ALONE, count)
    demo.state["tokens"].update(people.tokens(names))
    wishes = list(wishes_of(demo))
    for number, name in enumerate(names):
        asked = wishes[number * 7 % len(wishes)]
        yield attempt(demo, hook, Wish(name, asked.service, asked.route, asked.method, asked.url, asked.host))


def attempt(demo: Running, hook: Hook, wish: Wish) -> Try:
    _, request = open_request(demo, wish)
    assert last_approval(demo, request)().status_code == 200
    knock = knocker(demo, wish)
    wait_until(lambda: knock() == 204, what="the way in")
    watcher = demo.api("cyd")
    grant = settled(lambda: watcher.get(f"requests/{request['id']}/")["grant"], "proven")
    sent = time.time()
    answered = hook.send(wish.who)
    refused = first(knock, 403, sent)
    grant = settled(lambda: watcher.get(f"grants/{grant['id']}/"), "closed")
    closed = {door["point"]: latest({"doors": [door]}, "closed_at") - sent for door in grant["doors"]}
    return Try(answered, refused, closed["edge"], closed["mesh"])


def everybody(demo: Running, people: Any, hook: Hook, count: int) -> dict[str, object]:
    names: Sequence[str] = people.make(TOGETHER, count)
    wishes = {wish.service: wish for wish in reversed(list(wishes_of(demo)))}
    held = people.open_grants(names, {service: wish.route for service, wish in wishes.items()})
    wait_until(lambda: people.open_at_both(TOGETHER) == count, seconds=900, every=1, what="every grant at both doors")
    some = list(zip(names, held, strict=True))[:: max(1, count // SAMPLE)]
    knocks = knocks_of(demo, people, [replace(wishes[service], who=name) for name, service in some])
    sent = time.time()
    answers = [hook.send(*names[start : start + EVENTS]) for start in range(0, count, EVENTS)]
    reached = {"handed_over": time.time() - sent, **milestones(people, knocks, sent)}
    verified = demo.manage("verify_audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert people.signals(TOGETHER) == {"left": count}
    assert people.given_up() == 0
    return {
        "people": count,
        "hooks": len(answers),
        "slowest_answer": round(max(answers), 3),
        **{name: round(seconds, 1) for name, seconds in reached.items()},
    }


def knocks_of(demo: Running, people: Any, wishes: Sequence[Wish]) -> list[Callable[[], int]]:
    """Some of them knock under tokens that are good for minutes; every one gets through."""
    demo.state["tokens"].update(people.tokens([wish.who for wish in wishes]))
    found = [knocker(demo, wish) for wish in wishes]
    wait_until(lambda: {knock() for knock in found} == {204}, what="the way in")
    return found


def milestones(people: Any, knocks: list[Callable[[], int]], sent: float) -> dict[str, float]:
    """Seconds until the last of each. What is still not so after PATIENCE seconds is left out."""
    left: dict[str, Callable[[], int]] = {
        "all_suspended": lambda: people.active_people(TOGETHER),
        "all_grants_ended": lambda: people.not_ended(TOGETHER),
        f"all_of_{len(knocks)}_callers_refused": lambda: sum(knock() != 403 for knock in knocks),
        "all_doors_seen_closed": lambda: people.doors_not_closed(TOGETHER),
    }
    reached: dict[str, float] = {}
    while left and time.time() - sent < PATIENCE:
        for name in [name for name, count in left.items() if count() == 0]:
            reached[name] = time.time() - sent
            del left[name]
        time.sleep(0.2)
    assert "all_grants_ended" in reached, left
    return reached


def show(tries: list[Try], crowd: dict[str, object]) -> None:
    measures = {
        "hook sent -> answered": [one.answered for one in tries],
        "hook sent -> a caller is refused": [one.refused for one in tries],
        "hook sent -> seen closed at the edge": [one.edge for one in tries],
        "hook sent -> seen closed in the mesh": [one.mesh for one in tries],
    }
    found = {name: report.summary(values) for name, values in measures.items()}
    rows = [
        (name, one["n"], f"{one['p50']:.2f}", f"{one['p95']:.2f}", f"{one['max']:.2f}",
         "met" if one["p95"] < AIM_P95 else "missed")
        for name, one in found.items()
    ]  # fmt: skip
    head = ("seconds", "tries", "p50", "p95", "max", "aim")
    report.table(f"From a directory's word to doors that refuse (aim: p95 < {AIM_P95:.0f} s)", head, rows)
    report.table("Everybody at once", ("", "result"), list(crowd.items()))
    report.write("leaving", {"seconds_after_the_hook": found, "everybody": crowd})
