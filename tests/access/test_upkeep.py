"""Examining the grants of an estate a bite at a time, who sees what was found, and the same in a pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.models import Examined, Grant, Guardrail, UpkeepFinding
from apps.access.selectors.access_map import AccessMap, access_map
from apps.access.selectors.upkeep import count_findings, list_findings
from apps.access.services.examining import EVERY, examine_due
from apps.access.services.standing import ensure_watching
from apps.access.services.uses import note_uses
from apps.catalog.models import Service
from apps.identity.models import Subject
from tests.access.test_clean_ups import standing, twins
from tests.factories import identity
from tests.factories.access import Shop, service, shop

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def found() -> list[tuple[str, str, list[str], bool]]:
    rows = UpkeepFinding.objects.order_by("service__slug", "code", "id")
    return list(rows.values_list("service__slug", "code", "grants", "removable"))


def test_what_could_go_is_found_and_forgotten_when_it_is_gone(at: datetime) -> None:
    there = shop()
    wide, narrow = twins(there, at)
    assert examine_due(at=at) == 1
    assert found() == [("payments", "shadowed", [narrow.public_id, wide.public_id], True)]
    assert examine_due(at=at + EVERY - timedelta(seconds=1)) == 0
    Grant.objects.filter(pk=narrow.pk).update(state="revoked", ended_at=at)
    assert examine_due(at=at + EVERY) == 1
    assert found() == []


def test_a_bite_takes_those_that_waited_longest(at: datetime) -> None:
    there = shop()
    for number in range(4):
        made = service(f"s{number}", team=there.payments_team, doors=("mesh",))
        standing(there.ada, "read", at=at, service_slug=made.slug)
    assert [examine_due(at=at + timedelta(minutes=n), limit=2) for n in range(3)] == [2, 2, 0]
    assert [examine_due(at=at + EVERY + timedelta(minutes=n), limit=2) for n in range(2)] == [2, 2]
    assert Examined.objects.count() == 4


def test_a_bite_costs_the_same_however_many_grants_there_are(at: datetime) -> None:
    there = shop()
    twins(there, at)
    with CaptureQueriesContext(connection) as few:
        examine_due(at=at)
    for number in range(6):
        standing(identity.person(f"p{number}"), "read", at=at)
    with CaptureQueriesContext(connection) as many:
        examine_due(at=at + EVERY)
    assert len(many) <= len(few)


def test_use_and_what_is_gone_are_found_too(at: datetime) -> None:
    there = shop()
    ensure_watching(at=at)
    idle, wide = standing(there.bot, "read", at=at), standing(there.cart, "read", "list", "refund", at=at)
    old = service("former", team=there.payments_team)
    gone = standing(there.ada, "read", at=at, service_slug=old.slug)
    Service.objects.filter(pk=old.pk).update(retired_at=at)
    then = at + 90 * DAY
    note_uses({(wide.public_id, "read"): then - DAY, (gone.public_id, "read"): then - DAY})
    examine_due(at=then)
    assert found() == [
        ("former", "orphaned", [gone.public_id], False),
        ("payments", "never_hit", [idle.public_id], False),
        ("payments", "wider_than_used", [wide.public_id], False),
    ]


def test_findings_are_seen_by_owners_and_by_those_who_watch_over_all(at: datetime) -> None:
    there = shop()
    twins(there, at)
    examine_due(at=at)
    seen = {who: len(list_findings(viewer=getattr(there, who)).items) for who in ("ben", "cyd", "flo", "ada", "bot")}
    assert seen == {"ben": 1, "cyd": 1, "flo": 1, "ada": 0, "bot": 0}
    assert count_findings(viewer=there.ben) == {"safe": 1, "shadowed": 1}
    assert list_findings(viewer=there.ben, code="orphaned").items == ()
    assert len(list_findings(viewer=there.ben, safe=True, service="payments", severity="note").items) == 1


class TestPipeline:
    def test_it_fails_on_what_it_is_told_to(self, at: datetime) -> None:
        there = shop()
        wide, narrow = twins(there, at)
        out = StringIO()
        call_command("lint_access", fail_on="warning", stdout=out)
        text = out.getvalue()
        assert text.startswith("note  payments  shadowed: Ada may call GET /payments/{id} on Payments")
        assert f"[{narrow.public_id}, {wide.public_id}]" in text
        assert text.endswith("0 errors, 0 warnings, 1 note\n")
        with pytest.raises(SystemExit) as stopped:
            call_command("lint_access", fail_on="note", stdout=StringIO())
        assert stopped.value.code == 1

    def test_json_says_the_same(self, at: datetime) -> None:
        there = shop()
        standing(there.ada, "read", at=at, points=("edge",))
        out = StringIO()
        call_command("lint_access", format="json", service=["payments"], stdout=out)
        said = json.loads(out.getvalue())
        assert said["counts"] == {"error": 0, "warning": 1, "note": 0}
        assert said["findings"][0]["code"] == "edge_without_mesh"
        with pytest.raises(CommandError):
            call_command("lint_access", service=["nowhere"], stdout=StringIO())


def cells(shown: AccessMap) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {
        (cell.service, cell.team): (cell.edge, cell.mesh, cell.gaps)
        for row in shown.rows
        for cell in (*row.cells, *row.others)
        if cell.held
    }


@contextmanager
def rows_read() -> Iterator[list[int]]:
    """How many rows each statement brought back."""
    counted: list[int] = []

    def count(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        done = execute(sql, parameters, many, context)
        counted.append(context["cursor"].rowcount)
        return done

    with connection.execute_wrapper(count):
        yield counted


class TestMap:
    def test_each_team_and_service_with_both_doors(self, at: datetime) -> None:
        there = shop()
        standing(there.cart, "read", at=at)
        standing(there.ada, "read", "list", at=at, points=("edge",))
        standing(there.storefront, "read", at=at, points=("mesh",))
        standing(identity.person("zed"), "list", at=at)
        assert cells(access_map(at=at)) == {("payments", "team:storefront"): (2, 1, 2), ("payments", ""): (1, 1, 0)}

    def test_a_guardrail_at_one_door_makes_a_gap_and_whoever_is_suspended_holds_nothing(self, at: datetime) -> None:
        there = shop()
        standing(there.ada, "read", at=at)
        assert cells(access_map(at=at)) == {("payments", "team:storefront"): (1, 1, 0)}
        wall = Guardrail.objects.create(slug="k", sentence="Never inside.", methods=["GET"], points=["mesh"])
        assert cells(access_map(at=at)) == {("payments", "team:storefront"): (1, 0, 1)}
        Guardrail.objects.filter(pk=wall.pk).update(enabled=False)
        assert cells(access_map(at=at)) == {("payments", "team:storefront"): (1, 1, 0)}
        Subject.objects.filter(pk=there.ada.pk).update(state="suspended", suspended_at=at)
        assert cells(access_map(at=at)) == {("payments", "team:storefront"): (0, 0, 0)}

    def test_it_is_narrowed_by_whose_access_and_whose_services(self, at: datetime) -> None:
        there = shop()
        other = service("ledger", team=there.storefront)
        standing(there.ada, "read", at=at)
        standing(there.ben, "read", at=at, service_slug=other.slug)
        assert set(cells(access_map(at=at, team="team:storefront"))) == {("payments", "team:storefront")}
        assert set(cells(access_map(at=at, owner="team:storefront"))) == {("ledger", "team:payments")}
        assert [row.service.slug for row in access_map(at=at, query="led").rows] == ["ledger"]

    def test_a_page_of_services_costs_the_same_whatever_the_estate(self, at: datetime) -> None:
        there = shop()
        self._fill(there, at, range(3))
        with rows_read() as few, CaptureQueriesContext(connection) as some:
            access_map(at=at, limit=2)
        self._fill(there, at, range(3, 9))
        with rows_read() as many, CaptureQueriesContext(connection) as more:
            shown = access_map(at=at, limit=2)
        assert len(more) == len(some) == 5
        assert many == few
        assert sum(few) < 25
        moments = ("starts_at", "approved_at", "ended_at")
        read = next(one["sql"] for one in more if '"access_grant"."public_id"' in one["sql"]).partition(" FROM ")[0]
        assert not any(moment in read for moment in moments), "they are dear to read, and nothing of them is shown"
        assert [row.service.slug for row in shown.rows] == ["payments", "s00"]
        assert [row.service.slug for row in access_map(at=at, limit=2, after=str(shown.after)).rows] == ["s01", "s02"]

    def _fill(self, there: Shop, at: datetime, numbers: range) -> None:
        for number in numbers:
            made = service(f"s{number:02}", team=there.payments_team, doors=("mesh",))
            standing(there.ada, "read", at=at, service_slug=made.slug)
