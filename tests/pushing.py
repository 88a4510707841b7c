"""A directory that pushes all it has, as Okta does, to a console of its own that may be killed at any moment.

Look for each user, create it if it is not there; the same for each group; then its members in portions, the name
repeated with each. Whoever is cut off begins again from the start, and what is there already costs a look.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from deploy.demo.places import answers
from tests.ports import free_port

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
AT_ONCE = 100


class CutOff(Exception):
    """The console was killed before it answered; what it had done by then nobody knows."""


@dataclass
class Console:
    """A web process, as the demo runs it."""

    environment: Mapping[str, str]
    port: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def peak(self) -> float:
        """The most memory it ever held, in MiB."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def console(environment: Mapping[str, str], log: Path) -> Iterator[Console]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "console.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--no-access-log", "--log-level", "warning"],
            env={**os.environ, "SALLYPORT_DB_POOL": "12", **environment, "SALLYPORT_LOG_LEVEL": "ERROR"},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the console did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield Console(environment, port, process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@dataclass
class Plan:
    """What the directory holds: each user is in ``each`` of the groups."""

    users: int
    groups: int
    each: int

    def name(self, number: int) -> str:
        return f"user{number}@bench.test"

    def members(self, group: int) -> list[int]:
        size = self.users * self.each // self.groups
        return [(group * size + place) % self.users for place in range(size)]


@dataclass
class Pusher:
    """``kill_at`` names requests, counted from 1, that are sent and whose console is killed before it answers."""

    to: Console
    token: str
    kill_at: frozenset[int] = frozenset()
    took: dict[str, list[float]] = field(default_factory=dict)
    sent: int = 0
    _open: http.client.HTTPConnection | None = None

    def call(self, what: str, method: str, path: str, body: object = None) -> dict:
        self.sent += 1
        if self._open is None:
            self._open = http.client.HTTPConnection("127.0.0.1", self.to.port, timeout=60)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        began = time.perf_counter()
        self._open.request(method, f"/scim/v2{path}", data, headers)
        if self.sent in self.kill_at:
            self.to.kill()
            raise CutOff
        answer = self._open.getresponse()
        told = answer.read()
        self.took.setdefault(what, []).append((time.perf_counter() - began) * 1000)
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {told[:300]!r}")
        return json.loads(told) if told else {}

    def push(self, plan: Plan) -> list[str]:
        ids = self.push_users(plan)
        self.push_groups(plan, ids)
        return ids

    def push_users(self, plan: Plan) -> list[str]:
        return [self._user(plan, number) for number in range(plan.users)]

    def push_groups(self, plan: Plan, ids: list[str]) -> None:
        for number in range(plan.groups):
            self._group(f"group-{number}", [ids[one] for one in plan.members(number)])

    def read_all(self, plan: Plan) -> set[str]:
        """The import: every user, page by page."""
        found = [
            one["id"]
            for start in range(1, plan.users + 1, AT_ONCE)
            for one in self.call("a page of 100 users", "GET", f"/Users?startIndex={start}&count={AT_ONCE}")[
                "Resources"
            ]
        ]
        return set(found)

    def _look(self, what: str, kind: str, attribute: str, value: str) -> str | None:
        query = quote(f'{attribute} eq "{value}"')
        found = self.call(what, "GET", f"/{kind}?filter={query}&startIndex=1&count=100")["Resources"]
        return str(found[0]["id"]) if found else None

    def _user(self, plan: Plan, number: int) -> str:
        name = plan.name(number)
        there = self._look("look for a user", "Users", "userName", name)
        if there is not None:
            return there
        body = {
            "schemas": [USER],
            "userName": name,
            "name": {"givenName": "User", "familyName": str(number)},
            "emails": [{"primary": True, "value": name, "type": "work"}],
            "displayName": f"User {number}",
            "externalId": f"00u{number}",
            "active": True,
        }
        return str(self.call("create a user", "POST", "/Users", body)["id"])

    def _group(self, name: str, members: list[str]) -> None:
        there = self._look("look for a group", "Groups", "displayName", name)
        if there is None:
            made = self.call("create a group", "POST", "/Groups", {"schemas": [GROUP], "displayName": name})
            there = str(made["id"])
        for portion in range(0, len(members), AT_ONCE):
            added = [{"value": one} for one in members[portion : portion + AT_ONCE]]
            operations = [
                {"op": "replace", "value": {"id": there, "displayName": name}},
                {"op": "add", "path": "members", "value": added},
            ]
            body = {"schemas": [PATCH], "Operations": operations}
            self.call("push up to 100 members", "PATCH", f"/Groups/{there}", body)
