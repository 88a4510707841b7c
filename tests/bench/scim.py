"""A whole directory pushed through the SCIM server, as Okta pushes one (``tests.pushing``).

A real web process over a real socket. It is killed in the middle, and the push begun again from the start. Memory is
the most that the process after that ever held, beside what it held before its first change: it must not grow with the
directory.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import connection

from apps.audit import services as audit
from apps.audit.actors import SYSTEM
from apps.identity.mapping import deciding
from apps.identity.mapping.rules import Rule
from apps.identity.models import DirectoryUser, Group, GroupMember, Membership, Provider
from apps.identity.services import issue_provider_secret, upsert_subject
from tests.bench import report, scratch
from tests.pushing import CutOff, Plan, Pusher, console

SETTINGS = "console.settings.test"
FULL, QUICK = Plan(10_000, 500, 20), Plan(500, 25, 20)


def main(databases: scratch.Databases, *, quick: bool) -> None:
    plan = QUICK if quick else FULL
    databases.make("scim")
    at = datetime.now(UTC)
    token = _token(at)
    environment = {
        "DATABASE_URL": databases.url("sallyport_bench_scim"),
        "DJANGO_SETTINGS_MODULE": "console.settings.test",
    }
    seconds: dict[str, float] = {}
    with TemporaryDirectory(prefix="sallyport-bench-") as folder:
        log = Path(folder) / "console.log"
        began = time.perf_counter()
        with console(environment, log) as running:
            first = Pusher(running, token, kill_at=frozenset({plan.users}))
            try:
                first.push(plan)
            except CutOff:
                seconds["half the users, then killed"] = time.perf_counter() - began
        with console(environment, log) as running:
            pusher = Pusher(running, token, took=first.took)
            pusher.call("warm", "GET", "/Users?count=100")
            before = running.peak()
            resumed = time.perf_counter()
            ids = pusher.push_users(plan)
            seconds["all users, those that are there looked at again"] = time.perf_counter() - resumed
            filled = time.perf_counter()
            pusher.push_groups(plan, ids)
            seconds["groups"] = time.perf_counter() - filled
            seconds["the whole push, killed and begun again"] = time.perf_counter() - began
            reading = time.perf_counter()
            if pusher.read_all(plan) != set(ids):
                raise SystemExit("the pages do not hold what was pushed")
            seconds["reading all users"] = time.perf_counter() - reading
            memory = (before, running.peak())
    _tell(plan, pusher.took, memory, seconds)


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


def _tell(plan: Plan, took: dict[str, list[float]], memory: tuple[float, float], seconds: dict[str, float]) -> None:
    rows = {what: report.summary(all_of) for what, all_of in took.items() if what != "warm"}
    report.table(
        "milliseconds for each request",
        ["", "requests", "p50", "p95", "max"],
        [[what, row["n"], row["p50"], row["p95"], row["max"]] for what, row in rows.items()],
    )
    kept = {
        "users": (DirectoryUser.objects.count(), plan.users),
        "groups": (Group.objects.count(), plan.groups),
        "members": (GroupMember.objects.count(), plan.users * plan.each),
        "places in a team by rules": (Membership.objects.count(), plan.users),
    }
    if any(have != wanted for have, wanted in kept.values()) or not audit.verify().ok:
        raise SystemExit(f"something was lost or doubled: {kept}")
    report.table("seconds", ["", "s"], [[name, round(one, 1)] for name, one in seconds.items()])
    report.table(
        "memory of the web process, MiB", ["", "MiB"], [["before", round(memory[0])], ["peak", round(memory[1])]]
    )
    report.table("kept", ["", "rows"], [[name, have] for name, (have, _) in kept.items()])
    report.write("scim", {"requests": rows, "seconds": seconds, "memory": memory, "load": os.getloadavg()})
    connection.close()
