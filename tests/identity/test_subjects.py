from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.compiler import graph
from apps.identity import selectors, services
from apps.identity.errors import (
    InvalidMembership,
    InvalidSubject,
    LastAdministrator,
    MayNotSuspend,
    NotAnAdministrator,
    SelfSuspension,
    UnknownSubject,
)
from apps.identity.models import Kind, Membership, Subject, SubjectState
from apps.identity.nearby import read_once
from apps.outbox.models import Message
from tests.factories.identity import AT, agent, person, team, workload

pytestmark = pytest.mark.django_db


def asked_of(subject: Subject) -> int:
    """How many queries it takes to know all that pages ask about somebody, again and again."""
    with CaptureQueriesContext(connection) as asked:
        for _ in range(2):
            selectors.has_role(subject, "operator")
            selectors.teams_of(subject)
            selectors.acting_for(subject)
    return len(asked)


def test_a_marked_subject_is_read_once_and_its_roles_not_at_all_where_they_came_along() -> None:
    storefront = team("storefront")
    olga = person("olga", roles=("operator",), teams=(storefront,))
    cart = workload("cart", team=storefront)
    loose, marked = (Subject.objects.get(pk=olga.pk) for _ in range(2))
    user = services.ensure_user(olga)
    came = type(user).objects.get(pk=user.pk)
    read_once(marked)
    read_once(came.subject, came.held_roles)
    assert (asked_of(loose), asked_of(marked), asked_of(came.subject)) == (8, 2, 1)
    for one in (loose, marked, came.subject):
        assert (selectors.has_role(one, "operator"), selectors.has_role(one, "security")) == (True, False)
        assert [near.key for near in selectors.acting_for(one)] == [olga.key, storefront.key, cart.key]
        assert selectors.roles_of(one) == {"operator"}


def changed_keys() -> list[str]:
    return list(Message.objects.filter(topic="identity.subject.changed").order_by("id").values_list("key", flat=True))


class TestUpsert:
    def test_creates_records_and_announces(self, at: datetime) -> None:
        ada = services.upsert_subject(key="person:ada", name="Ada", email="ada@shop.test", actor=SYSTEM, at=at)
        assert (ada.kind, ada.name, ada.email, ada.state, ada.created_at) == (
            "person",
            "Ada",
            "ada@shop.test",
            "active",
            at,
        )
        event = Event.objects.get()
        assert (event.action, event.target_id, event.at) == ("identity.subject.created", "person:ada", at)
        assert changed_keys() == ["person:ada"]

    def test_the_same_again_does_nothing(self) -> None:
        person("ada")
        person("ada")
        assert Event.objects.count() == 1
        assert changed_keys() == ["person:ada"]

    def test_a_change_is_recorded_with_before_and_after(self, at: datetime) -> None:
        person("ada")
        services.upsert_subject(key="person:ada", name="Ada Lovelace", actor=SYSTEM, at=at)
        event = Event.objects.latest("seq")
        assert (event.before, event.after) == ({"name": "Ada"}, {"name": "Ada Lovelace"})

    def test_a_workload_carries_its_spiffe_id_and_team(self) -> None:
        shop = team("shop")
        payments = workload("payments", team=shop)
        assert payments.key == "workload:spiffe://shop.test/ns/shop/sa/payments"
        assert (payments.spiffe_id, payments.team) == ("spiffe://shop.test/ns/shop/sa/payments", shop)

    @pytest.mark.parametrize(
        "key",
        [
            "ada",
            "person:",
            "person:Ada",
            "person:a b",
            "person:../x",
            "robot:ada",
            "team:" + "x" * 64,
            "workload:payments",
            "workload:spiffe://shop.test",
            "workload:spiffe://shop.test/",
            "workload:spiffe://shop.test/ns//sa",
            "workload:http://shop.test/ns",
            "agent:bot\n",
            "",
        ],
    )
    def test_a_key_must_be_well_formed(self, key: str, at: datetime) -> None:
        with pytest.raises(InvalidSubject) as refused:
            services.upsert_subject(key=key, name="x", owner_key="person:ada", actor=SYSTEM, at=at)
        assert list(refused.value.fields) == ["key"]
        assert Subject.objects.count() == 0

    @pytest.mark.parametrize("owner", [None, "person:nobody", "team:shop"])
    def test_an_agent_needs_a_person_as_owner(self, owner: str | None, at: datetime) -> None:
        team("shop")
        with pytest.raises(InvalidSubject) as refused:
            services.upsert_subject(key="agent:bot", name="bot", owner_key=owner, actor=SYSTEM, at=at)
        assert list(refused.value.fields) == ["owner"]

    def test_an_owning_team_must_exist(self, at: datetime) -> None:
        with pytest.raises(InvalidSubject) as refused:
            services.upsert_subject(
                key="workload:spiffe://shop.test/x", name="x", team_key="team:gone", actor=SYSTEM, at=at
            )
        assert refused.value.fields == {"team": ["There is no team team:gone."]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "robot", "key": "robot:x"},
        {"kind": "person", "key": "team:x"},
        {"kind": "agent", "key": "agent:x"},
        {"kind": "workload", "key": "workload:spiffe://shop.test/x", "spiffe_id": "spiffe://shop.test/y"},
        {"kind": "workload", "key": "workload:spiffe://shop.test/x"},
        {"kind": "person", "key": "person:x", "spiffe_id": "spiffe://shop.test/x"},
        {"kind": "person", "key": "person:x", "state": "gone"},
        {"kind": "person", "key": "person:x", "state": "suspended"},
        {"kind": "person", "key": "person:x", "suspended_at": AT},
    ],
)
def test_the_database_refuses_what_the_service_would(wrong: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Subject.objects.create(name="x", created_at=AT, **wrong)


class TestTeams:
    def test_members_are_replaced_and_the_difference_is_announced(self, at: datetime) -> None:
        ada, ben, cyd = person("ada"), person("ben"), person("cyd")
        shop = team("shop", owners=(ada,), members=(ben,))
        Message.objects.all().delete()
        services.set_memberships(
            team_key=shop.key, members={"person:ada": "owner", "person:cyd": "member"}, actor=SYSTEM, at=at
        )
        assert dict(shop.memberships.values_list("member__key", "role")) == {
            "person:ada": "owner",
            "person:cyd": "member",
        }
        assert changed_keys() == ["team:shop", "person:ben", "person:cyd"]
        event = Event.objects.latest("seq")
        assert event.before == {"members": {"person:ada": "owner", "person:ben": "member"}}
        assert selectors.is_owner(ada, shop)
        assert selectors.is_member(cyd, shop)
        assert not selectors.is_owner(cyd, shop)
        assert not selectors.is_member(ben, shop)

    def test_a_change_of_role_keeps_the_membership(self, at: datetime) -> None:
        ada = person("ada")
        shop = team("shop", members=(ada,))
        before = Membership.objects.get()
        services.set_memberships(team_key=shop.key, members={ada.key: "owner"}, actor=SYSTEM, at=at)
        assert Membership.objects.get().pk == before.pk
        assert selectors.is_owner(ada, shop)

    def test_the_same_again_does_nothing(self) -> None:
        ada = person("ada")
        team("shop", owners=(ada,))
        events = Event.objects.count()
        team("shop", owners=(ada,))
        assert Event.objects.count() == events

    def test_every_bad_member_is_named_and_nothing_changes(self, at: datetime) -> None:
        ada = person("ada")
        other, bot = team("other"), agent("bot", owner=ada)
        shop = team("shop", owners=(ada,))
        wrong = {other.key: "member", bot.key: "owner", "person:nobody": "member", ada.key: "boss"}
        with pytest.raises(InvalidMembership) as refused:
            services.set_memberships(team_key=shop.key, members=wrong, actor=SYSTEM, at=at)
        assert refused.value.fields["members"] == [
            "agent:bot is not a person, and only people own a team.",
            "person:ada cannot be 'boss' of a team.",
            "There is no person:nobody.",
            "team:other is a team, and a team cannot be in a team.",
        ]
        assert selectors.is_owner(ada, shop)

    def test_only_teams_have_members(self, at: datetime) -> None:
        ada, ben = person("ada"), person("ben")
        with pytest.raises(InvalidMembership):
            services.set_memberships(team_key=ada.key, members={ben.key: "member"}, actor=SYSTEM, at=at)


class TestSuspension:
    def test_a_suspended_subject_is_inactive_and_announced(self, at: datetime) -> None:
        ada = person("ada")
        Message.objects.all().delete()
        services.suspend_subject(key=ada.key, actor=SYSTEM, at=at, why="left the company")
        ada.refresh_from_db()
        assert (ada.state, ada.suspended_at, ada.is_active) == (SubjectState.SUSPENDED, at, False)
        assert changed_keys() == ["person:ada"]
        event = Event.objects.latest("seq")
        assert event.action == "identity.subject.suspended"
        assert event.after == {"state": "suspended", "why": "left the company"}

    def test_the_agents_of_a_suspended_owner_go_with_it_and_come_back(self, at: datetime) -> None:
        dan = person("dan")
        bot = agent("bot", owner=dan)
        Message.objects.all().delete()
        services.suspend_subject(key=dan.key, actor=SYSTEM, at=at)
        assert changed_keys() == ["person:dan", "agent:bot"]
        assert not selectors.graph_subjects([bot.key])[bot.key].active
        services.reinstate_subject(key=dan.key, actor=SYSTEM, at=at)
        assert selectors.graph_subjects([bot.key])[bot.key].active

    def test_suspending_twice_is_suspending_once(self, at: datetime) -> None:
        ada = person("ada")
        services.suspend_subject(key=ada.key, actor=SYSTEM, at=at)
        events = Event.objects.count()
        again = services.suspend_subject(key=ada.key, actor=SYSTEM, at=at + timedelta(days=1))
        assert again.suspended_at == at
        assert Event.objects.count() == events

    def test_who_may(self, at: datetime) -> None:
        victim = person("victim")
        for actor in (person("ada"), person("eve", roles=("operator",)), agent("bot", owner=person("dan"))):
            with pytest.raises(MayNotSuspend):
                services.suspend_subject(key=victim.key, actor=actor.actor, at=at)
        victim.refresh_from_db()
        assert victim.is_active
        services.suspend_subject(key=victim.key, actor=person("cyd", roles=("security",)).actor, at=at)
        services.reinstate_subject(key=victim.key, actor=person("zoe", roles=("administrator",)).actor, at=at)
        victim.refresh_from_db()
        assert victim.is_active

    def test_a_suspended_security_person_may_no_longer(self, at: datetime) -> None:
        cyd, victim = person("cyd", roles=("security",)), person("victim")
        services.suspend_subject(key=cyd.key, actor=SYSTEM, at=at)
        with pytest.raises(MayNotSuspend):
            services.suspend_subject(key=victim.key, actor=cyd.actor, at=at)

    def test_nobody_suspends_oneself_and_nobody_a_team(self, at: datetime) -> None:
        cyd = person("cyd", roles=("security",))
        with pytest.raises(SelfSuspension):
            services.suspend_subject(key=cyd.key, actor=cyd.actor, at=at)
        with pytest.raises(InvalidSubject):
            services.suspend_subject(key=team("shop").key, actor=cyd.actor, at=at)
        with pytest.raises(UnknownSubject):
            services.suspend_subject(key="person:nobody", actor=cyd.actor, at=at)


class TestRoles:
    def test_an_administrator_gives_and_takes_roles(self, at: datetime) -> None:
        zoe, ada = person("zoe", roles=("administrator",)), person("ada")
        services.assign_role(subject_key=ada.key, role="security", actor=zoe.actor, at=at)
        assert selectors.has_role(ada, "security")
        assert selectors.roles_of(ada) == {"security"}
        assert list(selectors.list_with_role("security")) == [ada]
        services.withdraw_role(subject_key=ada.key, role="security", actor=zoe.actor, at=at)
        assert selectors.roles_of(ada) == frozenset()

    def test_nobody_else_does(self, at: datetime) -> None:
        cyd = person("cyd", roles=("security", "operator"))
        with pytest.raises(NotAnAdministrator):
            services.assign_role(subject_key=cyd.key, role="administrator", actor=cyd.actor, at=at)
        assert selectors.roles_of(cyd) == {"security", "operator"}

    def test_only_people_hold_roles(self, at: datetime) -> None:
        bot = agent("bot")
        with pytest.raises(InvalidSubject):
            services.assign_role(subject_key=bot.key, role="security", actor=SYSTEM, at=at)
        assert not selectors.has_role(bot, "security")

    def test_the_last_administrator_stays(self, at: datetime) -> None:
        zoe, yan = person("zoe", roles=("administrator",)), person("yan", roles=("administrator",))
        services.withdraw_role(subject_key=yan.key, role="administrator", actor=zoe.actor, at=at)
        with pytest.raises(LastAdministrator):
            services.withdraw_role(subject_key=zoe.key, role="administrator", actor=zoe.actor, at=at)
        assert selectors.has_role(zoe, "administrator")

    def test_a_suspended_administrator_is_no_other_administrator(self, at: datetime) -> None:
        zoe, yan = person("zoe", roles=("administrator",)), person("yan", roles=("administrator",))
        services.suspend_subject(key=yan.key, actor=SYSTEM, at=at)
        with pytest.raises(LastAdministrator):
            services.withdraw_role(subject_key=zoe.key, role="administrator", actor=zoe.actor, at=at)


class TestSelectors:
    def test_a_person_asks_for_itself_its_teams_and_what_they_own(self) -> None:
        ada, dan = person("ada"), person("dan")
        shop, other = team("shop", members=(ada,)), team("other", members=(dan,))
        payments = workload("payments", team=shop)
        workload("elsewhere", team=other)
        mine, theirs = agent("mine", owner=ada), agent("theirs", owner=dan, team=shop)
        agent("foreign", owner=dan)
        assert selectors.acting_for(ada) == [ada, shop, mine, theirs, payments]

    def test_agents_and_workloads_ask_for_themselves_only(self) -> None:
        ada = person("ada")
        bot, payments = agent("bot", owner=ada, team=team("shop", members=(ada,))), workload("payments")
        assert selectors.acting_for(bot) == [bot]
        assert selectors.acting_for(payments) == [payments]

    def test_the_graph_holds_the_named_and_the_members_of_named_teams(self, at: datetime) -> None:
        ada, ben, dan = person("ada"), person("ben"), person("dan")
        shop, other = team("shop", members=(ada, ben)), team("other", members=(ben,))
        services.suspend_subject(key=ada.key, actor=SYSTEM, at=at)
        found = selectors.graph_subjects([shop.key, dan.key, "person:nobody"])
        assert set(found) == {"team:shop", "person:ada", "person:ben", "person:dan"}
        assert found["person:ben"] == graph.Subject(
            id="person:ben",
            kind=graph.SubjectKind.PERSON,
            name="Ben",
            active=True,
            teams=frozenset({shop.key, other.key}),
        )
        assert not found["person:ada"].active

    def test_the_graph_costs_one_query_however_many(self, django_assert_num_queries: object) -> None:
        shop = team("shop", members=tuple(person(f"p{number}") for number in range(20)))
        bots = [agent(f"bot{number}").key for number in range(10)]
        with django_assert_num_queries(1):  # type: ignore[operator]
            selectors.graph_subjects([shop.key, *bots])

    def test_subjects_are_found_by_name_or_key(self) -> None:
        ada = person("ada")
        person("ben")
        assert list(selectors.list_subjects(query="AD")) == [ada]
        assert list(selectors.list_subjects(kind=Kind.TEAM)) == []
        with pytest.raises(UnknownSubject):
            selectors.get_subject("person:nobody")
