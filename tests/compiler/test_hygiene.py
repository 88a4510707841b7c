"""What examining says: each superfluous grant once, what nobody uses, and what is used for less than it opens."""

from __future__ import annotations

from dataclasses import replace

from apps.compiler.graph import AccessGraph, Grant
from apps.compiler.hygiene import DAY, Usage, examine
from apps.compiler.lint import Code, Finding
from tests.compiler.estate import BOTH, CART_ID, HOUR, MESH, NIGHT, PAYMENTS, estate

ONE = Grant("g1", "person:ada", "payments", frozenset({"refund"}), BOTH, NIGHT, NIGHT + HOUR)
STANDING = Grant("g1", CART_ID, "payments", frozenset({"charge", "order"}), MESH, NIGHT)
LATER = NIGHT + 90 * DAY


def found(*grants: Grant, at: int = NIGHT, usage: Usage | None = None) -> tuple[Finding, ...]:
    graph: AccessGraph = replace(estate(), grants=grants, denials=())
    return examine(graph, at, usage)


def codes(*grants: Grant, at: int = NIGHT, usage: Usage | None = None) -> list[tuple[Code, tuple[str, ...]]]:
    return [(one.code, one.grant_ids) for one in found(*grants, at=at, usage=usage)]


def test_five_of_the_same_are_four_too_many() -> None:
    same = [replace(ONE, id=f"g{number}") for number in range(5)]
    assert codes(*same) == [(Code.DUPLICATE, (f"g{number}", "g0")) for number in range(1, 5)]


def test_the_narrower_goes_and_the_sentence_names_both() -> None:
    wider = replace(ONE, id="g2", routes=frozenset({"refund", "order"}), ends_at=None)
    [one] = found(ONE, wider)
    assert (one.code, one.grant_ids) == (Code.SHADOWED, ("g1", "g2"))
    assert one.sentence == (
        "Ada may call POST /orders/{id}/refunds on Payments from the edge and inside the mesh until Fri 27 Nov 2026"
        " 01:00 UTC, and may already call GET or HEAD /orders/{id} and POST /orders/{id}/refunds on Payments from the"
        " edge and inside the mesh without an end."
    )


def test_many_together_make_one_redundant() -> None:
    team = replace(ONE, id="g2", subject="team:storefront", points=MESH)
    own = replace(ONE, id="g3", points=BOTH - MESH, routes=frozenset({"refund", "order", "newest"}))
    [one] = [finding for finding in found(ONE, team, own) if finding.code is Code.REDUNDANT]
    assert one.grant_ids == ("g1", "g3", "g2")
    assert one.sentence.endswith("2 other grants together open all of it already by Storefront.")


def test_a_team_grant_is_never_superfluous_because_of_its_members() -> None:
    team = replace(ONE, id="g2", subject="team:storefront")
    assert codes(ONE, team) == [(Code.SHADOWED, ("g1", "g2"))]
    wider = replace(ONE, ends_at=None)
    assert codes(wider, team) == []


def test_what_is_over_and_still_listed_is_told() -> None:
    [one] = found(ONE, at=NIGHT + HOUR)
    assert (one.code, one.severity) == (Code.EXPIRED, "error")
    assert one.sentence.endswith("It ended Fri 27 Nov 2026 01:00 UTC and is still on the list of what is open.")


class TestUse:
    def test_a_grant_nobody_used_for_long_is_told_and_a_used_one_is_not(self) -> None:
        idle = Usage(since=NIGHT, idle=90 * DAY)
        assert codes(STANDING, at=LATER, usage=idle) == [(Code.NEVER_HIT, ("g1",))]
        assert codes(STANDING, at=LATER - 1, usage=idle) == []
        assert codes(STANDING, at=LATER, usage=replace(idle, last={"g1": NIGHT + 1})) == []

    def test_nothing_is_unused_before_calls_were_watched_for_as_long(self) -> None:
        assert codes(STANDING, at=LATER, usage=Usage(since=NIGHT + 1, idle=90 * DAY)) == []

    def test_the_last_call_is_named_when_there_was_one(self) -> None:
        usage = Usage(since=NIGHT, idle=90 * DAY, last={"g1": NIGHT + HOUR})
        [one] = found(STANDING, at=LATER + HOUR, usage=usage)
        assert one.sentence.endswith("the last call by it was Fri 27 Nov 2026 01:00 UTC.")

    def test_half_of_the_routes_unused_is_wider_than_used(self) -> None:
        usage = Usage(NIGHT, 90 * DAY, {"g1": LATER}, {"g1": frozenset({"charge"})})
        [one] = found(STANDING, at=LATER, usage=usage)
        assert one.code is Code.WIDER_THAN_USED
        assert one.sentence == "cart may call 2 routes of Payments inside the mesh, and was seen on 1: POST /charges."
        three = replace(STANDING, routes=frozenset({"charge", "order", "newest"}))
        most = replace(usage, routes={"g1": frozenset({"charge", "order"})})
        assert codes(three, at=LATER, usage=most) == []

    def test_a_route_that_is_gone_is_no_use(self) -> None:
        usage = Usage(NIGHT, 90 * DAY, {"g1": LATER}, {"g1": frozenset({"former"})})
        assert codes(STANDING, at=LATER, usage=usage) == []
        assert "former" not in {route.id for route in PAYMENTS.routes}
