"""A page about somebody says by whose word they are what they are, and what would end before it ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services
from apps.identity.models import GroupRule, Provider, SignIn, Subject
from tests.factories import access, identity, pages
from tests.identity.scim.caller import Directory

pytestmark = pytest.mark.django_db

Browse = Callable[[Subject], Client]
LEFT = "/settings/who/person:ada/left"
EVERYWHERE = "/settings/who/person:ada/sign-out-everywhere"


def words(answer: object) -> str:
    """What a page says, without its marks."""
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)  # type: ignore[attr-defined]
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def directory(house: pages.House) -> Provider:
    """Okta pushes Ada in a group that makes her a member of payments and an auditor."""
    okta = Provider.objects.get(slug="okta")
    okta.pending_mappings.all().delete()
    identity.login(house.shop.ada, issuer=okta.issuer, sub="00uada")
    sender = Directory(okta, identity.scim_token(okta))
    at = datetime.now(UTC)
    gives = {"exact": {"team": house.shop.payments_team, "team_role": "member"}, "prefix": {"console_role": "auditor"}}
    for match, given in gives.items():
        pattern = "payments-people" if match == "exact" else "payments-"
        GroupRule.objects.create(provider=okta, match=match, pattern=pattern, created_at=at, **given)
    sender.group("payments-people", sender.user())
    return okta


def test_a_person_is_told_by_whose_word_it_is_in_a_team_and_holds_a_role(
    house: pages.House, browse: Browse, directory: Provider
) -> None:
    said = words(browse(house.olga).get("/settings/who/person:ada/"))
    assert "Payments Okta: group is payments-people" in said
    assert "Storefront by hand" in said
    assert "Auditor of this console Okta: group begins with payments-" in said
    assert "In Okta ada@example.test" in said


def test_a_team_names_its_members_its_rules_its_services_and_what_it_holds(
    house: pages.House, browse: Browse, directory: Provider
) -> None:
    at = datetime.now(UTC)
    access.active_grant(house.shop.payments_team, house.shop.ben, routes=("read",), at=at)
    said = words(browse(house.olga).get("/settings/who/team:payments/"))
    assert "Okta whose name is payments-people makes its people members" in said
    assert re.search(r"Ben owner by hand", said)
    assert "Services it owns Payments" in said
    assert "What is open Payments" in said


def test_sign_ins_sessions_and_tokens_are_for_themselves_security_and_administrators(
    house: pages.House, browse: Browse
) -> None:
    path = "/settings/who/person:ada/"
    shown = {
        who.key: "API token" in words(browse(who).get(path)) for who in (house.shop.ada, house.shop.cyd, house.olga)
    }
    assert shown == {"person:ada": True, "person:cyd": True, "person:olga": True}
    assert "API token" not in words(browse(house.shop.ben).get(path))


def test_what_somebody_holds_is_shown_to_those_who_may_see_it(house: pages.House, browse: Browse) -> None:
    path = "/settings/who/person:ada/"
    assert "Ada holds 1 opening" in words(browse(house.shop.cyd).get(path))
    stranger = words(browse(identity.person("zed")).get(path))
    assert "holds" not in stranger
    assert "Nothing that you may see." in stranger


def test_an_agent_shows_its_calls_its_limits_and_its_kill_switch(house: pages.House, browse: Browse) -> None:
    pages.call(house.shop.bot, at=datetime.now(UTC))
    said = words(browse(house.olga).get("/settings/who/agent:release-bot/"))
    assert "Latest calls" in said
    assert "Calls today 0, without a limit" in said
    assert "Kill switch" in said
    assert "Kill switch" not in words(browse(house.shop.ada).get("/settings/who/agent:release-bot/"))


def sign_in(subject: Subject, at: datetime) -> None:
    session = SessionStore()
    session.create()
    services.note_sign_in(subject=subject, way="demo", session_key=str(session.session_key), at=at)


def test_signing_out_everywhere_says_first_what_it_does_and_does_only_that(house: pages.House, browse: Browse) -> None:
    at = datetime.now(UTC)
    sign_in(house.shop.ada, at)
    sign_in(house.shop.ada, at - timedelta(hours=1))
    client = browse(house.shop.cyd)
    said = words(client.get(EVERYWHERE))
    assert "2 sessions end at once. Whoever uses one has to sign in again." in said
    assert "1 API token goes on working." in said
    assert SignIn.objects.filter(subject=house.shop.ada).count() == 2
    assert client.post(EVERYWHERE).status_code == 302
    assert SignIn.objects.filter(subject=house.shop.ada).count() == 0
    house.token.refresh_from_db()
    assert house.token.revoked_at is None


def test_leaving_says_first_what_ends_and_then_ends_it(house: pages.House, browse: Browse) -> None:
    at, ada = datetime.now(UTC), house.shop.ada
    hers = identity.agent("shop-bot", owner=ada)
    identity.api_token(hers, at=at)
    services.set_memberships(team_key="team:storefront", members={"person:ada": "owner"}, actor=SYSTEM, at=at)
    sign_in(ada, at)
    client = browse(house.shop.cyd)
    said = words(client.get(LEFT))
    assert "1 session ends at once." in said
    assert "1 API token is revoked for good." in said
    assert "The agent shop-bot is shut out with them, and its 1 API token is revoked." in said
    assert "Access to Payments ends for good." in said
    assert "Nobody would own Storefront then, so nobody could approve for it." in said
    assert Subject.objects.get(key="person:ada").state == "active"
    answer = client.post(LEFT, {"why": "Her last day."}, follow=True)
    assert "Left. 1 session ended, 2 API tokens revoked" in words(answer)
    assert Subject.objects.get(key="person:ada").state == "suspended"
    event = Event.objects.get(action="identity.subject.suspended", target_id="person:ada")
    assert (event.actor_id, event.after["why"]) == ("person:cyd", "Her last day.")


@pytest.mark.parametrize("key", ["team:payments", "agent:release-bot"])
def test_only_people_leave(house: pages.House, browse: Browse, key: str) -> None:
    assert browse(house.shop.cyd).get(f"/settings/who/{key}/left").status_code == 404


def test_lists_tell_the_suspended_from_the_active(house: pages.House, browse: Browse) -> None:
    services.suspend_subject(key="person:ben", actor=SYSTEM, at=datetime.now(UTC))
    client = browse(house.shop.ada)
    assert "Ben" in words(client.get("/settings/people/?state=suspended"))
    assert "Ben" not in words(client.get("/settings/people/?state=active"))


def test_the_team_list_says_who_owns_each(house: pages.House, browse: Browse) -> None:
    identity.team("orphans")
    said = words(browse(house.shop.ada).get("/settings/teams/"))
    assert re.search(r"Payments .*Ben", said)
    assert re.search(r"Orphans Nobody 0", said)
