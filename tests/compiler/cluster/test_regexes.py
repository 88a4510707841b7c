"""Patterns mean what templates mean: never more, and as much as a pattern on the path as sent can say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.emitters.cluster.regexes import LONGEST, lanes
from apps.compiler.graph import AccessGraph, Grant, Point, Route, Service, Subject, SubjectKind
from tests.agreement.strategies import paths, paths_of, routes
from tests.agreement.targets import HOSTILE_PATHS, PLAIN_PATHS

WHO = "workload:w"


class Both:
    """The patterns of some routes beside what decide() makes of them."""

    def __init__(self, known: tuple[Route, ...]) -> None:
        self._lanes = [(lane, list(map(re.compile, lane.patterns))) for lane in lanes(known)]
        grant = Grant("g", WHO, "s", frozenset(route.id for route in known), frozenset({Point.MESH}), 0)
        services = {"s": Service("s", "S", known)}
        self._pdp = Pdp(AccessGraph({WHO: Subject(WHO, SubjectKind.WORKLOAD)}, services, (grant,)))

    def answered(self, method: str, path: str) -> list[str]:
        """The routes one of whose patterns fits."""
        return [
            lane.route
            for lane, patterns in self._lanes
            if lane.method == method and any(pattern.match(path) for pattern in patterns)
        ]

    def decided(self, method: str, path: str) -> str | None:
        return self._pdp.decide(WHO, Action(method), Resource("s", path), Context(Point.MESH), 1).route


def is_plainly_spelt(path: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9/!$&'()*+,\-.:=@_~]*", path) is not None


@settings(max_examples=100, deadline=None, database=None)
@given(routes(), st.data())
def test_a_path_fits_the_patterns_of_the_route_that_answers_it(known: tuple[Route, ...], data: st.DataObject) -> None:
    template = data.draw(st.sampled_from([route.template for route in known]))
    method = data.draw(st.sampled_from(sorted(known[0].methods)))
    both = Both(known)
    for path in (data.draw(paths()), data.draw(paths_of(template)), *PLAIN_PATHS, *HOSTILE_PATHS):
        wanted, found = both.decided(method, path), both.answered(method, path)
        assert found in ([], [wanted]), path
        if wanted is not None and is_plainly_spelt(path):
            assert found == [wanted], path


ROUTE = (Route("one", frozenset({"GET"}), "/a/{id}/b"),)
ANY = Both(ROUTE)


@pytest.mark.parametrize(
    "value",
    ["7", "...", ".a", "a.", "..a", "a%20b", "%41", "%C3%A9", "%e2%82%ac", "%F0%9F%98%80", "%2e%2E%2e", ".%2e."],
)
def test_a_parameter_may_be_spelt_with_escapes(value: str) -> None:
    assert ANY.decided("GET", f"/a/{value}/b") == "one"
    assert ANY.answered("GET", f"/a/{value}/b") == ["one"]


HOSTILE = ("", ".", "..", "%2e", ".%2E", "%2F", "%5c", "%25", "%3B", "%00", "%7f", "%C2%85", "%ff", "%C3", "%C0%AF")


@pytest.mark.parametrize("value", [*HOSTILE, "%ED%A0%80", "%F4%90%80%80", "%zz", "%", "a;b"])
def test_what_could_be_read_in_two_ways_fits_nothing(value: str) -> None:
    assert ANY.decided("GET", f"/a/{value}/b") is None
    assert ANY.answered("GET", f"/a/{value}/b") == []


def test_a_parameter_is_not_a_literal_in_disguise() -> None:
    both = Both((*ROUTE, Route("two", frozenset({"GET"}), "/a/new/b")))
    assert both.answered("GET", "/a/new/b") == ["two"]
    for path, wanted in {"/a/ne/b": ["one"], "/a/newer/b": ["one"], "/a/%6eew/b": [], "/a/n%65w/b": []}.items():
        assert both.answered("GET", path) == wanted


def test_only_what_shares_a_method_is_taken_away() -> None:
    both = Both((*ROUTE, Route("two", frozenset({"POST"}), "/a/new/b")))
    assert both.answered("GET", "/a/new/b") == ["one"]
    assert both.answered("POST", "/a/new/b") == ["two"]


def test_patterns_fit_into_nginx() -> None:
    """Four parameters, and six literals to be told apart from."""
    known = (
        Route("deep", frozenset({"GET"}), "/{a}/{b}/{c}/{d}"),
        *(Route(word, frozenset({"GET"}), f"/{{a}}/{word}/{{c}}/{{d}}") for word in ("refunds", "invoices", "latest")),
        *(Route(word, frozenset({"GET"}), f"/{{a}}/{{b}}/{{c}}/{word}") for word in ("history", "status", "events")),
    )
    assert max(len(pattern) for lane in lanes(known) for pattern in lane.patterns) < LONGEST
