"""A whole directory pushed through the SCIM server, as Okta pushes one: look for each user, create it, then the groups.

Time is that of the whole request in this process, without a network. Memory is the largest this process ever needed,
beside what it needed before the first user: it must not grow with the directory.
"""

from __future__ import annotations

import gc
import json
import resource
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.test import Client

from apps.audit.actors import SYSTEM
from apps.identity.mapping import deciding
from apps.identity.mapping.rules import Rule
from apps.identity.models import DirectoryUser, Group, GroupMember, Membership, Provider
from apps.identity.services import issue_provider_secret, upsert_subject
from tests.bench import report, scratch

FULL, QUICK = (10_000, 500, 20), (500, 25, 20)
"""Users, groups, and groups of each user."""

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
AT_ONCE = 100


@dataclass
class Directory:
    token: str
    client: Client = field(default_factory=lambda: Client(SERVER_NAME="127.0.0.1"))
    took: dict[str, list[float]] = field(default_factory=dict)

    def call(self, what: str, method: str, path: str, body: object = None) -> dict:
        data = b"" if body is None else json.dumps(body).encode()
        began = time.perf_counter()
        answer = self.client.generic(
            method,
            f"/scim/v2{path}",
            data,
            content_type="application/scim+json",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        self.took.setdefault(what, []).append((time.perf_counter() - began) * 1000)
        if answer.status_code >= 300:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.content[:300]!r}")
        return json.loads(answer.content) if answer.content else {}


def peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(databases: scratch.Databases, *, quick: bool) -> None:
    users, groups, each = QUICK if quick else FULL
    databases.make("scim")
    at = datetime.now(UTC)
    directory = Directory(_token(at))
    directory.call("warm", "GET", "/Users?count=1")
    gc.collect()
    before, began = peak(), time.perf_counter()
    ids = [_push_user(directory, number) for number in range(users)]
    pushed = time.perf_counter()
    for number in range(groups):
        _push_group(directory, number, ids[number::groups], each, ids)
    done = time.perf_counter()
    _again(directory, users)
    listed = time.perf_counter()
    _tell(directory, (before, peak()), (pushed - began, done - pushed, listed - done))


def _token(at: datetime) -> str:
    provider = Provider.objects.create(
        slug="bench", name="Bench", issuer="https://bench.test", client_id="x", algorithms=["RS256"], created_at=at
    )
    upsert_subject(key="team:all", name="All", actor=SYSTEM, at=at)
    for pattern in ("group-1", "group-2"):
        rule = Rule("prefix", pattern, team="team:all", team_role="member")
        deciding.add_rule(provider_slug=provider.slug, rule=rule, actor=SYSTEM, at=at)
    ends = at + timedelta(days=1)
    return issue_provider_secret(provider_slug="bench", channel="scim", expires_at=ends, actor=SYSTEM, at=at).plain


def _push_user(directory: Directory, number: int) -> str:
    name = f"user{number}@bench.test"
    directory.call("look for a user", "GET", f"/Users?filter=userName%20eq%20%22{name}%22&startIndex=1&count=100")
    made = directory.call(
        "create a user",
        "POST",
        "/Users",
        {
            "schemas": [USER],
            "userName": name,
            "name": {"givenName": "User", "familyName": str(number)},
            "emails": [{"primary": True, "value": name, "type": "work"}],
            "displayName": f"User {number}",
            "externalId": f"00u{number}",
            "active": True,
        },
    )
    return str(made["id"])


def _push_group(directory: Directory, number: int, first: list[str], each: int, ids: list[str]) -> None:
    """Created empty, then filled in portions, the name repeated with each: so that everybody is in ``each`` groups."""
    made = directory.call("create a group", "POST", "/Groups", {"schemas": [GROUP], "displayName": f"group-{number}"})
    start, many = number * len(ids) * each // len(ids), len(first) * each
    members = [ids[(start * 7 + place) % len(ids)] for place in range(min(many, len(ids)))]
    for portion in range(0, len(members), AT_ONCE):
        added = [{"value": one} for one in members[portion : portion + AT_ONCE]]
        operations = [
            {"op": "replace", "value": {"id": made["id"], "displayName": f"group-{number}"}},
            {"op": "add", "path": "members", "value": added},
        ]
        body = {"schemas": [PATCH], "Operations": operations}
        directory.call("push up to 100 members", "PATCH", f"/Groups/{made['id']}", body)


def _again(directory: Directory, users: int) -> None:
    """The import: every user, page by page."""
    for start in range(1, users + 1, AT_ONCE):
        directory.call("a page of 100 users", "GET", f"/Users?startIndex={start}&count={AT_ONCE}")


def _tell(directory: Directory, memory: tuple[float, float], seconds: tuple[float, float, float]) -> None:
    rows = {what: report.summary(took) for what, took in directory.took.items() if what != "warm"}
    report.table(
        "milliseconds for each request",
        ["", "requests", "p50", "p95", "max"],
        [[what, row["n"], row["p50"], row["p95"], row["max"]] for what, row in rows.items()],
    )
    counted = {
        "users": DirectoryUser.objects.count(),
        "groups": Group.objects.count(),
        "members": GroupMember.objects.count(),
        "places in a team by rules": Membership.objects.count(),
    }
    names = ("users", "groups", "reading all")
    report.table("seconds", ["", "s"], [[name, round(one, 1)] for name, one in zip(names, seconds, strict=True)])
    report.table("memory of the process, MiB", ["", "MiB"], [["before", round(memory[0])], ["peak", round(memory[1])]])
    report.table("kept", ["", "rows"], list(counted.items()))
    report.write("scim", {"requests": rows, "seconds": seconds, "memory": memory, "kept": counted})
