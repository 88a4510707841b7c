"""A synthetic estate of any size, made by the database itself: a million rows in seconds, every constraint checked.

``n`` in the expressions counts from 1. Numbers are spread by multiplying with primes, so that nothing lines up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, models

from apps.access.models import AccessRequest, ApprovalRule, Grant, GrantDoor, Requirement, Review
from apps.access.services import ensure_default_rules
from apps.audit.models import Event, Head
from apps.catalog.models import Dependency, Environment, Exposure, Route, Service
from apps.identity.models import ConsoleRole, Membership, Subject
from apps.telemetry.models import Call

ROUTES = 6
SERVICES_OF_A_TEAM, PEOPLE_OF_A_TEAM = 20, 10
RISK = {"level": "low", "causes": []}
RESOLVED = {
    "rules": [{"slug": "owner-approves", "sentence": "The team that owns the service decides."}],
    "max_duration": 28800,
    "max_duration_why": "The service allows so much.",
}
SPIFFE = "spiffe://bench.test/ns/estate/sa/s"


@dataclass(frozen=True)
class Size:
    services: int
    grants: int
    ended: float = 0.0
    calls: int = 0
    events: int = 0
    waiting: int = 0

    @property
    def teams(self) -> int:
        return max(2, self.services // SERVICES_OF_A_TEAM)

    @property
    def people(self) -> int:
        return self.teams * PEOPLE_OF_A_TEAM


def multiply(row: models.Model, count: int, **expressions: str) -> int:
    """``count`` copies of ``row`` with some columns computed from ``n``; answers with the key of the first."""
    fields = [
        f for f in row._meta.concrete_fields if not f.generated and (not f.primary_key or f.attname in expressions)
    ]
    values, parameters = [], []
    for field in fields:
        if field.attname in expressions:
            values.append(f"({_verbatim(expressions[field.attname])})")
        else:
            values.append(f"%s::{field.db_type(connection)}")
            parameters.append(field.get_db_prep_save(getattr(row, field.attname), connection))
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    table = connection.ops.quote_name(row._meta.db_table)
    rows = f"SELECT {', '.join(values)} FROM generate_series(1, {count}) AS n ORDER BY n"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {rows}", parameters)
        cursor.execute(f"SELECT max({connection.ops.quote_name(row._meta.pk.column)}) FROM {table}")  # noqa: S608
        (last,) = cursor.fetchone()
    return int(last) - count + 1


def _verbatim(expression: str) -> str:
    return expression.replace("%", "%%")


def link(through: Any, rows: str) -> None:
    """Fill a many-to-many table from a query of two columns, in the order of the table's own."""
    first, second = (field.column for field in through._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {through._meta.db_table} ({first}, {second}) {rows}")


@dataclass(frozen=True)
class Estate:
    """First keys of what was made, and the moment everything is relative to."""

    size: Size
    at: datetime
    environment: Environment
    teams: int
    people: int
    workloads: int
    services: int
    routes: int


def build(size: Size, at: datetime) -> Estate:
    ensure_default_rules(at=at)
    estate = _catalogue(size, at, _people(size, at))
    requests = _requests(estate) if size.ended else 0
    _grants(estate, requests)
    if size.waiting:
        _waiting(estate)
    if size.calls:
        _calls(estate)
    if size.events:
        _events(size.events, at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return estate


def _people(size: Size, at: datetime) -> tuple[int, int, int]:
    of_team = PEOPLE_OF_A_TEAM
    teams = multiply(Subject(kind="team", created_at=at), size.teams, key="'team:t' || n", name="'Team ' || n")
    person = Subject(kind="person", created_at=at)
    people = multiply(
        person, size.people, key="'person:p' || n", name="'Person ' || n", email="'p' || n || '@bench.test'"
    )
    multiply(
        Membership(),
        size.people,
        team_id=f"{teams} + (n - 1) / {of_team}",
        member_id=f"{people} + n - 1",
        role=f"CASE WHEN n % {of_team} = 1 THEN 'owner' ELSE 'member' END",
        stated_role=f"CASE WHEN n % {of_team} = 1 THEN 'owner' ELSE 'member' END",
    )
    workloads = multiply(
        Subject(kind="workload", created_at=at),
        size.services,
        key=f"'workload:{SPIFFE}' || n",
        spiffe_id=f"'{SPIFFE}' || n",
        name="'Workload ' || n",
        team_id=f"{teams} + n % {size.teams}",
    )
    for place, role in ((3, "operator"), (4, "security"), (5, "administrator")):
        ConsoleRole.objects.create(subject_id=people + place - 1, role=role)
    return teams, people, workloads


def _catalogue(size: Size, at: datetime, keys: tuple[int, int, int]) -> Estate:
    teams, people, workloads = keys
    environment = Environment.objects.create(slug="bench", name="Bench", is_default=True)
    services = multiply(
        Service(created_at=at, description="Made by the benchmark.", lifecycle="production", max_duration=8 * 3600),
        size.services,
        slug="'s' || n",
        title="'Service ' || n",
        team_id=f"{teams} + n % {size.teams}",
        sensitivity="(ARRAY['internal','open','sensitive','internal','critical'])[1 + n % 5]",
        system=f"'system ' || n % {size.teams}",
        domain="'domain ' || n % 7",
    )
    routes = multiply(
        Route(),
        size.services * ROUTES,
        service_id=f"{services} + (n - 1) / {ROUTES}",
        key=f"'r' || (n - 1) % {ROUTES}",
        methods=f"ARRAY[(ARRAY['GET','GET','POST','PUT','DELETE','PATCH'])[1 + (n - 1) % {ROUTES}]]",
        template=f"'/things' || (n - 1) % {ROUTES} || '/{{id}}'",
        summary=f"'Thing ' || (n - 1) % {ROUTES}",
    )
    edge = Exposure(environment=environment, point="edge", host="api.bench.localhost")
    multiply(edge, size.services, service_id=f"{services} + n - 1", base_path="'/s' || n")
    mesh = Exposure(environment=environment, point="mesh", namespace="estate")
    multiply(
        mesh,
        size.services,
        service_id=f"{services} + n - 1",
        workload_id=f"{workloads} + n - 1",
        port="10000 + n",
        upstream_port="30000 + n",
    )
    for prime in (7, 31, 101):
        other = f"(n - 1 + {prime}) % {size.services}"
        multiply(Dependency(), size.services, caller_id=f"{services} + n - 1", callee_id=f"{services} + {other}")
    return Estate(size, at, environment, teams, people, workloads, services, routes)


SPREAD = "(n * 7919::bigint)"


def _requests(estate: Estate) -> int:
    """Every second grant was asked for."""
    size, at = estate.size, estate.at
    count = size.grants // 2
    request = AccessRequest(
        environment=estate.environment, points=["edge", "mesh"], duration=7200, reason="A customer waits.",
        state="approved", created_at=at, decided_at=at, expires_at=at + timedelta(days=1),
        risk=RISK, resolved=RESOLVED,
    )  # fmt: skip
    person = f"{estate.people} + {SPREAD} % {size.people}"
    first = multiply(
        request,
        count,
        public_id="'req_' || lpad(to_hex(n), 16, '0')",
        requester_id=person,
        subject_id=person,
        service_id=f"{estate.services} + (n - 1) % {size.services}",
        fingerprint="md5('request' || n)",
        created_at=f"'{at.isoformat()}'::timestamptz - n * interval '5 minutes'",
        decided_at=f"'{at.isoformat()}'::timestamptz - n * interval '5 minutes' + interval '90 seconds'",
    )
    link(AccessRequest.routes.through, _some_routes(estate, first, count))
    multiply(
        Review(verdict="approve", at=at),
        count,
        request_id=f"{first} + n - 1",
        reviewer_id=f"{estate.people} + ({SPREAD} + 1) % {size.people}",
    )
    return first


def _some_routes(estate: Estate, first: int, count: int) -> str:
    """Two routes of the service of the n-th row."""
    base = f"{estate.routes} + ((n - 1) % {estate.size.services}) * {ROUTES}"
    return f"SELECT {first} + n - 1, {base} + (n + k * 3) % {ROUTES} FROM generate_series(1, {count}) AS n, generate_series(0, 1) AS k"  # noqa: S608, E501


def _grants(estate: Estate, requests: int) -> None:
    """People hold most, every tenth is one workload's standing access to another; the oldest have ended."""
    size, moment = estate.size, f"'{estate.at.isoformat()}'::timestamptz"
    standing = "n % 10 = 0"
    over = f"n > {int(size.grants * (1 - size.ended))} AND NOT {standing}"
    start = f"date_trunc('second', {moment} - n * interval '1 minute')"
    later = f"date_trunc('second', {moment}) + interval '1 year'"
    end = f"CASE WHEN {standing} THEN NULL WHEN {over} THEN {start} + interval '8 hours' ELSE {later} END"
    made = multiply(
        Grant(environment=estate.environment, points=["edge", "mesh"], approved_at=estate.at),
        size.grants,
        public_id="'g_' || lpad(to_hex(n), 16, '0')",
        request_id=f"CASE WHEN n <= {size.grants // 2} AND NOT {standing} THEN {requests} + n - 1 END"
        if requests
        else "NULL::bigint",
        subject_id=f"CASE WHEN {standing} THEN {estate.workloads} + {SPREAD} % {size.services}"
        f" ELSE {estate.people} + {SPREAD} % {size.people} END",
        service_id=f"{estate.services} + (n - 1) % {size.services}",
        fingerprint="md5('grant' || n)",
        points=f"CASE WHEN {standing} THEN ARRAY['mesh'] ELSE ARRAY['edge', 'mesh'] END",
        state=f"CASE WHEN {over} THEN 'expired' ELSE 'active' END",
        duration=f"CASE WHEN {standing} THEN NULL ELSE 28800 END",
        approved_at=start,
        activated_at=start,
        starts_at=start,
        ends_at=end,
        ended_at=f"CASE WHEN {over} THEN {start} + interval '8 hours' END",
    )
    link(Grant.routes.through, _some_routes(estate, made, size.grants))
    for point, held in (("mesh", "TRUE"), ("edge", f"NOT {standing}")):
        _doors(estate, made, point, _verbatim(held), _verbatim(over))


def _doors(estate: Estate, made: int, point: str, held: str, over: str) -> None:
    table = GrantDoor._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (grant_id, point, state, changed_at, opened_at, proven_at, closed_at, detail) "  # noqa: S608
            f"SELECT {made} + n - 1, %s, CASE WHEN {over} THEN 'closed' ELSE 'proven' END, %s, %s, %s,"
            f" CASE WHEN {over} THEN %s END, '' FROM generate_series(1, {estate.size.grants}) AS n WHERE {held}",
            [point, estate.at, estate.at, estate.at, estate.at],
        )


def _waiting(estate: Estate) -> None:
    """Requests that wait, each for the owners of a service's team."""
    size, at = estate.size, estate.at
    request = AccessRequest(
        environment=estate.environment, points=["edge", "mesh"], duration=7200, reason="A customer waits.",
        state="pending", created_at=at, decided_at=None, expires_at=at + timedelta(days=7),
        risk=RISK, resolved=RESOLVED,
    )  # fmt: skip
    person = f"{estate.people} + 1 + {SPREAD} % {size.people - 1}"
    first = multiply(
        request,
        size.waiting,
        public_id="'req_w' || lpad(to_hex(n), 15, '0')",
        requester_id=person,
        subject_id=person,
        service_id=f"{estate.services} + (n - 1) % {size.services}",
        fingerprint="md5('waiting' || n)",
    )
    link(AccessRequest.routes.through, _some_routes(estate, first, size.waiting))
    rule = ApprovalRule.objects.get(slug="owner-approves")
    multiply(
        Requirement(name=rule.slug, kind=rule.approver_kind, count=1, sentence=rule.sentence),
        size.waiting,
        request_id=f"{first} + n - 1",
        value=f"'team:t' || 1 + (1 + (n - 1) % {size.services}) % {size.teams}",
    )


def _calls(estate: Estate) -> None:
    size, at = estate.size, estate.at
    said = "'at', '2026-11-01T09:00:00+00:00', 'verdict', {v}, 'reason', {r}, 'status', 200, 'ms', 1.5, 'node', 'bench'"
    door = f"jsonb_build_object({said})"
    denied = "n % 50 = 0"
    verdict = f"CASE WHEN {denied} THEN 'deny' ELSE 'allow' END"
    reason = f"CASE WHEN {denied} THEN 'no_grant' ELSE 'granted' END"
    edge = door.format(v=verdict, r=reason)
    behind = "jsonb_build_object('sidecar', " + door.format(v="'allow'", r="'granted'") + ")"
    grant = f"'g_' || lpad(to_hex(1 + n % {size.grants}), 16, '0')"
    with _unindexed(Call):
        multiply(
            Call(first_at=at, ms=2.5, status=200, host="api.bench.localhost"),
            size.calls,
            rid="md5('call' || n)::uuid",
            first_at=f"'{at.isoformat()}'::timestamptz - n * interval '700 milliseconds'",
            subject=f"'person:p' || 1 + {SPREAD} % {size.people}",
            service=f"'s' || 1 + n % {size.services}",
            method="CASE WHEN n % 3 = 0 THEN 'POST' ELSE 'GET' END",
            path=f"'/things' || n % {ROUTES} || '/' || n % 9973",
            route=f"'r' || n % {ROUTES}",
            verdict=verdict,
            reason=reason,
            status=f"CASE WHEN {denied} THEN 403 ELSE 200 END",
            grants=f"CASE WHEN {denied} THEN ARRAY[]::varchar[] ELSE ARRAY[{grant}] END",
            doors=f"jsonb_build_object('edge', {edge}) || CASE WHEN {denied} THEN '{{}}'::jsonb ELSE {behind} END",
        )


@contextmanager
def _unindexed(model: type[models.Model]) -> Iterator[None]:
    """Indexes are built once after the rows instead of for each of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexdef NOT LIKE 'CREATE UNIQUE%%'",
            [model._meta.db_table],
        )
        found = cursor.fetchall()
        for name, _ in found:
            cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")
        yield
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for _, definition in found:
            cursor.execute(definition)


def _events(count: int, at: datetime) -> None:
    """Rows as the audit pages list them. They do not verify: their hashes are not computed."""
    head, _ = Head.objects.get_or_create(id=1)
    multiply(
        Event(at=at, actor_name="Person", target_type="access.grant", target_name="Somebody to something",
              hash="0" * 64, prev_hash="0" * 64, after={"state": "active"}),
        count,
        seq=f"{head.seq} + n",
        actor_id="'person:p' || 1 + n % 997",
        action="(ARRAY['access.grant.activated','access.request.opened','access.request.approved'])[1 + n % 3]",
        target_id="'g_' || lpad(to_hex(n), 16, '0')",
        at=f"'{at.isoformat()}'::timestamptz - ({count} - n) * interval '40 seconds'",
    )  # fmt: skip
    Head.objects.filter(id=1).update(seq=head.seq + count, hash="0" * 64)


def now() -> datetime:
    return datetime.now(UTC)
