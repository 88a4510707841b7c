"""Replay of recorded calls."""

from __future__ import annotations

from dataclasses import replace

from apps.compiler.graph import Point
from apps.compiler.impact import MOST_EXAMPLES, Call, Impact, impact
from apps.compiler.reasons import Reason
from tests.compiler.estate import GRANTS, NIGHT, estate

REFUND = Call("person:ada", "POST", "payments", "/orders/7/refunds", Point.EDGE, NIGHT)
READ = Call("person:ada", "GET", "cart", "/", Point.EDGE, NIGHT)


def test_a_lost_grant_shuts_out_its_calls_only() -> None:
    without = replace(estate(), grants=tuple(grant for grant in GRANTS if grant.id != "g-ada"))
    found = impact([REFUND, READ, replace(REFUND, path="/orders/8/refunds")], estate(), without)
    assert (found.newly_denied, found.newly_allowed, found.unchanged) == (2, 0, 1)
    [example] = found.denied_examples
    assert (example.call, example.before.grant_ids, example.after.reason) == (REFUND, ("g-ada",), Reason.NO_GRANT)


def test_the_other_way_round_it_lets_them_in() -> None:
    without = replace(estate(), grants=tuple(grant for grant in GRANTS if grant.id != "g-ada"))
    found = impact([REFUND, READ], without, estate())
    assert (found.newly_denied, found.newly_allowed, found.unchanged) == (0, 1, 1)
    assert found.denied_examples == ()


def test_examples_are_few_and_different() -> None:
    graph = estate()
    people = {f"person:p{n}": replace(graph.subjects["person:ada"], id=f"person:p{n}") for n in range(50)}
    crowd = replace(graph, subjects={**graph.subjects, **people})
    calls = [replace(READ, subject=name) for name in people] * 2
    found = impact(calls, replace(crowd, grants=()), crowd)
    assert found.newly_allowed == 100
    assert len({example.call.subject for example in found.allowed_examples}) == MOST_EXAMPLES


def test_no_calls_no_impact() -> None:
    assert impact([], estate(), replace(estate(), grants=())) == Impact()
