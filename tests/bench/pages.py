"""Every page and list of the API over a large estate, as three people: statements and time on the server.

Time is that of the whole request in this process: middleware, session, queries, template; without a network. "Our CPU"
is the processor time of this process alone, which a busy machine does not stretch.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from statistics import median

from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.access.models import AccessRequest, Grant, GrantDoor
from apps.audit.models import Event
from apps.identity.models import Subject
from apps.identity.services import ensure_user, issue_api_token
from apps.rollout.models import Revision
from apps.telemetry.models import Call
from tests.bench import estate, report, scratch
from tests.bench.furnishing import furnish
from tests.bench.targets import compile_some, make_targets

FULL = estate.Size(services=2000, grants=100_000, ended=0.5, calls=1_000_000, events=200_000, waiting=2000)
QUICK = estate.Size(services=100, grants=2000, ended=0.5, calls=5000, events=1000, waiting=100)
MOST_QUERIES, MOST_MS = 8, 100.0

PEOPLE = {"engineer": "person:p2", "owner": "person:p1", "operator": "person:p3", "security": "person:p4"}

PAGES = (
    "/", "/search?q=service", "/docs/reasons", "/catalogue/", "/catalogue/?q=s19", "/catalogue/s19/",
    "/catalogue/s19/?on=2026-01-15T10:00", "/requests/", "/requests/new", "/requests/new?service=s19",
    "/requests/new?service=s19&routes=r0", "/requests/{request}/", "/requests/{waiting}/", "/access/",
    "/access/{grant}/", "/live/", "/live/?service=s19", "/live/?verdict=deny", "/live/?subject=person:p7",
    "/live/?q=things3", "/live/{rid}/", "/rollout/", "/rollout/edge/", "/rollout/mesh/", "/rollout/mesh/revisions/1/",
    "/audit/", "/audit/?actor=person:p7", "/audit/{seq}/", "/settings/", "/settings/rules/", "/settings/guardrails/",
    "/settings/outbox/", "/settings/people/", "/settings/teams/", "/settings/workloads/", "/settings/agents/",
    "/settings/tokens/", "/settings/who/person:p2/", "/settings/who/team:t2/", "/map/", "/map/?team=team:t2",
    "/map/?q=things3", "/map/s19/", "/network/", "/network/?q=things3", "/network/?service=s19",
    "/network/?subject=team:t2", "/network/?subject=person:p7", "/firewall/", "/firewall/new", "/firewall/{firewall}/",
    "/firewall/{firewall}/lines/1/", "/firewall/copy?from=s19", "/firewall/zones/", "/firewall/rulebases/",
    "/firewall/rulebases/{base}/", "/firewall/rulebases/{base}/lines/", "/settings/upkeep/",
    "/settings/upkeep/clean-ups/", "/settings/upkeep/standing/", "/settings/upkeep/schedule/", "/rollout/cluster/",
    "/rollout/cluster/plan/",
)  # fmt: skip
LISTS = (
    "me/", "tokens/", "services/", "services/?q=s19", "services/s19/", "requests/", "requests/?state=pending",
    "requests/{request}/", "requests/{waiting}/", "grants/", "grants/?service=s19", "grants/{grant}/", "calls/",
    "calls/?verdict=deny", "calls/?service=s19", "targets/", "targets/mesh/revisions/", "targets/mesh/activations/",
    "audit/", "audit/?actor=person:p7",
)  # fmt: skip
ROUNDS, DECISIONS = 12, 300


@dataclass
class Visit:
    """One address as one person."""

    who: str
    address: str
    status: int
    queries: int
    bytes: int
    slowest: tuple[str, str]
    ms: list[float]
    cpu_ms: list[float]


def main(databases: scratch.Databases, *, quick: bool) -> None:
    size = QUICK if quick else FULL
    databases.make("pages")
    began = time.perf_counter()
    at = estate.now()
    made = estate.build(size, at)
    make_targets(at)
    compile_some(at, rounds=2)
    ids = furnish(size, at)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    report.say(f"made in {time.perf_counter() - began:.0f} s: {counts()}")
    visits = visit_all(addresses_of(made, ids), rounds=3 if quick else ROUNDS)
    decisions = decide_many(at, 50 if quick else DECISIONS)
    show(visits, decisions)
    report.write("pages", {"size": counts_of(size), "visits": [row(one) for one in visits], **decisions})


def counts() -> str:
    models = (Grant, GrantDoor, AccessRequest, Call, Event, Revision)
    return ", ".join(f"{model.objects.count():,} {model._meta.verbose_name_plural}" for model in models)


def counts_of(size: estate.Size) -> dict[str, int]:
    return {"services": size.services, "grants": size.grants, "calls": size.calls, "people": size.people}


def addresses_of(made: estate.Estate, ids: dict[str, str]) -> list[str]:
    owned = made.teams  # the first team's services: its owner sees what waits there
    waiting = AccessRequest.objects.filter(state="pending", service__team_id=owned).exclude(requester__key="person:p1")
    known = {
        "request": AccessRequest.objects.filter(state="approved", requester__key="person:p2").latest("pk").public_id,
        "waiting": waiting.latest("pk").public_id,
        "grant": Grant.objects.filter(subject__key="person:p2", state="active").latest("pk").public_id,
        "rid": Call.objects.filter(subject="person:p2").order_by("-first_at")[0].rid.hex,
        "seq": str(Event.objects.order_by("-seq")[0].seq),
        **ids,
    }
    every = [*PAGES, *(f"/api/v1/{one}" for one in LISTS)]
    return [one.format(**known) for one in every]


def visit_all(addresses: list[str], rounds: int) -> list[Visit]:
    visits: list[Visit] = []
    for who, key in PEOPLE.items():
        client = Client(SERVER_NAME="127.0.0.1", headers={"accept-encoding": "gzip"})
        client.force_login(ensure_user(Subject.objects.get(key=key)))
        for address in addresses:
            visits.append(first_visit(client, who, address))
        gc.collect()
        gc.freeze()
        mine = [visit for visit in visits if visit.who == who and visit.status == 200]
        for _ in range(rounds):
            for visit in mine:
                began = time.thread_time()
                visit.ms.append(timed(partial(client.get, visit.address)))
                visit.cpu_ms.append((time.thread_time() - began) * 1000)
    return [visit for visit in visits if visit.status != 404]


def first_visit(client: Client, who: str, address: str) -> Visit:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
    slowest = max(((one["time"], one["sql"]) for one in captured.captured_queries), default=("0", ""))
    return Visit(who, address, answer.status_code, len(captured), len(answer.content), slowest, [], [])


def timed(call: Callable[[], HttpResponse]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def decide_many(at: datetime, count: int) -> dict[str, object]:
    """Decisions over the API under an API token, one after the other."""
    key = PEOPLE["engineer"]
    actor, until = Subject.objects.get(key=key).actor, at + timedelta(days=1)
    issued = issue_api_token(
        subject_key=key, name="bench", scopes=["read", "write"], expires_at=until, actor=actor, at=at
    )
    client = Client(SERVER_NAME="127.0.0.1", headers={"authorization": f"Bearer {issued.plain}"})
    took = []
    for number in range(count):
        body = json.dumps(
            {"service": f"s{1 + number * 37 % 100}", "method": "GET", "path": "/things0/7", "point": "edge"}
        )
        began = time.perf_counter()
        answer = client.post("/api/v1/decide/", body, content_type="application/json")
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.content
    return {"decide_ms": report.summary(took), "decisions_per_second": round(1000 * len(took) / sum(took), 1)}


def row(visit: Visit) -> dict[str, object]:
    timing = {**report.summary(visit.ms), "cpu_p50": round(median(visit.cpu_ms), 2)} if visit.ms else {}
    return {"who": visit.who, "address": visit.address, "status": visit.status, "queries": visit.queries,
            "bytes": visit.bytes, "slowest_statement": visit.slowest, **timing}  # fmt: skip


def show(visits: list[Visit], decisions: dict[str, object]) -> None:
    """For each address the visitor for whom the typical visit is dearest; p95 is over the visits of everybody."""
    found = [visit for visit in visits if visit.status == 200]
    rows = []
    for address in dict.fromkeys(visit.address for visit in found):
        mine = [one for one in found if one.address == address]
        visit = max(mine, key=lambda one: (one.queries, median(one.ms)))
        p50 = max(median(one.ms) for one in mine)
        p95 = report.quantile([ms for one in mine for ms in one.ms], 0.95)
        flags = ("Q" if visit.queries > MOST_QUERIES else "") + ("T" if p95 >= MOST_MS else "")
        cpu = max(median(one.cpu_ms) for one in mine)
        row = (visit.address, visit.who, visit.queries, f"{cpu:.1f}", f"{p50:.1f}", f"{p95:.1f}", visit.bytes)
        rows.append((*row, flags or "-"))
    rows.sort(key=lambda one: -float(str(one[5])))
    report.table(
        f"Pages and lists (aim: <= {MOST_QUERIES} statements, p95 < {MOST_MS:.0f} ms; Q and T mark misses)",
        ("address", "dearest for", "statements", "our CPU", "p50 ms", "p95 ms", "bytes", "missed"),
        rows,
    )
    for visit in visits:
        if visit.status not in (200, 302, 403):
            report.say(f"  {visit.address} answered {visit.who} with {visit.status}")
    report.say(f"  decisions over the API: {decisions['decisions_per_second']} a second, {decisions['decide_ms']}")
