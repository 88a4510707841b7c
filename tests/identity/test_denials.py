"""Being turned away: written with the suspension or the sign-out, ended by itself, and known where it matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.access import selectors as access
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.compiler.graph import Cause, Denial
from apps.identity import selectors, services, tasks
from apps.identity.models import Denial as Row
from apps.identity.models import Subject
from apps.identity.proofs import limits
from apps.outbox.models import Message
from tests.factories import access as factory
from tests.factories import identity, pages

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 2, 8, 0, 0, 250_000, tzinfo=UTC)
FROM = datetime(2026, 3, 2, 8, 0, 1, tzinfo=UTC)
UNTIL = FROM + timedelta(seconds=300 + 5 + 60 + 5)
"""An edge token, what the edge makes of it, and a little for the clocks of both doors."""


def told(subject: Subject) -> list[tuple[str, datetime, datetime | None]]:
    return list(Row.objects.filter(subject=subject).order_by("cause").values_list("cause", "until", "issued_until"))


def test_a_suspension_turns_away_the_person_and_its_agents() -> None:
    ada = identity.person()
    bot = identity.agent(owner=ada)
    services.suspend_subject(key=ada.key, actor=SYSTEM, at=AT)
    assert told(ada) == told(bot) == [("suspended", UNTIL, None)]


def test_suspending_again_makes_it_no_longer() -> None:
    ada = identity.person()
    for minutes in (0, 2):
        services.suspend_subject(key=ada.key, actor=SYSTEM, at=AT + timedelta(minutes=minutes))
    assert told(ada) == [("suspended", UNTIL, None)]


def test_coming_back_leaves_the_tokens_from_before_behind() -> None:
    ada = identity.person()
    bot = identity.agent(owner=ada)
    services.suspend_subject(key=ada.key, actor=SYSTEM, at=AT)
    services.reinstate_subject(key=ada.key, actor=SYSTEM, at=AT + timedelta(minutes=1))
    assert told(ada) == told(bot) == [("suspended", UNTIL, FROM + timedelta(minutes=1))]
    services.suspend_subject(key=ada.key, actor=SYSTEM, at=AT + timedelta(minutes=2))
    assert told(ada) == [("suspended", UNTIL + timedelta(minutes=2), None)]


def test_an_agent_that_is_suspended_itself_does_not_come_back_with_its_owner() -> None:
    ada = identity.person()
    bot = identity.agent(owner=ada)
    services.suspend_subject(key=bot.key, actor=SYSTEM, at=AT)
    services.suspend_subject(key=ada.key, actor=SYSTEM, at=AT)
    services.reinstate_subject(key=ada.key, actor=SYSTEM, at=AT)
    assert (told(ada), told(bot)) == ([("suspended", UNTIL, FROM)], [("suspended", UNTIL, None)])


def test_an_agent_given_to_somebody_suspended_is_turned_away() -> None:
    ada, dan = identity.person(), identity.person("dan")
    bot = identity.agent(owner=ada)
    services.suspend_subject(key=dan.key, actor=SYSTEM, at=AT)
    services.upsert_subject(key=bot.key, name=bot.name, owner_key=dan.key, actor=SYSTEM, at=AT)
    assert told(bot) == [("suspended", UNTIL, None)]


def test_leaving_writes_it_in_the_same_transaction() -> None:
    ada = identity.person()
    bot = identity.agent(owner=ada)
    services.leave(subject_key=ada.key, actor=SYSTEM, at=AT, why="left")
    assert told(ada) == told(bot) == [("suspended", UNTIL, None)]


@pytest.mark.parametrize("way", ["universal logout", "own button"])
def test_signing_out_everywhere_means_the_tokens_given_out_until_then(way: str) -> None:
    ada = identity.person()
    bot = identity.agent(owner=ada)
    Message.objects.all().delete()
    if way == "own button":
        services.sign_out_everywhere(subject_key=ada.key, actor=ada.actor, at=AT)
    else:
        services.sign_out_and_revoke(subject_key=ada.key, actor=SYSTEM, at=AT, why="asked")
    assert (told(ada), told(bot)) == ([("revoked", UNTIL, FROM)], [])
    assert Event.objects.get(action="identity.subject.tokens_denied").target_id == ada.key
    assert [(one.topic, one.key) for one in Message.objects.all()] == [("identity.subject.changed", ada.key)]


def test_what_ended_long_ago_is_forgotten() -> None:
    ada = identity.person()
    services.suspend_subject(key=ada.key, actor=SYSTEM, at=datetime.now(UTC) - timedelta(days=2))
    assert selectors.list_denied(at=datetime.now(UTC)) == []
    tasks.forget_proofs()
    assert told(ada) == []


class TestInTheGraph:
    """The compiler hears of it where the subject holds or held something, itself or by a team."""

    @pytest.fixture
    def shop(self) -> factory.Shop:
        return factory.shop()

    def denials(self, *slugs: str, at: datetime = factory.AT + timedelta(minutes=1)) -> tuple[Denial, ...]:
        return access.graph_slice(service_slugs=slugs, environment_slug="demo", at=at).denials

    def suspend(self, who: Subject) -> int:
        services.suspend_subject(key=who.key, actor=SYSTEM, at=factory.AT)
        return int(Row.objects.get(subject=who).until.timestamp())

    def test_where_it_held_something_that_has_ended_with_it(self, shop: factory.Shop) -> None:
        factory.active_grant(shop.ada, shop.ben)
        until = self.suspend(shop.ada)
        access_denied = Denial(shop.ada.key, Cause.SUSPENDED, until, None, frozenset({"payments"}))
        assert self.denials("payments") == (access_denied,)
        assert self.denials("payments", at=Row.objects.get().until) == ()

    def test_where_its_team_does(self, shop: factory.Shop) -> None:
        factory.active_grant(shop.ada, shop.ben, subject=shop.storefront)
        until = self.suspend(shop.ada)
        assert self.denials("payments") == (
            Denial(shop.ada.key, Cause.SUSPENDED, until, None, frozenset({"payments"})),
        )

    def test_nowhere_else(self, shop: factory.Shop) -> None:
        self.suspend(shop.ada)
        assert self.denials("payments") == ()


class TestBudget:
    """What the doors report is counted, and a spent day is told to them until midnight UTC."""

    NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    MIDNIGHT = NOON.replace(hour=0) + timedelta(days=1)

    def limited(self, day: int | None) -> Subject:
        bot = identity.agent()
        self.set(bot, day)
        return bot

    def set(self, bot: Subject, day: int | None) -> None:
        limits.set_limits(subject_key=bot.key, calls_per_day=day, calls_per_minute=None, actor=SYSTEM, at=self.NOON)

    def calls(self, bot: Subject, count: int, first: int = 0, **more: str) -> None:
        rids = [f"{number:032x}" for number in range(first, first + count)]
        pages.call(bot, at=self.NOON, verdict="allow", reason="granted", rids=rids, **more)

    def said(self) -> list[str]:
        return list(Event.objects.filter(action__startswith="identity.budget").values_list("action", flat=True))

    def test_it_is_a_denial_until_midnight_and_said_once(self) -> None:
        bot = self.limited(10)
        self.calls(bot, 10)
        self.calls(bot, 1, first=10)
        assert told(bot) == [("budget", self.MIDNIGHT, None)]
        assert self.said() == ["identity.budget.spent"]

    def test_the_agent_that_acts_for_somebody_spends_its_own(self) -> None:
        bot = self.limited(1)
        self.calls(bot.owner, 1, actor=bot.key)
        assert (told(bot), told(bot.owner)) == ([("budget", self.MIDNIGHT, None)], [])

    def test_four_fifths_are_told_once_a_day(self) -> None:
        bot = self.limited(10)
        self.calls(bot, 7)
        assert self.said() == []
        for first in (7, 8):
            self.calls(bot, 1, first=first)
        assert (told(bot), self.said()) == ([], ["identity.budget.nearly_spent"])

    @pytest.mark.parametrize("day", [11, None], ids=["raised", "cleared"])
    def test_other_limits_lift_it(self, day: int | None) -> None:
        bot = self.limited(10)
        self.calls(bot, 10)
        self.set(bot, day)
        assert told(bot) == []
        assert "identity.budget.restored" in self.said()

    def test_a_budget_set_below_what_was_used_is_spent(self) -> None:
        bot = self.limited(None)
        self.calls(bot, 3)
        self.set(bot, 3)
        assert told(bot) == [("budget", self.MIDNIGHT, None)]
