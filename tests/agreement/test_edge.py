"""The comparison with V8 itself works: it notices an edge that answers otherwise than the reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from apps.compiler.doors import EdgeDoor
from apps.compiler.graph import AccessGraph, EdgeExposure, Grant, Point, Route, Service, Subject, SubjectKind
from tests.agreement.edge import Answer, disagreement, empty_edge, expected, load, run
from tests.agreement.strategies import T0, Case, Situation


def test_a_difference_is_noticed() -> None:
    """An edge that still holds yesterday's policy is caught."""
    service = Service("cart", "Cart", (Route("r0", frozenset({"GET"}), "/a"),), EdgeExposure("shop.test", ""))
    ada = Subject("person:ada", SubjectKind.PERSON)
    grant = Grant("g0", ada.id, "cart", frozenset({"r0"}), frozenset({Point.EDGE}), T0 - 10)
    today = AccessGraph({ada.id: ada}, {"cart": service}, (grant,))
    yesterday = AccessGraph({ada.id: ada}, {"cart": service})
    case = Case(ada.id, "GET", "cart", "shop.test", "", "/a", T0)
    with empty_edge() as runner:
        assert disagreement(runner, Situation(today, (case,)), Counter()) is None
        load(runner, yesterday)
        [(_, answer)] = run(runner, [case])
    assert answer == Answer(False, "no_grant", ())
    assert expected(EdgeDoor(today), case) == Answer(True, "granted", ("g0",))


def test_an_agent_gets_no_more_than_itself_and_no_more_than_its_person() -> None:
    service = Service("cart", "Cart", (Route("r0", frozenset({"GET"}), "/a"),), EdgeExposure("shop.test", ""))
    ada, bot = Subject("person:ada", SubjectKind.PERSON), Subject("agent:bot", SubjectKind.AGENT)
    hers, its = (
        Grant(name, who.id, "cart", frozenset({"r0"}), frozenset({Point.EDGE}), T0 - 10)
        for name, who in (("g2", ada), ("g1", bot))
    )
    case = Case(ada.id, "GET", "cart", "shop.test", "", "/a", T0, actor=bot.id)
    strange = replace(case, actor="team:red")
    wanted = {
        (hers, its): [Answer(True, "granted", ("g1", "g2")), Answer(False, "unknown_subject", ())],
        (hers,): [Answer(False, "no_grant", ()), Answer(False, "unknown_subject", ())],
        (its,): [Answer(False, "no_grant", ())] * 2,
    }
    with empty_edge() as runner:
        for grants, answers in wanted.items():
            graph = AccessGraph({one.id: one for one in (ada, bot)}, {"cart": service}, grants)
            load(runner, graph)
            assert [answer for _, answer in run(runner, [case, strange])] == answers
            assert [expected(EdgeDoor(graph), one) for one in (case, strange)] == answers
