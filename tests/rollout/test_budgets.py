"""The account's budget: asked before it is spent, never overdrawn, put right by what Akamai says."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.rollout.drivers.akamai.heard import Heard
from apps.rollout.models import Allowance, Target
from apps.rollout.services.akamai import budgets
from tests.factories import access as factory
from tests.rollout.world import edge_spec, make_target

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
PRODUCTION = ["activations.PRODUCTION", "activations.day"]


@pytest.fixture
def edge() -> Target:
    factory.shop()
    return make_target(edge_spec(), AT)


def later(**duration: float) -> datetime:
    return AT + timedelta(**duration)


def take(codes: list[str], wanted: int = 1, at: datetime = AT) -> tuple[int, float]:
    leave = budgets.take(account="A", codes=codes, wanted=wanted, at=at)
    return leave.granted, leave.wait


def test_twenty_activations_a_minute_and_no_more() -> None:
    assert [take(PRODUCTION, at=later(seconds=second)) for second in range(20)] == [(1, 0.0)] * 20
    assert take(PRODUCTION, at=later(seconds=20)) == (0, 40.0)
    assert take(PRODUCTION, at=later(seconds=60)) == (1, 0.0)
    assert take(PRODUCTION, at=later(seconds=60.5)) == (0, 0.5)


def test_the_other_network_has_a_minute_of_its_own_and_the_day_is_shared() -> None:
    for _ in range(20):
        take(PRODUCTION)
    assert take(["activations.STAGING", "activations.day"]) == (1, 0.0)
    assert sum(one[1] for one in Allowance.objects.get(kind="activations.day").spent) == 21


def test_five_hundred_a_day_and_then_it_says_until_when() -> None:
    Allowance.objects.create(
        account="A", kind="activations.day", limit=500, source="limits", spent=[[AT.timestamp() - 3600, 500]]
    )
    leave = budgets.take(account="A", codes=PRODUCTION, wanted=1, at=AT)
    assert (leave.granted, leave.wait) == (0, 82_800.0)
    assert leave.why == ("Activations, a day: 500 are used up. Sallyport goes on at 11:00:00 UTC; nothing is lost.")
    assert Allowance.objects.get(kind="activations.PRODUCTION").spent == [], "nothing was spent on the other either"


def test_writes_are_given_in_part_and_in_pairs() -> None:
    assert take(["edgekv"], 50) == (36, 1.0), "half of 73 hits a second"
    assert take(["edgekv"], 50, later(seconds=1)) == (36, 1.0)


def test_two_at_once_do_not_overspend_together(transactional_db: None) -> None:
    granted: list[int] = []
    start = threading.Barrier(4)

    def spend() -> None:
        start.wait()
        granted.extend(take(["versions"])[0] for _ in range(10))
        connection.close()

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), sum(granted)) == (40, 20)


def test_a_refusal_sets_it_back_as_long_as_akamai_says(edge: Target) -> None:
    budgets.hear(target=edge, heard=[Heard(kind="activations.STAGING", seconds=90.0, refused=True)], at=AT)
    budget = budgets.AccountBudget(edge, later(seconds=30))
    assert budget.activation("STAGING").granted == 0
    assert budget.activation("STAGING").wait == pytest.approx(60, abs=2)
    assert budget.activation("PRODUCTION").granted == 1
    assert budgets.AccountBudget(edge, later(seconds=90)).activation("STAGING").granted == 1


def test_a_refusal_of_edgekv_names_the_limit(edge: Target) -> None:
    budgets.hear(target=edge, heard=[Heard(kind="edgekv", limit=20, refused=True)], at=AT)
    leave = budgets.AccountBudget(edge, later(seconds=1)).writes(40)
    assert leave.granted == 10
    assert Allowance.objects.get(kind="edgekv").source == "refusal"


def test_what_others_used_up_is_counted_from_the_headers(edge: Target) -> None:
    per_network = "activation-per-network-per-minute-limit"
    heard = Heard(kind="activations.STAGING", limit_id=per_network, limit=30, remaining=2)
    budgets.hear(target=edge, heard=[heard], at=AT)
    budget = budgets.AccountBudget(edge, AT)
    assert [budget.activation("STAGING").granted for _ in range(3)] == [1, 1, 0]


def test_limits_are_learnt_by_akamais_names(edge: Target) -> None:
    limits = {"activation-per-network-per-minute-limit": 5, "activation-per-day-limit": 50, "something-new": 1}
    budgets.learn_limits(target=edge, limits=limits, at=AT)
    found = {row.kind: (row.limit, row.source) for row in Allowance.objects.all()}
    assert found == {
        "activations.STAGING": (5, "limits"),
        "activations.PRODUCTION": (5, "limits"),
        "activations.day": (50, "limits"),
        "versions": (20, "documented"),
        "edgekv": (73, "documented"),
        "lists": (30, "own"),
        "properties.day": (20, "own"),
    }
    assert budgets.limits_are_fresh(edge, later(hours=23))
    assert not budgets.limits_are_fresh(edge, later(hours=25))


def test_the_meter_says_used_left_and_when_it_is_whole_again(edge: Target) -> None:
    budgets.AccountBudget(edge, AT).version()
    meter = next(one for one in budgets.meters(edge, later(seconds=10)) if one.label == "Code versions, a minute")
    assert (meter.used, meter.left, meter.limit) == (1, 19, 20)
    assert meter.resets_at is not None
    assert later(seconds=65) <= meter.resets_at < later(seconds=70)


def test_two_targets_of_one_account_share_it(edge: Target) -> None:
    other = Target(config={"base_url": "elsewhere"}, facts={"account_id": "A-1"})
    edge.facts = {"account_id": "A-1"}
    for _ in range(20):
        budgets.AccountBudget(edge, AT).version()
    assert budgets.AccountBudget(other, AT).version().granted == 0


def test_what_the_operator_says_of_edgekv_holds_at_once(edge: Target) -> None:
    budgets.AccountBudget(edge, AT).writes(2)
    edge.config = {**edge.config, "edgekv_hits_per_second": 100}
    assert budgets.AccountBudget(edge, later(seconds=2)).writes(80).granted == 50


def test_what_was_allowed_and_came_late_to_akamai_leaves_room_for_no_other(edge: Target) -> None:
    for _ in range(20):
        assert budgets.AccountBudget(edge, AT).version().granted == 1
    assert budgets.AccountBudget(edge, later(seconds=62)).version().granted == 0
    assert budgets.AccountBudget(edge, later(seconds=67)).version().granted == 1
