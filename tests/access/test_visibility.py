"""Who may see which requests and grants, and what waits for whom."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import refusals, selectors, services
from apps.audit.actors import SYSTEM
from apps.identity import services as people
from apps.identity.models import Subject
from tests.factories import identity
from tests.factories.access import HOUR, Shop, active_grant, approve, ask, pending_grant, service, shop

pytestmark = pytest.mark.django_db


def sees(viewer: Subject, public_id: str) -> bool:
    try:
        return selectors.get_visible_request(viewer=viewer, public_id=public_id).public_id == public_id
    except refusals.UnknownRequest:
        return False


def inbox(subject: Subject, at: datetime) -> list[str]:
    return [request.public_id for request in selectors.list_inbox(subject=subject, at=at)]


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("ada", True),
        ("ben", True),
        ("bea", True),
        ("cyd", True),
        ("eve", True),
        ("flo", True),
        ("dan", False),
        ("bot", False),
        ("cart", False),
    ],
)
def test_a_request_is_seen_by_those_it_concerns(who: str, expected: bool) -> None:
    there = shop()
    request = ask(there.ada)
    assert sees(getattr(there, who), request.public_id) is expected


def test_a_teams_request_is_seen_by_its_members_and_an_agents_by_its_owner() -> None:
    there = shop()
    gus = identity.person("gus", teams=(there.storefront,))
    teams, carts, bots = ask(there.ada, subject=there.storefront), ask(there.ada, subject=there.cart), ask(there.bot)
    own = ask(there.ada, routes=("list",))
    assert [sees(gus, one.public_id) for one in (teams, carts, bots, own)] == [True, True, False, False]
    assert [sees(there.dan, one.public_id) for one in (teams, carts, bots, own)] == [False, False, True, False]
    assert [sees(there.cart, one.public_id) for one in (teams, carts, bots, own)] == [False, True, False, False]


def test_a_team_that_must_approve_sees_it(at: datetime) -> None:
    there = shop()
    board = identity.person("board")
    identity.team("change-board", members=(board,))
    values = services.RuleValues(
        sentence="The board agrees.", approver_kind="team", approver_value="team:change-board", count=1
    )
    services.set_rule(slug="board", values=values, actor=SYSTEM, at=at)
    request = ask(there.ada)
    assert sees(board, request.public_id)
    assert inbox(board, at) == [request.public_id]
    assert approve(request, there.ben, board).state == "approved"


def test_somebody_suspended_who_watched_over_all_sees_only_their_own(at: datetime) -> None:
    there = shop()
    request = ask(there.ada)
    people.suspend_subject(key=there.flo.key, actor=SYSTEM, at=at)
    there.flo.refresh_from_db()
    assert not sees(there.flo, request.public_id)


def test_grants_are_seen_like_requests() -> None:
    there = shop()
    grant = pending_grant(there.ada, there.ben)
    for viewer in (there.ada, there.bea, there.cyd, there.flo):
        assert selectors.get_visible_grant(viewer=viewer, public_id=grant.public_id) == grant
    for stranger in (there.dan, there.bot):
        with pytest.raises(refusals.UnknownGrant):
            selectors.get_visible_grant(viewer=stranger, public_id=grant.public_id)


def test_lists_are_newest_first_filtered_and_paged() -> None:
    there = shop()
    service("billing", team=there.payments_team)
    ids = [ask(there.ada, routes=(route,)).public_id for route in ("list", "read", "refund")]
    other = ask(there.ada, to="billing").public_id
    approve(selectors.get_visible_request(viewer=there.ada, public_id=ids[0]), there.ben)

    def listed(**filters: object) -> list[str]:
        return [one.public_id for one in selectors.list_requests(viewer=there.ada, **filters).items]  # type: ignore[arg-type]  # passed through

    assert listed() == [other, *reversed(ids)]
    assert listed(states=("pending",)) == [other, ids[2], ids[1]]
    assert listed(service="billing") == [other]
    assert listed(subject="person:ben") == []
    page = selectors.list_requests(viewer=there.ada, limit=3)
    rest = selectors.list_requests(viewer=there.ada, limit=3, after=page.after)
    assert [one.public_id for one in (*page.items, *rest.items)] == [other, *reversed(ids)]
    assert rest.after is None


def test_the_inbox_holds_what_waits_for_me_oldest_first(at: datetime) -> None:
    there = shop(sensitivity="sensitive")
    first = ask(there.ada, at=at)
    second = ask(there.bot, at=at + timedelta(minutes=1))
    assert inbox(there.ben, at) == [first.public_id, second.public_id]
    assert inbox(there.cyd, at) == [first.public_id, second.public_id]
    assert inbox(there.eve, at) == []
    assert inbox(there.ada, at) == []
    approve(first, there.ben)
    assert inbox(there.ben, at) == [second.public_id]
    assert inbox(there.bea, at) == [second.public_id], "the owners have answered; it waits for security"
    assert inbox(there.cyd, at) == [first.public_id, second.public_id]
    approve(first, there.cyd)
    assert inbox(there.cyd, at) == [second.public_id]


def test_the_inbox_never_offers_what_one_may_not_decide(at: datetime) -> None:
    there = shop()
    identity.join(there.payments_team, there.dan, role="owner")
    own, bots = ask(there.ben), ask(there.bot)
    assert inbox(there.ben, at) == [bots.public_id]
    assert inbox(there.dan, at) == [own.public_id]
    assert inbox(there.bot, at) == []
    people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at)
    there.dan.refresh_from_db()
    assert inbox(there.dan, at) == []


def test_the_inbox_drops_what_has_run_out_before_any_sweep(at: datetime) -> None:
    there = shop()
    request = ask(there.ada, at=at)
    week = timedelta(days=7)
    assert inbox(there.ben, at + week - timedelta(seconds=1)) == [request.public_id]
    assert inbox(there.ben, at + week) == []


def test_standings_say_who_answered_and_who_is_waited_for() -> None:
    there = shop(sensitivity="sensitive")
    request = approve(ask(there.ada), there.ben)
    owners, security = selectors.standings(selectors.get_visible_request(viewer=there.ada, public_id=request.public_id))
    assert [who.name for who in owners.progress.answered] == ["Ben"]
    assert [who.name for who in owners.progress.waiting] == ["Bea"]
    assert owners.progress.is_met
    assert [who.name for who in security.progress.waiting] == ["Cyd"]
    assert not security.progress.is_met


def test_the_home_page_begins_with_what_waits(at: datetime) -> None:
    there = shop()
    mine, theirs = ask(there.ben), ask(there.ada)
    waiting = selectors.waiting_for(subject=there.ben, at=at)
    assert [one.public_id for one in waiting.to_decide] == [theirs.public_id]
    assert [one.public_id for one in waiting.asked] == [mine.public_id]


def test_what_i_hold_and_what_ends_soon(at: datetime) -> None:
    there = shop()
    own = active_grant(there.ada, there.ben, routes=("list",), duration=HOUR)
    teams = active_grant(there.ada, there.ben, subject=there.storefront, duration=5 * HOUR)
    carts = active_grant(there.ada, there.ben, subject=there.cart, routes=("read",), duration=HOUR)
    active_grant(there.ben, there.bea, routes=("read",))
    assert list(selectors.list_held(subject=there.ada, at=at)) == [own, teams]
    assert set(selectors.list_ending_soon(subject=there.ada, at=at)) == {own, carts}
    assert list(selectors.list_held(subject=there.ada, at=at + timedelta(seconds=HOUR))) == [teams]


@pytest.mark.parametrize("who", ["ada", "ben", "flo"])
def test_lists_cost_the_same_with_one_row_and_with_many(who: str, at: datetime) -> None:
    there = shop(sensitivity="sensitive")

    def costs(there: Shop) -> list[int]:
        viewer = getattr(there, who)
        found = []
        for read in (
            lambda: selectors.list_requests(viewer=viewer).items,
            lambda: selectors.list_grants(viewer=viewer).items,
            lambda: list(selectors.list_inbox(subject=viewer, at=at)),
            lambda: list(selectors.list_held(subject=viewer, at=at)),
        ):
            with CaptureQueriesContext(connection) as captured:
                read()
            found.append(len(captured))
        return found

    ask(there.ada)
    active_grant(there.ada, there.ben, there.cyd, routes=("list",))
    active_grant(there.ben, there.bea, there.cyd, routes=("list",))
    active_grant(there.flo, there.bea, there.cyd, routes=("list",))
    few = costs(there)
    for number in range(5):
        person = identity.person(f"person{number}", teams=(there.storefront,))
        ask(person)
        active_grant(person, there.ben, there.cyd, routes=("list",))
    assert costs(there) == few
    assert max(few) <= 8
