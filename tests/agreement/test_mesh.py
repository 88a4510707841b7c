"""The comparison with NGINX itself works: every fault of a token has its name, and a difference is noticed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from apps.compiler.graph import AccessGraph, EdgeExposure, Grant, Point, Route, Service, Subject, SubjectKind
from apps.compiler.paths import METHODS
from tests.agreement.nginx import TOKEN_REASONS, Estate
from tests.agreement.strategies import T0, Case, Situation, TokenFault


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def test_every_fault_of_a_token_is_named(estate: Estate) -> None:
    """By the ingress and by the sidecar alike, whatever the generator happens to draw."""
    today = _one_grant()
    cases = tuple(Case("person:ada", "GET", "cart", "shop.test", "", "/a", T0, fault) for fault in TokenFault)
    seen: Counter[str] = Counter()
    for shift in range(3):
        turned = cases[shift:] + cases[:shift]
        assert estate.disagreement(Situation(today, turned), seen) is None
    assert seen.keys() >= TOKEN_REASONS


def _one_grant() -> AccessGraph:
    service = Service("cart", "Cart", (Route("r0", frozenset(METHODS), "/a"),), EdgeExposure("shop.test", ""))
    ada = Subject("person:ada", SubjectKind.PERSON)
    grant = Grant("g0", ada.id, "cart", frozenset({"r0"}), frozenset({Point.MESH}), T0 - 10)
    return AccessGraph({ada.id: ada}, {"cart": service}, (grant,))


def test_a_difference_is_noticed(estate: Estate) -> None:
    """The comparison itself works: a mesh that still holds yesterday's policy is caught."""
    today = _one_grant()
    yesterday = replace(today, grants=())
    cases = (Case("person:ada", "GET", "cart", "shop.test", "", "/a", T0),)
    assert estate.disagreement(Situation(today, cases), Counter()) is None
    caught = estate.disagreement(Situation(today, cases), Counter(), served=yesterday)
    assert caught is not None
    assert "no_grant" in caught


def test_an_agent_gets_no_more_than_itself_and_no_more_than_its_person(estate: Estate) -> None:
    one = _one_grant()
    bot = Subject("agent:bot", SubjectKind.AGENT)
    its = replace(one.grants[0], id="g1", subject=bot.id)
    subjects = {**one.subjects, bot.id: bot}
    case = Case("person:ada", "GET", "cart", "shop.test", "", "/a", T0, actor=bot.id)
    cases = tuple(replace(case, actor=actor) for actor in (bot.id, "team:red", "nobody", None))
    for grants, reasons in {
        (*one.grants, its): {"granted": 2, "unknown_subject": 2},
        one.grants: {"granted": 1, "no_grant": 1, "unknown_subject": 2},
        (its,): {"no_grant": 4},
    }.items():
        seen: Counter[str] = Counter()
        graph = replace(one, subjects=subjects, grants=grants)
        assert estate.disagreement(Situation(graph, cases), seen) is None
        assert seen == reasons
