"""The comparison with V8 itself works: it notices an edge that answers otherwise than the reference."""

from __future__ import annotations

from collections import Counter

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
