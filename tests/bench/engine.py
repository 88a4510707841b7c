"""The two inner loops without HTTP: decisions of one ``Pdp``, and walking the audit chain.

Processor time of this process is given beside the time on the clock: a busy machine stretches only the latter.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson
from django.db import connection, transaction

from apps.audit import services as audit
from apps.audit.chain import GENESIS, Row, digest, moment
from apps.audit.models import Head
from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.graph import AccessGraph, Grant, Point, Route, Service, Subject, SubjectKind
from tests.bench import report, scratch

METHODS = ("GET", "GET", "POST", "PUT", "DELETE", "PATCH")
SERVICES, PEOPLE, PEOPLE_OF_A_TEAM, AT = 2000, 1000, 10, 500
Question = tuple[str, Action, Resource, Context, int]


def main(databases: scratch.Databases, *, quick: bool) -> None:
    grants, questions, rows = (2000, 5000, 10_000) if quick else (100_000, 100_000, 1_000_000)
    decided = decide_many(grants, questions)
    databases.make("engine")
    make_chain(rows)
    verified = verify_all(rows)
    tampered = name_the_tampered(rows // 2)
    report.table(
        "Inner loops",
        ("what", "number", "s", "our CPU s", "a CPU second"),
        [line(f"decisions at {grants:,} grants", decided), line("audit rows verified", verified)],
    )
    report.say(f"  a row changed in the middle: {tampered}")
    report.write("engine", {"grants": grants, "decisions": decided, "verify": verified, "tampered": tampered})


def line(what: str, took: dict[str, float]) -> tuple[object, ...]:
    rate = f"{took['number'] / took['cpu_s']:,.0f}"
    return what, f"{took['number']:,}", f"{took['s']:.2f}", f"{took['cpu_s']:.2f}", rate


def best(times: int, number: int, work: Callable[[], object]) -> dict[str, float]:
    """The fastest of several rounds: what else the machine did can only have slowed the others."""
    gc.collect()
    gc.freeze()
    found = []
    for _ in range(times):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - began, time.process_time() - cpu))
    return {"number": number, "s": min(one[0] for one in found), "cpu_s": min(one[1] for one in found)}


def decide_many(grants: int, count: int) -> dict[str, float]:
    """Half of the questions are about somebody who holds a grant there."""
    drawn = random.Random(7)
    graph = make_graph(grants, drawn)
    pdp = Pdp(graph)
    asked = [question(number, graph, drawn) for number in range(count)]

    def decide_all() -> None:
        for one in asked:
            pdp.decide(*one)

    decide_all()
    return best(5, count, decide_all)


def make_graph(count: int, drawn: random.Random) -> AccessGraph:
    """Every tenth grant is a team's, the others are people's; each is to two of a service's six routes."""
    routes = tuple(Route(f"r{k}", frozenset({method}), f"/things{k}/{{id}}") for k, method in enumerate(METHODS))
    teams = [f"team:t{number}" for number in range(PEOPLE // PEOPLE_OF_A_TEAM)]
    people = {
        f"person:p{number}": Subject(
            f"person:p{number}", SubjectKind.PERSON, teams=frozenset({teams[number // PEOPLE_OF_A_TEAM]})
        )
        for number in range(PEOPLE)
    }
    grants = (
        Grant(
            id=f"g{number:06}",
            subject=f"person:p{drawn.randrange(PEOPLE)}" if number % 10 else drawn.choice(teams),
            service=f"s{number % SERVICES}",
            routes=frozenset({f"r{number % 6}", f"r{(number + 3) % 6}"}),
            points=frozenset(Point),
            starts_at=0,
            ends_at=None if number % 3 else AT + 1,
        )
        for number in range(count)
    )
    return AccessGraph(
        subjects=people | {team: Subject(team, SubjectKind.TEAM) for team in teams},
        services={f"s{number}": Service(f"s{number}", "Service", routes) for number in range(SERVICES)},
        grants=tuple(grants),
    )


def question(number: int, graph: AccessGraph, drawn: random.Random) -> Question:
    grant = drawn.choice(graph.grants)
    holds = number % 2 and grant.subject.startswith("person:")
    who = grant.subject if holds else f"person:p{drawn.randrange(PEOPLE)}"
    kind = int(min(grant.routes).removeprefix("r"))
    path = f"/things{kind}/{drawn.randrange(10_000)}"
    point = drawn.choice(tuple(Point))
    return who, Action(METHODS[kind]), Resource(grant.service, path), Context(point), AT


def make_chain(count: int) -> None:
    """Rows that verify, written past the services because those take one transaction for each."""
    began, hash_ = datetime(2026, 3, 2, 9, tzinfo=UTC), GENESIS
    after = {"state": "pending", "points": ["edge", "mesh"], "duration": 28800}
    columns = ", ".join((*Row._fields, "prev_hash", "hash"))
    with connection.cursor() as cursor, cursor.copy(f"COPY audit_event ({columns}) FROM STDIN") as copy:
        for seq in range(1, count + 1):
            at = began + timedelta(seconds=seq)
            named = (f"person:p{seq % 997}", "Ada", "access.request.opened", "access.request", f"req_{seq}", "Payments")
            before, hash_ = hash_, digest(Row(seq, moment(at), *named, None, after, None), hash_)
            copy.write_row((seq, at, *named, None, orjson.dumps(after).decode(), None, before, hash_))
    Head.objects.create(seq=count, hash=hash_)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE audit_event")


def verify_all(rows: int) -> dict[str, float]:
    def verify() -> None:
        assert audit.verify().checked == rows

    return best(3, rows, verify)


def name_the_tampered(seq: int) -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('sallyport.audit_unlock', 'UPDATE', true)")
        cursor.execute("UPDATE audit_event SET actor_name = 'Mallory' WHERE seq = %s", [seq])
    found = audit.verify()
    assert (found.ok, found.first_bad_seq, found.checked) == (False, seq, seq - 1)
    return found.why
