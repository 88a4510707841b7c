"""What happens to grants when a subject below them changes. Each is run twice: messages may come again."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.access import handlers, services
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.identity import services as people
from apps.identity.models import Subject
from apps.outbox.models import Message
from apps.outbox.registry import News
from tests.factories.access import active_grant, pending_grant, shop

pytestmark = pytest.mark.django_db


def told_twice(subject: Subject, at: datetime) -> None:
    for _ in range(2):
        handlers.subjects_changed(news=[News(subject.key, {})], at=at)


def changed(grant: Grant) -> int:
    return Message.objects.filter(topic="access.grant.changed", key=grant.public_id).count()


def test_a_suspension_ends_what_was_held_for_a_time(at: datetime) -> None:
    there = shop()
    active, pending = active_grant(there.ada, there.ben), pending_grant(there.ada, there.ben, routes=("list",))
    people.suspend_subject(key=there.ada.key, actor=SYSTEM, at=at)
    told_twice(there.ada, at)
    for grant in (active, pending):
        grant.refresh_from_db()
        assert (grant.state, grant.ended_at, grant.ended_by) == ("revoked", at, None)
        assert grant.end_reason == "The holder was suspended."
    assert (changed(active), changed(pending)) == (3, 2)


def test_what_ended_stays_ended_when_the_person_comes_back(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben)
    people.suspend_subject(key=there.ada.key, actor=SYSTEM, at=at)
    told_twice(there.ada, at)
    people.reinstate_subject(key=there.ada.key, actor=SYSTEM, at=at)
    told_twice(there.ada, at)
    grant.refresh_from_db()
    assert grant.state == "revoked"


def test_suspending_its_owner_ends_what_an_agent_holds(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.bot, there.ben)
    people.suspend_subject(key=there.dan.key, actor=SYSTEM, at=at)
    assert Message.objects.filter(topic="identity.subject.changed", key=there.bot.key).exists()
    told_twice(there.bot, at)
    grant.refresh_from_db()
    assert grant.state == "revoked"


def test_standing_access_stays_and_is_compiled_again(at: datetime) -> None:
    there = shop()
    grant = services.create_standing_grant(
        actor=SYSTEM, subject_key=there.cart.key, service_slug="payments", route_keys=["list"], at=at
    )
    people.suspend_subject(key=there.cart.key, actor=SYSTEM, at=at)
    told_twice(there.cart, at)
    grant.refresh_from_db()
    assert (grant.state, changed(grant)) == ("pending", 3)


def test_a_teams_access_outlives_a_suspended_member_and_is_compiled_again(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben, subject=there.storefront)
    before = changed(grant)
    people.suspend_subject(key=there.ada.key, actor=SYSTEM, at=at)
    told_twice(there.ada, at)
    grant.refresh_from_db()
    assert (grant.state, changed(grant)) == ("active", before + 2)


def test_a_team_that_changed_has_its_grants_compiled_again(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben, subject=there.storefront)
    before = changed(grant)
    handlers.subjects_changed(news=[News(there.storefront.key, {})], at=at)
    assert changed(grant) == before + 1


def test_guardrails_that_name_the_subject_are_compiled_again(at: datetime) -> None:
    there = shop()
    values = services.GuardrailValues(sentence="Not them.", subjects=(there.storefront.key,), services=("payments",))
    services.set_guardrail(slug="not-them", values=values, actor=SYSTEM, at=at)
    handlers.subjects_changed(news=[News(there.storefront.key, {})], at=at)
    told = Message.objects.filter(topic="access.guardrail.changed", key="not-them").order_by("pk")
    assert [message.payload for message in told] == [{"services": ["payments"]}] * 2


def test_what_is_over_and_who_is_unknown_change_nothing(at: datetime) -> None:
    there = shop()
    grant = active_grant(there.ada, there.ben)
    services.end_grant(public_id=grant.public_id, actor=there.ada, at=at)
    before = Message.objects.count()
    told_twice(there.ada, at)
    handlers.subjects_changed(news=[News("person:nobody", {})], at=at)
    assert Message.objects.count() == before
