"""Rules made true: memberships and roles, kept apart from what people set, and paused when too many would lose."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.audit.models import Event
from apps.identity import selectors, services
from apps.identity.errors import InvalidRule, MappingMoved, MappingPaused, NotAnAdministrator, RoleFromDirectory
from apps.identity.mapping import deciding, reading
from apps.identity.mapping.claims import set_claimed_groups
from apps.identity.mapping.rules import Rule
from apps.identity.models import DirectoryUser, Membership, PendingMapping, Subject
from apps.outbox.models import Message
from tests.factories import identity
from tests.identity.scim.caller import Directory, directory

pytestmark = pytest.mark.django_db

SHOP = Rule("prefix", "shop", team="team:shop", team_role="member")


@pytest.fixture
def okta() -> Directory:
    return directory()


@pytest.fixture
def zoe() -> Subject:
    return identity.person("zoe", roles=("administrator",))


@pytest.fixture
def shop() -> Subject:
    return identity.team("shop")


def person(user: dict) -> Subject:
    return DirectoryUser.objects.select_related("subject").get(scim_id=user["id"]).subject


def places(team: Subject) -> dict[str, str]:
    return dict(Membership.objects.filter(team=team).values_list("member__key", "role"))


def rule(okta: Directory, zoe: Subject, at: datetime, given: Rule = SHOP) -> deciding.Outcome:
    return deciding.add_rule(provider_slug=okta.provider.slug, rule=given, actor=zoe.actor, at=at)


def put(okta: Directory, group: dict, users: list[dict]) -> int:
    whole = {**group, "members": [{"value": one["id"]} for one in users]}
    return okta.call("PUT", f"/Groups/{group['id']}", whole).status


def crowd(okta: Directory, many: int) -> list[dict]:
    return [okta.user(f"p{number}@example.test") for number in range(many)]


class TestSync:
    def test_a_group_puts_its_people_into_the_team_and_takes_them_out(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        ada, ben = okta.user(), okta.user("ben@example.test")
        group = okta.group("shop-eu", ada)
        assert places(shop) == {"person:ada": "member"}
        Message.objects.all().delete()
        assert put(okta, group, [ben]) == 200
        assert places(shop) == {"person:ben": "member"}
        told = set(Message.objects.filter(topic="identity.subject.changed").values_list("key", flat=True))
        assert told == {"person:ada", "person:ben", "team:shop"}
        event = Event.objects.filter(action="identity.mapping.applied", target_id="person:ada").latest("seq")
        assert (event.actor_id, event.before) == ("provider:okta", {"teams": {"team:shop": "member"}})

    def test_a_rule_made_later_brings_everybody_in_line_and_its_end_takes_it_back(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        okta.group("shop", okta.user())
        assert rule(okta, zoe, at).paused is None
        assert places(shop) == {"person:ada": "member"}
        made = reading.list_rules(okta.provider).get()
        deciding.remove_rule(provider_slug="okta", rule_id=made.pk, actor=zoe.actor, at=at)
        assert places(shop) == {}

    def test_renaming_a_group_and_deleting_it_count(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        group = okta.group("other", okta.user())
        okta.patch(f"/Groups/{group['id']}", {"op": "replace", "value": {"displayName": "shop"}})
        assert places(shop) == {"person:ada": "member"}
        okta.call("DELETE", f"/Groups/{group['id']}")
        assert places(shop) == {}

    def test_what_the_catalogue_says_and_what_the_directory_says_stay_apart(
        self, okta: Directory, zoe: Subject, at: datetime
    ) -> None:
        ada = person(ada_user := okta.user())
        shop = identity.team("shop", members=(ada,))
        rule(okta, zoe, at, Rule("exact", "leads", team="team:shop", team_role="owner"))
        group = okta.group("leads", ada_user)
        assert places(shop) == {ada.key: "owner"}
        services.set_memberships(team_key=shop.key, members={}, actor=zoe.actor, at=at)
        assert places(shop) == {ada.key: "owner"}, "the list is empty; the group still gives it"
        services.set_memberships(team_key=shop.key, members={ada.key: "member"}, actor=zoe.actor, at=at)
        assert places(shop) == {ada.key: "owner"}
        put(okta, group, [])
        assert places(shop) == {ada.key: "member"}, "the group is empty; the list still says it"

    def test_two_directories_that_give_the_same_do_not_take_each_others(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        second = directory("second", issuer="https://okta.test", client_id="other")
        rule(okta, zoe, at)
        rule(second, zoe, at)
        first, other = okta.group("shop", okta.user()), second.group("shop", second.user())
        put(okta, first, [])
        assert places(shop) == {"person:ada": "member"}
        put(second, other, [])
        assert places(shop) == {}

    def test_a_group_gives_a_console_role_and_only_the_rule_takes_it(
        self, okta: Directory, zoe: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at, Rule("exact", "audit", console_role="auditor"))
        user = okta.user()
        group = okta.group("audit", user)
        assert selectors.roles_of(person(user)) == {"auditor"}
        with pytest.raises(RoleFromDirectory):
            services.withdraw_role(subject_key="person:ada", role="auditor", actor=zoe.actor, at=at)
        put(okta, group, [])
        assert selectors.roles_of(person(user)) == frozenset()

    def test_a_role_that_an_administrator_gave_stays(self, okta: Directory, zoe: Subject, at: datetime) -> None:
        rule(okta, zoe, at, Rule("exact", "audit", console_role="auditor"))
        user = okta.user()
        services.assign_role(subject_key="person:ada", role="auditor", actor=zoe.actor, at=at)
        put(okta, okta.group("audit", user), [])
        assert selectors.roles_of(person(user)) == {"auditor"}

    def test_the_last_administrator_stays(self, okta: Directory, at: datetime) -> None:
        identity.person("zoe", roles=("administrator",))
        zoe = Subject.objects.get(key="person:zoe")
        rule(okta, zoe, at, Rule("exact", "admins", console_role="administrator"))
        user = okta.user()
        group = okta.group("admins", user)
        services.withdraw_role(subject_key="person:zoe", role="administrator", actor=zoe.actor, at=at)
        put(okta, group, [])
        assert selectors.roles_of(person(user)) == {"administrator"}

    def test_nobody_but_a_person_gets_anything(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at, Rule("exact", "audit", console_role="auditor"))
        user = okta.user()
        bot = identity.agent("bot", owner=zoe)
        DirectoryUser.objects.update(subject=bot)
        okta.group("audit", user)
        assert bot.console_roles.count() == 0
        set_claimed_groups(provider=okta.provider, subject=bot, names=["audit"], at=at)
        assert bot.console_roles.count() == 0

    def test_only_administrators_write_rules_and_only_good_ones(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        with pytest.raises(NotAnAdministrator):
            rule(okta, identity.person("olga", roles=("operator",)), at)
        for wrong in (
            Rule("like", "x", team="team:shop", team_role="member"),
            Rule("exact", "", team="team:shop", team_role="member"),
            Rule("exact", "x", team="team:gone", team_role="member"),
            Rule("exact", "x", team="team:shop", team_role="boss"),
            Rule("exact", "x", console_role="king"),
            Rule("exact", "x", team="team:shop", team_role="member", console_role="auditor"),
            Rule("exact", "x"),
            Rule("regex", "(a+)+", team="team:shop", team_role="member"),
        ):
            with pytest.raises(InvalidRule):
                rule(okta, zoe, at, wrong)
        assert reading.rules_of(okta.provider) == []


class TestClaims:
    def test_groups_of_a_sign_in_count_and_the_next_sign_in_replaces_them(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        ada = identity.person("ada")
        set_claimed_groups(provider=okta.provider, subject=ada, names=["shop", "other", "", "x" * 300], at=at)
        assert places(shop) == {"person:ada": "member"}
        set_claimed_groups(provider=okta.provider, subject=ada, names=["other"], at=at)
        assert places(shop) == {}

    def test_a_token_that_says_nothing_changes_nothing(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        ada = identity.person("ada")
        set_claimed_groups(provider=okta.provider, subject=ada, names=["shop"], at=at)
        set_claimed_groups(provider=okta.provider, subject=ada, names=None, at=at)
        assert places(shop) == {"person:ada": "member"}

    def test_what_is_pushed_counts_more_than_what_is_claimed(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        ada = identity.person("ada")
        set_claimed_groups(provider=okta.provider, subject=ada, names=["shop"], at=at)
        okta.group("shop")
        assert places(shop) == {}
        assert okta.call("GET", "/Groups").body["totalResults"] == 1, "claimed groups are not shown over SCIM"


class TestBreaker:
    def test_a_sync_that_would_take_from_too_many_waits_and_gains_do_not(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        people, late = crowd(okta, 8), okta.user("late@example.test")
        group = okta.group("shop", *people)
        assert put(okta, group, [late]) == 200
        assert len(places(shop)) == 9
        pending = reading.open_pause(okta.provider)
        assert pending is not None and (pending.cause, pending.people, pending.out_of) == ("sync", 8, 8)
        assert Event.objects.filter(action="identity.mapping.paused").count() == 1
        shown = deciding.try_pending(pending, at=at)
        deciding.confirm(pending_id=pending.pk, shown=deciding.fingerprint(shown.changes), actor=zoe.actor, at=at)
        assert places(shop) == {"person:late": "member"}
        assert reading.open_pause(okta.provider) is None

    def test_many_small_losses_count_like_one_large_one(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        people = crowd(okta, 10)
        group = okta.group("shop", *people)
        for left in range(9, -1, -1):
            put(okta, group, people[:left])
        assert len(places(shop)) == 6, "four went; the fifth would have been more than a fifth"
        assert reading.open_pause(okta.provider) is not None

    def test_a_few_people_are_never_held_up(self, okta: Directory, zoe: Subject, shop: Subject, at: datetime) -> None:
        rule(okta, zoe, at)
        group = okta.group("shop", *crowd(okta, 4))
        put(okta, group, [])
        assert places(shop) == {}

    def test_a_rule_that_would_take_from_too_many_is_not_removed_until_confirmed(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        okta.group("shop", *crowd(okta, 6))
        made = reading.list_rules(okta.provider).get()
        paused = deciding.remove_rule(provider_slug="okta", rule_id=made.pk, actor=zoe.actor, at=at).paused
        assert paused is not None
        assert (len(places(shop)), reading.rules_of(okta.provider)) == (6, [SHOP])
        with pytest.raises(MappingPaused):
            rule(okta, zoe, at, Rule("exact", "x", console_role="auditor"))
        with pytest.raises(MappingMoved):
            deciding.confirm(pending_id=paused.pk, shown="something else", actor=zoe.actor, at=at)
        with pytest.raises(NotAnAdministrator):
            olga = identity.person("olga", roles=("operator",))
            deciding.confirm(pending_id=paused.pk, shown="", actor=olga.actor, at=at)
        deciding.discard(pending_id=paused.pk, actor=zoe.actor, at=at)
        assert (len(places(shop)), reading.rules_of(okta.provider)) == (6, [SHOP])
        with pytest.raises(MappingMoved):
            deciding.discard(pending_id=paused.pk, actor=zoe.actor, at=at)
        assert PendingMapping.objects.get().confirmed is False

    def test_after_ten_minutes_small_losses_are_small_again(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        people = crowd(okta, 10)
        group = okta.group("shop", *people)
        put(okta, group, people[:6])
        losses = okta.provider.mapping_losses
        losses.update(at=losses.first().at - timedelta(minutes=11))
        put(okta, group, people[:3])
        assert len(places(shop)) == 3


class TestDryRun:
    def test_it_says_who_would_gain_and_lose_and_writes_nothing(
        self, okta: Directory, zoe: Subject, shop: Subject, at: datetime
    ) -> None:
        rule(okta, zoe, at)
        okta.group("shop", okta.user())
        okta.group("audit", okta.user("ben@example.test"))
        before = Event.objects.count()
        more = deciding.try_rule(okta.provider, Rule("exact", "audit", console_role="auditor"), at=at)
        assert [(one.person, one.gained_roles, one.loses) for one in more.changes] == [
            ("person:ben", frozenset({"auditor"}), False)
        ]
        less = deciding.try_without(okta.provider, reading.list_rules(okta.provider).get().pk, at=at)
        assert [(one.person, one.lost_teams) for one in less.changes] == [("person:ada", {"team:shop": "member"})]
        assert (Event.objects.count(), places(shop)) == (before, {"person:ada": "member"})
