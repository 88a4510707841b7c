"""How long from a directory's word until both doors refuse, for one person at a time and for a thousand at once.

One at a time: somebody holds a grant at both doors and knocks all the time under a token that is good for minutes; the
clock starts when the event hook is sent. A thousand: hooks of a hundred events each, and the clock stops when the last
of them is suspended, when the last grant has ended, and when the last door was seen to be closed.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
CROWD, QUICK_CROWD, EVENTS = 1000, 40, 100
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
                crowd = everybody(demo, people, hook, QUICK_CROWD if quick else CROWD)
        finally:
            servers.forget(state)
    show(tries, crowd)


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
    people.open_grants(names)
    wait_until(lambda: people.live(TOGETHER) == count, seconds=900, every=1, what="every grant open")
    sent = time.time()
    answers = [hook.send(*names[start : start + EVENTS]) for start in range(0, count, EVENTS)]
    handed = time.time() - sent
    suspended = _until(lambda: people.active_people(TOGETHER), sent)
    ended = _until(lambda: people.not_ended(TOGETHER), sent)
    _until(lambda: people.standing_doors(TOGETHER), sent)
    verified = demo.manage("verify_audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert people.signals(TOGETHER) == {"left": count}
    assert people.given_up() == 0
    return {
        "people": count,
        "hooks": len(answers),
        "slowest_answer": round(max(answers), 3),
        "handed_over": round(handed, 2),
        "suspended": round(suspended, 1),
        "grants_ended": round(ended, 1),
        "doors_closed": round(people.last_closed(TOGETHER).timestamp() - sent, 1),
    }


def _until(left: Callable[[], int], sent: float) -> float:
    wait_until(lambda: left() == 0, seconds=900, every=0.25, what="the last of them")
    return time.time() - sent


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
