"""Kill anything, at any moment: nothing approved is lost, nothing ended survives, and the record still holds.

``SALLYPORT_KILL_ROLLOUTS`` says how many rollouts are put through it (6 by default, 50 by `make thorough`).
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.demo import client
from tests.running import Api, Running, running_demo, wait_until

pytestmark = [pytest.mark.kill, pytest.mark.slow]

ROLLOUTS = int(os.environ.get("SALLYPORT_KILL_ROLLOUTS", "6"))
VICTIMS = ("uvicorn", "worker", "beat", "apps.localedge", "apps.meshagent", "valkey-server", "data-plane")
REST = 8.0
PACE = 0.7
SERVICES = ("shipping", "currency", "cart", "ads", "products")


@dataclass
class Asked:
    who: str
    service: str
    method: str
    path: str
    request: str
    grant: str = ""
    ended: bool = False


def patiently(call: Callable[[], requests.Response], *, seconds: float = 120) -> requests.Response:
    """Repeats a call that met a process we had just killed. Whatever was done before is refused the second time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = call()
            if answer.status_code < 500 or time.monotonic() > deadline:
                return answer
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _in_browser(demo: Running, who: str, *, seconds: float = 120) -> Api:
    """Signed in, however often the console is killed meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return demo.in_browser(who)
        except (requests.RequestException, KeyError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


class Murderer(threading.Thread):
    """Kills one of the processes with SIGKILL every second or so; the supervisor starts them again.

    Each victim is left alone for a while after its death, or on a slow machine nothing would ever be up.
    """

    def __init__(self, demo: Running, seed: int) -> None:
        super().__init__(daemon=True)
        self.demo, self.random, self.stopped = demo, random.Random(seed), threading.Event()
        self.killed: dict[str, int] = {}
        self.last: dict[str, float] = {}

    def run(self) -> None:
        while not self.stopped.wait(self.random.uniform(0.6, 1.6)):
            name = self.random.choice(VICTIMS)
            if time.monotonic() - self.last.get(name, 0.0) < REST:
                continue
            self.last[name] = time.monotonic()
            for pid in self._pids(name):
                os.kill(pid, signal.SIGKILL)
                self.killed[name] = self.killed.get(name, 0) + 1

    def _pids(self, name: str) -> list[int]:
        if name != "data-plane":
            return self.demo.pids(name)
        parents = self.demo.pids("apps.localedge")
        return [int(child) for parent in parents for child in _children(parent)]


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_demo(tmp_path_factory.mktemp("kill")) as running:
        yield running


def test_nothing_approved_is_lost_and_nothing_ended_survives(demo: Running) -> None:
    murderer = Murderer(demo, seed=20261123)
    wanted = _wishes(demo)[:ROLLOUTS]
    assert len(wanted) == ROLLOUTS
    murderer.start()
    asked = [_ask_and_approve(demo, *wish) for wish in _paced(wanted)]
    for one in _paced(asked[::2]):
        _end(demo, one)
    murderer.stopped.set()
    murderer.join()
    assert sum(murderer.killed.values()) >= ROLLOUTS / 5, murderer.killed

    wait_until(lambda: _settled(demo, asked), seconds=120, every=0.5, what="every grant settled")
    for one in asked:
        answer = patiently(lambda o=one: _knock(demo, o))  # type: ignore[misc]  # the last one killed may be starting
        expected = 403 if one.ended else 204
        assert answer.status_code == expected, (one, answer.status_code, answer.text)
    _no_grant_twice(demo, asked)
    verified = demo.manage("verify_audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    _no_message_lost(demo)


def _paced(wanted: Sequence[Any]) -> Iterator[Any]:
    """Not faster than somebody can be killed, however fast the machine is: a rollout takes about as long."""
    for one in wanted:
        yield one
        time.sleep(PACE)


def _wishes(demo: Running) -> list[tuple[str, str, dict[str, Any]]]:
    """Who may ask for what: every person with every route of a few services."""
    olga = demo.api("olga")
    routes = [(slug, route) for slug in SERVICES for route in olga.get(f"services/{slug}/")["routes"]]
    owners = {"ben", "dan", "eva"}  # nobody else could approve what the only owner of a team asks of it
    people = [name for name, key in sorted(demo.state["people"].items()) if key.startswith("person:")]
    people = [name for name in people if name not in owners]
    wishes = [(who, slug, route) for who in people for slug, route in routes]
    random.Random(7).shuffle(wishes)
    return wishes


def _ask_and_approve(demo: Running, who: str, service: str, route: dict[str, Any]) -> Asked:
    api = demo.api(who)
    body = {"service": service, "routes": [route["key"]], "duration": 3600, "reason": "Will it survive?"}
    opened = patiently(lambda: api.post("requests/", body))
    if opened.status_code == 409:
        found = patiently(lambda: api.session.get(f"{api.base}/requests/", params={"service": service}))
        document = next(one for one in found.json()["results"] if one["routes"] == [route["key"]])
        document = patiently(lambda: api.session.get(f"{api.base}/requests/{document['id']}/")).json()
    else:
        assert opened.status_code == 201, opened.text
        document = opened.json()
    for need in document["requirements"]:
        reviewer = _in_browser(demo, need["waiting"][0]["key"].removeprefix("person:"))
        path = f"requests/{document['id']}/review/"
        answer = patiently(lambda r=reviewer, p=path: r.post(p, {"verdict": "approve"}))  # type: ignore[misc]
        assert answer.status_code in {200, 409}, answer.text
    path = route["template"].replace("{", "x").replace("}", "")
    return Asked(who, service, route["methods"][0], path, document["id"])


def _end(demo: Running, one: Asked) -> None:
    api = demo.api(one.who)
    document = patiently(lambda: api.session.get(f"{api.base}/requests/{one.request}/")).json()
    one.grant, one.ended = document["grant"]["id"], True
    answer = patiently(lambda: api.post(f"grants/{one.grant}/end/"))
    assert answer.status_code in {200, 409}, answer.text


def _settled(demo: Running, asked: list[Asked]) -> bool:
    api = demo.api("olga")
    for one in asked:
        grant = patiently(lambda o=one: api.session.get(f"{api.base}/requests/{o.request}/")).json()["grant"]  # type: ignore[misc]
        one.grant = grant["id"]
        wanted = ("handed_back", {"closed"}) if one.ended else ("active", {"proven"})
        if (grant["state"], {door["state"] for door in grant["doors"]}) != wanted:
            return False
    return True


def _knock(demo: Running, one: Asked) -> requests.Response:
    """A probe: decided at both doors, but nothing is done."""
    service = demo.api("olga").get(f"services/{one.service}/")
    edge = next(found for found in service["exposures"] if found["point"] == "edge")
    token = client.edge_token(demo.state, one.who)
    url = f"http://{demo.state['edge_address']}{edge['base_path']}{one.path}"
    headers = {"Host": edge["host"], "Authorization": f"Bearer {token}", "X-Sallyport-Probe": "1"}
    return requests.request(one.method, url, headers=headers, timeout=10)


def _no_grant_twice(demo: Running, asked: list[Asked]) -> None:
    """Active exactly once, however often the work that activates was started anew."""
    api = demo.api("runa")
    grants = [one.grant for one in asked]
    assert len(set(grants)) == len(grants)
    for one in asked:
        if not one.ended:
            found = api.get("audit/", target_id=one.grant, action="access.grant.activated")["results"]
            assert len(found) == 1, (one.grant, found)


def _no_message_lost(demo: Running) -> None:
    code = (
        "from apps.outbox.models import Message; "
        "print(dict(Message.objects.values_list('state').annotate(n=__import__('django').db.models.Count('id'))))"
    )
    states = wait_until(
        lambda: (out := demo.manage("shell", "-v", "0", "-c", code).stdout) and "pending" not in out and out,
        seconds=30,
        every=1,
        what="an empty outbox",
    )
    assert "dead" not in states, states
