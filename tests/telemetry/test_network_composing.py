"""What of a network is drawn, what counts for whom, and what is said to be left out. No database."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from apps.access.selectors.access_map import OpenLine
from apps.catalog.stops import Stop
from apps.identity.known import Known
from apps.telemetry.network.composing import (
    MOST_CALLERS,
    MOST_LINES,
    NOBODY_KNOWN,
    Line,
    Node,
    Picture,
    compose,
)
from apps.telemetry.network.drawing import LABEL_HEIGHT, draw, path_of, weight
from apps.telemetry.network.layout import BACK, NODE_WIDTH, WIDEST_GAP
from apps.telemetry.network.reading import MOST_READ, MOST_SERVICES, Found, Seen
from apps.telemetry.network.telling import left_out, looks_of

STORE = ("team:store", "Store")


def stop(slug: str, *, doors: str = "edge mesh", number: int = 1) -> Stop:
    workload = f"workload:spiffe://shop.test/ns/shop/sa/{slug}" if "mesh" in doors else ""
    return Stop(number, slug, slug.title(), "team:pay", "Pay", "edge" in doors, workload, number if workload else None)


def person(name: str, *teams: tuple[str, str]) -> Known:
    return Known(1, f"person:{name}", "person", name.title(), teams)


def found(
    *stops: Stop,
    lines: tuple[OpenLine, ...] = (),
    seen: tuple[Seen, ...] = (),
    known: tuple[Known, ...] = (),
    many: int = 0,
    whole: tuple[str, ...] | None = None,
) -> Found:
    slugs = {one.slug: one for one in stops}
    people = {one.key: one for one in known}
    return Found(slugs, lines, seen, people, frozenset(slugs if whole is None else whole), many=many or len(stops))


def both(subject: str, service: str, state: str = "proven") -> OpenLine:
    return OpenLine(subject, service, state, state)


def pairs(picture: Picture) -> dict[tuple[str, str], Line]:
    return {(line.source, line.target): line for line in picture.lines}


def test_a_workload_is_drawn_as_the_service_it_is() -> None:
    cart, pay = stop("cart"), stop("pay")
    picture = compose(found(cart, pay, lines=(OpenLine(cart.workload, "pay", "", "open"),)))
    assert pairs(picture) == {("cart", "pay"): Line("cart", "pay", "", "open")}
    assert [node.id for node in picture.nodes.values()] == ["cart", "pay"]


def test_a_service_that_may_call_itself_has_no_line_to_itself() -> None:
    cart = stop("cart")
    seen = (Seen(cart.workload, "cart", 5, 1, ""),)
    assert compose(found(cart, lines=(both(cart.workload, "cart"),), seen=seen)).lines == ()


def test_calls_count_for_the_access_that_lets_them_through() -> None:
    ada, ben = person("ada", STORE), person("ben", STORE)
    lines = (both("person:ada", "pay"), both("team:store", "pay"))
    seen = (
        Seen("person:ada", "pay", 7, 0, ""),
        Seen("person:ben", "pay", 5, 0, ""),
        Seen("person:cyd", "pay", 3, 0, ""),
    )
    picture = compose(found(stop("pay"), lines=lines, seen=seen, known=(ada, ben)))
    assert {ends: line.calls for ends, line in pairs(picture).items()} == {
        ("person:ada", "pay"): 7,
        ("team:store", "pay"): 5,
    }


def test_what_was_refused_is_a_line_of_its_own_where_no_access_is_open() -> None:
    seen = (Seen("person:ada", "pay", 4, 3, "ab" * 16), Seen("", "pay", 2, 2, ""))
    picture = compose(found(stop("pay"), seen=seen, known=(person("ada"),)))
    ada, nobody = pairs(picture)["person:ada", "pay"], pairs(picture)[NOBODY_KNOWN, "pay"]
    assert (ada.is_open, ada.denied, ada.calls, ada.rid) == (False, 3, 0, "ab" * 16)
    assert ada.denied_query == "service=pay&subject=person%3Aada&verdict=deny"
    assert (nobody.is_open, nobody.denied, nobody.denied_query) == (False, 2, "service=pay&verdict=deny")
    assert picture.nodes[NOBODY_KNOWN].name == "Nobody known"


def test_one_who_holds_access_and_was_refused_has_one_line_that_says_both() -> None:
    seen = (Seen("person:ada", "pay", 10, 3, ""),)
    picture = compose(found(stop("pay"), lines=(both("person:ada", "pay"),), seen=seen, known=(person("ada"),)))
    assert pairs(picture)["person:ada", "pay"] == Line(
        "person:ada", "pay", "proven", "proven", calls=7, denied=3, caller="person:ada"
    )


def test_the_doors_of_a_service_tell_what_goes_wrong_first_and_are_shut_where_nobody_holds_access() -> None:
    lines = (both("person:ada", "pay"), OpenLine("person:ben", "pay", "failing", "opening"))
    picture = compose(found(stop("pay"), stop("cart"), stop("mail", doors="mesh"), lines=lines))
    doors = {node.id: (node.edge, node.mesh) for node in picture.services}
    assert doors == {"pay": ("failing", "opening"), "cart": ("closed", "closed"), "mail": ("", "closed")}


def test_who_comes_from_outside_needs_both_doors_and_a_workload_does_not() -> None:
    cart = stop("cart")
    lines = (OpenLine("person:ada", "pay", "open", ""), OpenLine(cart.workload, "pay", "", "open"))
    picture = compose(found(cart, stop("pay"), lines=lines))
    assert {ends: line.has_gap for ends, line in pairs(picture).items()} == {
        ("person:ada", "pay"): True,
        ("cart", "pay"): False,
    }


def test_too_many_callers_are_drawn_as_their_teams_and_whoever_has_none_together() -> None:
    people = [person(f"p{n:02}", STORE if n % 2 else ("team:ops", "Ops")) for n in range(MOST_CALLERS)]
    people.append(person("loner"))
    lines = tuple(both(one.key, "pay") for one in people)
    seen = tuple(Seen(one.key, "pay", 2, 1, "ab" * 16) for one in people)
    picture = compose(found(stop("pay"), lines=lines, seen=seen, known=tuple(people)))
    assert picture.is_folded
    assert {ends: (line.calls, line.denied, line.rid) for ends, line in pairs(picture).items()} == {
        ("team:ops", "pay"): (4, 4, ""),
        ("team:store", "pay"): (4, 4, ""),
        ("team:", "pay"): (1, 1, ""),
    }
    assert [(node.name, node.kind) for node in picture.callers] == [
        ("No team", "team"),
        ("Ops", "team"),
        ("Store", "team"),
    ]


def test_no_more_is_drawn_than_can_be_seen_and_the_rest_is_counted() -> None:
    stops = [stop(f"s{n:02}", number=n) for n in range(MOST_SERVICES)]
    people = [person(f"p{n:02}", (f"team:t{n:02}", f"T{n:02}")) for n in range(MOST_CALLERS + 5)]
    lines = tuple(both(one.key, each.slug) for one in people for each in stops)
    seen = tuple(Seen(people[n].key, "s00", 10 + n, 0, "") for n in range(len(people)))
    everything = found(*stops, lines=lines, seen=seen, known=tuple(people), many=2000)
    picture = compose(everything)
    assert len(picture.lines) == MOST_LINES
    assert [node.name for node in picture.callers] == [f"T{n:02}" for n in range(5, MOST_CALLERS + 5)]
    assert picture.lines_left == MOST_CALLERS * MOST_SERVICES - MOST_LINES
    assert (picture.services_left, picture.callers_left) == (2000 - MOST_SERVICES, 5)
    assert left_out(everything, picture) == (
        "Calls are those of the last day that you may see, without probes. "
        "Drawn are 16 of 2000 services, those most called first. "
        "There are too many callers for one picture, so each is drawn as its team. "
        "5 callers with fewer calls are left out. 98 quieter lines are left out. "
        "Pick a service or a caller to see only what is around it."
    )


def test_what_is_picked_is_never_left_out() -> None:
    stops = [stop(f"s{n:02}", number=n) for n in range(MOST_SERVICES + 4)]
    lines = tuple(both("person:ada", one.slug) for one in stops)
    seen = tuple(Seen("person:ada", one.slug, 99, 99, "") for one in stops[:-1])
    picture = compose(found(*stops, lines=lines, seen=seen, whole=("s19",)), picked="s19")
    assert "s19" in picture.nodes
    assert (len(picture.services), picture.services_left) == (MOST_SERVICES, 4)


def test_around_something_only_what_a_line_ties_is_drawn() -> None:
    stops = [stop(f"s{n:02}", number=n) for n in range(MOST_SERVICES + 4)]
    lines = tuple(both("person:ada", one.slug) for one in stops)
    picture = compose(found(*stops, lines=lines, whole=()))
    assert {line.target for line in picture.lines} == {node.id for node in picture.services}
    assert picture.services_left == 4


def test_a_bounded_look_and_a_bounded_count_are_told() -> None:
    many = tuple(both(f"person:p{n}", "pay") for n in range(MOST_READ))
    everything = replace(found(stop("pay"), lines=many), is_sampled=True)
    said = left_out(everything, compose(everything))
    assert "without probes, as far as they are among the latest 5000." in said
    assert "Only 2000 grants were looked at." in said


def test_a_thicker_line_is_ten_times_the_calls() -> None:
    assert [weight(calls) for calls in (0, 9, 99, 999, 9999)] == [1.3, 2.3, 3.3, 4.3, 5.3]


def drawn(*lines: Line) -> Picture:
    ends = {end for line in lines for end in (line.source, line.target)}
    nodes = {end: Node(end, "person" if end.startswith("person:") else "service", end) for end in sorted(ends)}
    return Picture(nodes, lines)


def test_what_is_refused_lies_in_front_of_what_is_open() -> None:
    picture = drawn(
        Line("person:a", "pay", "open", "open", denied=2),
        Line("person:b", "pay", "open", "open", calls=5),
        Line("person:c", "pay", "open", "opening"),
        Line("person:d", "pay", "open", "failing"),
    )
    looks = [curve.look for curve in draw(picture).curves]
    assert looks == ["quiet", "busy", "moving", "failing", "denied"]
    assert [look for look, _ in looks_of(["denied", "quiet"])] == ["quiet", "denied"]


def test_what_was_denied_is_counted_once_for_each_caller_and_leads_to_it() -> None:
    picture = drawn(
        Line("person:a", "s0", denied=2, caller="person:a", is_open=False),
        Line("person:a", "s1", denied=3, caller="person:a", is_open=False),
        Line("person:b", "s1", denied=1, caller="person:b", is_open=False),
    )
    assert {label.words: label.query for label in draw(picture).labels} == {
        "5 denied": "subject=person%3Aa&verdict=deny",
        "1 denied": "service=s1&subject=person%3Ab&verdict=deny",
    }


def test_labels_stand_apart_and_within_the_gap() -> None:
    moving = [Line(f"person:{n}", "pay", "open", "closing", denied=10**n) for n in range(6)]
    drawing = draw(drawn(*moving))
    assert len(drawing.labels) == 12
    for one, other in combinations(drawing.labels, 2):
        assert one.x != other.x or abs(one.y - other.y) >= LABEL_HEIGHT
    for label in drawing.labels:
        for stand in drawing.stands:
            assert label.left >= stand.spot.x + NODE_WIDTH or label.left + label.width <= stand.spot.x


def test_a_door_that_moves_or_is_missing_has_its_mark_on_the_line() -> None:
    picture = drawn(
        Line("person:a", "pay", "open", "closing"), Line("person:b", "pay", "open", "", has_gap=True),
        Line("person:c", "pay", "open", "open"),
    )  # fmt: skip
    assert {(label.edge, label.mesh) for label in draw(picture).labels} == {("open", "closing"), ("open", "")}


def test_an_arrow_points_to_where_a_line_goes_and_none_where_nothing_comes() -> None:
    drawing = draw(drawn(Line("a", "b"), Line("b", "a"), Line("c", "b"), Line("a", "c", denied=1, is_open=False)))
    spots = {stand.node.id: stand.spot for stand in drawing.stands}
    from_left, from_right = spots["b"], spots["a"]
    assert drawing.heads == "".join(
        sorted(
            [
                f"M{from_left.x - 5} {from_left.middle - 4}l4 4-4 4",
                f"M{from_right.x + NODE_WIDTH + 5} {from_right.middle + BACK - 4}l-4 4 4 4",
            ]
        )
    )


def test_the_edge_is_drawn_where_somebody_comes_from_outside() -> None:
    assert draw(drawn(Line("person:a", "pay"))).edge_x == NODE_WIDTH + WIDEST_GAP // 2
    assert draw(drawn(Line("cart", "pay"))).edge_x is None


def test_a_line_is_level_at_both_ends() -> None:
    assert path_of(((0, 0), (10, 20), (30, 20))) == "M0 0C5 0 5 20 10 20H30"
