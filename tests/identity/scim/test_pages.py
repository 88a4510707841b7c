"""The pages of directories: tokens, groups, rules with a dry run, a pause, the log."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.identity.mapping import deciding, reading
from apps.identity.mapping.rules import Rule
from apps.identity.models import Membership, ScimExchange, Subject
from apps.identity.scim.exchanges import forget_exchanges
from apps.identity.tasks import forget_exchanges as task
from tests.factories import access, identity, pages
from tests.identity.scim.caller import Directory, directory
from tests.reading import words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def okta() -> Directory:
    return directory()


@pytest.fixture
def zoe() -> Subject:
    return identity.person("zoe", roles=("administrator",))


@pytest.fixture
def admin(zoe: Subject) -> Client:
    return pages.signed_in(zoe)


def said(admin: Client, path: str, data: dict[str, str] | None = None) -> str:
    answer = admin.get(path, data or {})
    assert answer.status_code == 200
    return words_of(answer)


def test_a_token_is_made_shown_once_works_and_is_revoked(admin: Client) -> None:
    made = identity.directory("okta")
    shown = admin.post("/settings/directory/okta/").content.decode()
    (plain,) = set(re.findall(r"sps_[\w-]{40,}", shown))
    assert Directory(made, plain).call("GET", "/Users").status == 200
    again = said(admin, "/settings/directory/okta/")
    assert plain not in again
    assert plain[:10] in again
    admin.post(f"/settings/directory/tokens/{made.secrets.get().pk}/revoke")
    assert Directory(made, plain).call("GET", "/Users").status == 401


def test_groups_are_listed_with_how_many_are_in_them(okta: Directory, admin: Client) -> None:
    okta.group("sallyport-shop", okta.user(), okta.user("ben@example.test"))
    row = r"sallyport-shop</b></td><td>Pushed \(SCIM\)</td><td class=.num. data-label=.People.>2<"
    page = said(admin, "/settings/directory/okta/")
    assert re.search(row, page)
    assert "Okta sent 2 users and 1 group" in page
    assert ("ada@example.test" in page, "ben@example.test" in page) == (True, True)
    assert "ben@example.test" not in said(admin, "/settings/directory/okta/", {"q": "ada@"})


def test_a_rule_is_tried_saved_and_removed_with_the_grants_that_hang_on_it(zoe: Subject, at: datetime) -> None:
    shop, okta = access.shop(), directory()
    admin = pages.signed_in(zoe)
    okta.group("checkout", okta.user("gil@example.test"))
    rule = {"match": "exact", "pattern": "checkout", "gives": "team:member", "team": "team:storefront"}
    tried = said(admin, "/settings/directory/okta/rules/", rule)
    assert "gains Storefront (member)" in tried
    assert reading.rules_of(okta.provider) == []
    assert admin.post("/settings/directory/okta/rules/", rule).status_code == 302
    assert Membership.objects.filter(team=shop.storefront, member__key="person:gil").exists()
    access.active_grant(shop.ada, shop.ben, subject=shop.storefront, routes=("read",), at=timezone.now())
    made = reading.list_rules(okta.provider).get()
    path = f"/settings/directory/okta/rules/{made.pk}/remove"
    removal = said(admin, path)
    assert "loses Storefront (member)" in removal
    assert "Access they would no longer have" in removal
    assert admin.post(path).status_code == 302
    assert not Membership.objects.filter(team=shop.storefront, member__key="person:gil").exists()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"match": "regex", "pattern": "(a+)+", "gives": "role:auditor"}, "A group cannot be repeated."),
        ({"match": "exact", "pattern": "x", "gives": "team:member", "team": "team:gone"}, "Choose a team there is"),
        ({"match": "exact", "pattern": "x", "gives": "team:member", "team": ""}, "Choose a team or a console role"),
    ],
)
def test_a_wrong_rule_is_complained_about_in_words(
    okta: Directory, admin: Client, wrong: dict[str, str], complaint: str
) -> None:
    assert complaint in said(admin, "/settings/directory/okta/rules/", wrong)
    answer = admin.post("/settings/directory/okta/rules/", wrong)
    assert (answer.status_code, complaint in answer.content.decode()) == (422, True)


def test_a_pause_is_shown_and_confirmed_as_it_was_shown(
    okta: Directory, admin: Client, zoe: Subject, at: datetime
) -> None:
    shop = identity.team("shop")
    rule = Rule("exact", "shop", team="team:shop", team_role="member")
    deciding.add_rule(provider_slug="okta", rule=rule, actor=zoe.actor, at=at)
    group = okta.group("shop", *[okta.user(f"p{number}@example.test") for number in range(6)])
    okta.call("PUT", f"/Groups/{group['id']}", {**group, "members": []})
    assert shop.memberships.count() == 6
    assert "a change would take something from 6 of 6" in said(admin, "/settings/directory/okta/")
    page = said(admin, "/settings/directory/okta/rules/")
    assert "6 of 6 would lose something" in page
    confirm, shown = re.findall(r'action="([^"]+confirm)".*?name="shown" value="(\w+)"', page, re.DOTALL)[0]
    admin.post(confirm, {"shown": "old"})
    assert shop.memberships.count() == 6
    admin.post(confirm, {"shown": shown})
    assert shop.memberships.count() == 0


def test_the_log_shows_both_sides_without_secrets_for_a_week(okta: Directory, admin: Client) -> None:
    okta.user()
    okta.call("POST", "/Users", b"{")
    assert "POST /scim/v2/Users" in said(admin, "/settings/directory/okta/log/")
    refused = said(admin, "/settings/directory/okta/log/", {"show": "failed"})
    assert refused.count("POST /scim/v2/Users") == 1
    first = ScimExchange.objects.order_by("pk").first()
    assert first is not None
    page = said(admin, f"/settings/directory/log/{first.pk}/")
    assert "ada@example.test" in page
    assert "1mz050nq" not in page
    ScimExchange.objects.filter(pk=first.pk).update(at=timezone.now() - timedelta(days=8))
    assert forget_exchanges(at=timezone.now()) == 1
    task()
    assert ScimExchange.objects.count() == 1
