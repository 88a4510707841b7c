"""How long from a person's click until both doors do as it says, in a whole running demo.

The clock starts when the click is sent and stops at the moment the console recorded for the slower door. Beside that
stands what a caller sees: a probe through the edge and the mesh, repeated until the answer changes.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from deploy.demo import client, servers
from tests.bench import report
from tests.running import Api, Running, running_demo, wait_until

TRIES, QUICK = 50, 5
AIM_P50, AIM_P95 = 1.0, 3.0
PATIENCE, PAUSE = 20.0, 0.02
SERVICES = ("shipping", "currency", "cart", "ads", "products")
OWNERS = {"ben", "dan", "eva"}
"""Nobody else could approve what the only owner of a team asks of it."""


@dataclass(frozen=True)
class Wish:
    who: str
    service: str
    route: str
    method: str
    url: str
    host: str


@dataclass(frozen=True)
class Try:
    """Seconds after the click."""

    proven: float
    allowed: float
    closed: float
    refused: float


def main(*, quick: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        state = Path(folder)
        try:
            with running_demo(state) as demo:
                tries = list(itertools.islice(attempts(demo), QUICK if quick else TRIES))
        finally:
            servers.forget(state)
    show(tries)


def attempts(demo: Running) -> Iterator[Try]:
    """Each person with each route in turn, so that no two tries in a row touch the same service for the same person."""
    wishes = list(wishes_of(demo))
    for number in itertools.count():
        yield attempt(demo, wishes[number * 7 % len(wishes)])


def wishes_of(demo: Running) -> Iterator[Wish]:
    api = demo.api("olga")
    people = sorted(
        name for name, key in demo.state["people"].items() if key.startswith("person:") and name not in OWNERS
    )
    for service in (api.get(f"services/{slug}/") for slug in SERVICES):
        edge = next(found for found in service["exposures"] if found["point"] == "edge")
        for route, who in itertools.product(service["routes"], people):
            path = route["template"].replace("{", "x").replace("}", "")
            url = f"http://{demo.state['edge_address']}{edge['base_path']}{path}"
            yield Wish(who, service["slug"], route["key"], route["methods"][0], url, edge["host"])


def attempt(demo: Running, wish: Wish) -> Try:
    asker, request = open_request(demo, wish)
    approve = last_approval(demo, request)
    knock = knocker(demo, wish)
    assert knock() == 403, wish
    clicked = time.time()
    answer = approve()
    assert answer.status_code == 200, answer.text
    allowed = first(knock, 204, clicked)
    grant = settled(lambda: asker.get(f"requests/{request['id']}/")["grant"], "proven")
    proven = latest(grant, "proven_at") - clicked
    clicked = time.time()
    answer = asker.post(f"grants/{grant['id']}/end/")
    assert answer.status_code == 200, answer.text
    refused = first(knock, 403, clicked)
    grant = settled(lambda: asker.get(f"grants/{grant['id']}/"), "closed")
    return Try(proven, allowed, latest(grant, "closed_at") - clicked, refused)


def open_request(demo: Running, wish: Wish) -> tuple[Api, dict[str, Any]]:
    asker = demo.api(wish.who)
    body = {"service": wish.service, "routes": [wish.route], "duration": 600, "reason": "How long does it take?"}
    answer = asker.post("requests/", body)
    assert answer.status_code == 201, answer.text
    return asker, dict(answer.json())


def last_approval(demo: Running, request: dict[str, Any]) -> Callable[[], requests.Response]:
    """Everybody but the last approver has agreed already."""
    path = f"requests/{request['id']}/review/"
    reviewers = [demo.in_browser(need["waiting"][0]["key"].removeprefix("person:")) for need in request["requirements"]]
    for reviewer in reviewers[:-1]:
        assert reviewer.post(path, {"verdict": "approve"}).status_code == 200
    reviewers[-1].get("me/")  # the connection is open before the clock starts
    return lambda: reviewers[-1].post(path, {"verdict": "approve"})


def knocker(demo: Running, wish: Wish) -> Callable[[], int]:
    """A probe: decided at both doors, never handed to the application."""
    session = requests.Session()
    token = client.edge_token(demo.state, wish.who)
    headers = {"Host": wish.host, "Authorization": f"Bearer {token}", "X-Sallyport-Probe": "1"}
    return lambda: session.request(wish.method, wish.url, headers=headers, timeout=10).status_code


def first(knock: Callable[[], int], wanted: int, clicked: float) -> float:
    wait_until(lambda: knock() == wanted, seconds=PATIENCE, every=PAUSE, what=f"the answer {wanted}")
    return time.time() - clicked


def settled(look: Callable[[], Any], state: str) -> dict[str, Any]:
    def found() -> Any:
        grant = look()
        return grant if all(door["state"] == state for door in grant["doors"]) else None

    return dict(wait_until(found, seconds=PATIENCE, every=0.05, what=f"both doors {state}"))


def latest(grant: dict[str, Any], stamp: str) -> float:
    return max(datetime.fromisoformat(door[stamp]).timestamp() for door in grant["doors"])


def show(tries: list[Try]) -> None:
    measures = {
        "approval clicked -> proven at both doors": [one.proven for one in tries],
        "approval clicked -> a caller gets through": [one.allowed for one in tries],
        "'I am done' clicked -> closed at both doors": [one.closed for one in tries],
        "'I am done' clicked -> a caller is refused": [one.refused for one in tries],
    }
    found = {name: report.summary(values) for name, values in measures.items()}
    rows = [
        (name, one["n"], f"{one['p50']:.2f}", f"{one['p95']:.2f}", f"{one['max']:.2f}",
         "met" if one["p50"] < AIM_P50 and one["p95"] < AIM_P95 else "missed")
        for name, one in found.items()
    ]  # fmt: skip
    head = ("seconds", "tries", "p50", "p95", "max", "aim")
    report.table(f"From click to doors (aim: p50 < {AIM_P50:.0f} s, p95 < {AIM_P95:.0f} s)", head, rows)
    report.write("latency", {"seconds_after_click": found})
