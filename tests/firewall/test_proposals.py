"""Whoever may answer a proposal is shown it, whatever it proposes; whoever proposed it is not."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.firewall.selectors.proposals import waiting_besides
from apps.identity.models import Subject
from tests.factories import access, firewall, rule_bases, upkeep

pytestmark = pytest.mark.django_db


def _seen(viewer: Subject) -> list[tuple[str, str]]:
    return [(one.kind, one.about) for one in waiting_besides(viewer).proposed]


def test_each_kind_is_shown_to_those_who_may_answer_it(at: datetime) -> None:
    there = access.shop()
    upkeep.clean_up(there, at)
    rule_bases.quiet_cleaning(there.ada, at)
    firewall.proposed(there.ben, there.service, at)
    every = {("clean_up", "Payments"), ("cleaning", "Old firewall"), ("end", "Payments")}
    assert set(_seen(there.cyd)) == every, "security"
    assert _seen(there.ben) == [("clean_up", "Payments")], "owns payments, and proposed its end"
    assert _seen(there.ada) == [], "owns nothing, and proposed the rest"


def test_what_is_answered_or_not_worked_out_yet_waits_for_nobody(at: datetime) -> None:
    there = access.shop()
    rule_bases.quiet_cleaning(there.ada, at, by=there.cyd)
    waiting = rule_bases.quiet_cleaning(there.ada, at)
    waiting.proven_at = None
    waiting.save(update_fields=["proven_at"])
    assert _seen(there.cyd) == []


def test_standing_access_is_counted_beside_it_in_the_same_query(at: datetime) -> None:
    there = access.shop()
    upkeep.clean_up(there, at)
    upkeep.question(there, at)
    with CaptureQueriesContext(connection) as asked:
        besides = waiting_besides(there.ben)
    assert (besides.standing, [one.kind for one in besides.proposed]) == (1, ["clean_up"])
    assert sum('"access_cleanup"' in one["sql"] for one in asked.captured_queries) == 1
    assert sum('"access_standingreview"' in one["sql"] for one in asked.captured_queries) == 1
