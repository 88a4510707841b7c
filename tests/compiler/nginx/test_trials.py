"""The decision table that goes with a service's mesh policy."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings

from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.emitters.nginx_trials import MOST_TRIALS, trials
from apps.compiler.graph import AccessGraph, Grant, Point
from tests.agreement.strategies import graphs
from tests.compiler.estate import GRANTS, NIGHT, estate


def rows(graph: AccessGraph, service: str) -> list[tuple[str, str, str, str, int, str, list[str]]]:
    return [tuple(row) for row in json.loads(trials(graph, graph.services[service]))]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_it_says_what_the_reference_says_of_everybody_active(graph: AccessGraph) -> None:
    pdp = Pdp(graph)
    for service in graph.services:
        for _, subject, method, path, at, reason, grants in rows(graph, service):
            who = graph.subjects.get(subject)
            if who is not None and who.active:
                told = pdp.decide(subject, Action(method), Resource(service, path), Context(Point.MESH, at), at)
                assert (told.reason.value, list(told.grant_ids)) == (reason, grants)


def test_a_new_grant_is_tried_however_many_there_are() -> None:
    many = tuple(
        Grant(f"g{n:04}", "person:ben", "payments", frozenset({"charge"}), frozenset({Point.MESH}), NIGHT - n)
        for n in range(500)
    )
    fresh = Grant("g-new", "person:ben", "payments", frozenset({"charge"}), frozenset({Point.MESH}), NIGHT + 1)
    found = rows(replace(estate(), grants=(*GRANTS, *many, fresh)), "payments")
    assert len(found) == MOST_TRIALS
    assert any("g-new" in row[6] for row in found)


def test_the_ends_of_a_grant_and_a_stranger_are_tried() -> None:
    grant = Grant("g1", "person:ben", "payments", frozenset({"charge"}), frozenset({Point.MESH}), NIGHT, NIGHT + 60)
    found = rows(replace(estate(), grants=(grant,), guardrails=()), "payments")
    told = [(row[4] - NIGHT, row[5]) for row in found if row[1] == "person:ben"]
    assert told == [(-1, "grant_not_started"), (0, "granted"), (59, "granted"), (60, "grant_expired")]
    assert {row[5] for row in found if row[1] != "person:ben"} == {"bad_path", "no_grant", "no_route"}
