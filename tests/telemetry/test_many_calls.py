"""With many calls stored, each list is found by an index and not by reading all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from apps.identity.models import Role, Subject
from apps.telemetry import selectors, services
from apps.telemetry.models import Call
from apps.telemetry.selectors import NEWEST, CallFilter
from tests.factories import catalog
from tests.factories import identity as people
from tests.schema import empty
from tests.telemetry.test_selectors import AT, event

pytestmark = pytest.mark.django_db
MANY = 40_000
FILL = """
INSERT INTO telemetry_call (rid, first_at, subject, service, method, path, route, host, verdict, reason, status, ms,
                            probe, grants, doors)
SELECT md5(n::text)::uuid, %s + n * interval '1 second', 'person:p' || n %% 97, 's' || n %% 53, 'GET', '/things/' || n,
       'get', 'h', CASE WHEN n %% 1000 = 0 THEN 'deny' ELSE 'allow' END,
       CASE WHEN n %% 1000 = 0 THEN 'no_grant' ELSE 'granted' END, 200, 1, false, '{}',
       jsonb_build_object('edge', jsonb_build_object('at', '2026-03-02T09:00:00+00:00', 'verdict', 'allow',
                                                     'reason', 'granted'))
FROM generate_series(1, %s) AS n
"""


@pytest.fixture(scope="module")
def cyd(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Subject]:
    """Stored once and committed, because that takes longer than all that is asked about them."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        services.store([event(1, path="/zebra", seconds=0.5), event(2, path="/zebra", seconds=float(MANY))])
        cursor.execute(FILL, [AT, MANY])
        cursor.execute("SELECT gin_clean_pending_list('telemetry_call_search')")
        cursor.execute("ANALYZE telemetry_call")
        yield people.person("cyd", roles=(Role.SECURITY,))
        cursor.execute("TRUNCATE telemetry_call; ANALYZE telemetry_call")
        empty()


def whole_table_reads(work: object) -> list[str]:
    """The statements among those of ``work`` that PostgreSQL would answer by reading every call."""
    with CaptureQueriesContext(connection) as captured:
        work()  # type: ignore[operator]
    found = []
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if "telemetry_call" in query["sql"]:
                cursor.execute("EXPLAIN " + query["sql"])
                plan = "\n".join(row[0] for row in cursor.fetchall())
                if re.search("Seq Scan on telemetry_call", plan):
                    found.append(query["sql"])
    return found


FILTERS = [
    CallFilter(),
    CallFilter(subject="person:p7"),
    CallFilter(service="s7"),
    CallFilter(reason="no_grant"),
    CallFilter(verdict="deny"),
    CallFilter(verdict="deny", service="s7"),
    CallFilter(text="things"),
    CallFilter(text="zebra"),
    CallFilter(text="nothing-like-it"),
    CallFilter(text="p7"),
    CallFilter(since=AT + timedelta(hours=1), until=AT + timedelta(hours=2)),
]


def test_no_list_reads_every_call(cyd: Subject) -> None:
    for filters in FILTERS:
        assert whole_table_reads(lambda f=filters: selectors.list_calls(viewer=cyd, filters=f)) == [], filters
    ben = people.person("ben")
    catalog.service("s3", team=people.team("s3", owners=(ben,)))
    assert whole_table_reads(lambda: selectors.list_calls(viewer=ben)) == []
    assert whole_table_reads(lambda: selectors.list_callers_seen("s7", since=AT)) == []
    assert whole_table_reads(lambda: selectors.recent_calls("s7", since=AT)) == []


def test_text_is_found_among_the_newest_and_far_behind_them(cyd: Subject) -> None:
    assert MANY > NEWEST
    found = selectors.list_calls(viewer=cyd, filters=CallFilter(text="zebra"))
    assert [row.rid for row in found.items] == [f"{2:032x}", f"{1:032x}"]
    common = selectors.list_calls(viewer=cyd, filters=CallFilter(text="things get"), limit=3)
    assert [row.path for row in common.items] == [f"/things/{MANY - back}" for back in range(3)]
    rest = selectors.list_calls(viewer=cyd, filters=CallFilter(text="zebra"), after=found.items[0].cursor)
    assert [row.rid for row in rest.items] == [f"{1:032x}"]


def test_short_words_are_looked_for_in_the_newest_only(cyd: Subject) -> None:
    short = selectors.list_calls(viewer=cyd, filters=CallFilter(text="/1"), limit=200)
    assert short.items == ()
    assert Call.objects.filter(path__contains="/1").exists()


def test_callers_seen_are_bounded(cyd: Subject) -> None:
    assert len(selectors.list_callers_seen("s7", since=AT)) == 50
