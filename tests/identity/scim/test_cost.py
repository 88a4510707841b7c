"""What a request costs does not grow with the directory, and a short cut answers what the library would."""

from __future__ import annotations

import gc
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import ListResponse, PatchOp, ResponseParameters, SearchRequest
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.service import ScimService

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.mapping import deciding
from apps.identity.mapping.rules import Rule
from apps.identity.models import DirectoryUser, Group, GroupMember, Membership, ScimExchange
from apps.identity.scim import exchanges
from apps.identity.scim.resources import provider as announced
from apps.identity.scim.storage import OrmStorage
from tests.factories import identity
from tests.identity.scim.caller import ENTERPRISE, USER, Directory, directory, okta_user

pytestmark = pytest.mark.django_db

LOOK_UP, PAGE, CREATE = 3, 3, 31
"""Statements. To look is to know the caller, to find, and to note the exchange."""


@pytest.fixture
def okta() -> Directory:
    return directory()


def statements(okta: Directory, method: str, path: str, body: object = None) -> int:
    okta.call("GET", "/Users?count=0")
    with CaptureQueriesContext(connection) as captured:
        assert okta.call(method, path, body).status < 300
    return len(captured)


def crowd(okta: Directory, many: int, first: int = 0) -> list[dict]:
    return [okta.user(f"p{number}@example.test") for number in range(first, first + many)]


def put_in(okta: Directory, group: dict, users: list[dict]) -> int:
    told = [
        {"op": "replace", "value": {"id": group["id"], "displayName": group["displayName"]}},
        {"op": "add", "path": "members", "value": [{"value": one["id"]} for one in users]},
    ]
    patch = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
    return statements(okta, "PATCH", f"/Groups/{group['id']}", {"schemas": [patch], "Operations": told})


def test_a_look_up_and_a_page_cost_the_same_with_one_user_and_with_thirty(okta: Directory) -> None:
    look, page = "/Users?filter=" + quote('userName eq "P0@example.test"'), "/Users?startIndex=1&count=20"
    crowd(okta, 1)
    assert (statements(okta, "GET", look), statements(okta, "GET", page)) == (LOOK_UP, PAGE)
    crowd(okta, 29, first=1)
    assert (statements(okta, "GET", look), statements(okta, "GET", page)) == (LOOK_UP, PAGE + 1), (
        "a full page is counted"
    )


def test_a_user_costs_the_same_whether_the_first_or_the_thirtieth(okta: Directory) -> None:
    first = statements(okta, "POST", "/Users", okta_user("first@example.test"))
    crowd(okta, 28)
    assert (first, statements(okta, "POST", "/Users", okta_user("last@example.test"))) == (CREATE, CREATE)


def test_a_push_costs_the_same_for_one_member_and_for_thirty_in_a_small_and_a_large_group(
    okta: Directory, at: datetime
) -> None:
    identity.team("shop")
    rule = Rule("prefix", "shop", team="team:shop", team_role="member")
    deciding.add_rule(provider_slug="okta", rule=rule, actor=SYSTEM, at=at)
    users = crowd(okta, 32)
    group = okta.group("shop")
    one = put_in(okta, group, users[:1])
    assert (put_in(okta, group, users[1:31]), put_in(okta, group, users[31:])) == (one, one)
    assert Membership.objects.count() == 32
    applied = Event.objects.filter(action="identity.mapping.applied").values_list("target_id", flat=True)
    assert sorted(applied) == sorted(f"person:p{number}" for number in range(32)), "each has a record of their own"
    assert put_in(okta, group, users) < one, "who is there already is not written again"


def test_no_model_is_built_for_a_request(okta: Directory) -> None:
    """pydantic forgets what nobody holds: built once, they were built again for every other request."""
    generics = (ListResponse, PatchOp, ResponseParameters, SearchRequest)
    ada = okta.user()
    gc.collect()
    gc.disable()
    try:
        before = [len(one.__subclasses__()) for one in generics]
        okta.call("GET", "/Users?filter=" + quote('userName eq "ada@example.test"'))
        okta.call("GET", "/?attributes=id")
        okta.patch(f"/Users/{ada['id']}", {"op": "replace", "value": {"title": "Countess"}})
        assert [len(one.__subclasses__()) for one in generics] == before
    finally:
        gc.enable()


def test_names_are_found_by_an_index_whatever_their_case(okta: Directory) -> None:
    user = DirectoryUser.objects.filter(provider=okta.provider, user_name_key="ada@example.test")
    group = Group.objects.filter(provider=okta.provider, name__iexact="Shop")
    external = Group.objects.filter(provider=okta.provider, external_id="7")
    fill(okta)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE identity_directoryuser, identity_group")
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "identity_directoryuser_name_once" in user.explain()
        assert "identity_group_any_case" in group.explain()
        assert "identity_group_external" in external.explain()


def fill(okta: Directory) -> None:
    """So many that the planner has a choice."""
    told = {"provider": okta.provider, "created_at": okta.provider.created_at, "updated_at": okta.provider.created_at}
    names = [f"n{number}" for number in range(2000)]
    DirectoryUser.objects.bulk_create(
        DirectoryUser(**told, scim_id=uuid4(), user_name=name, user_name_key=name, external_id=name) for name in names
    )
    Group.objects.bulk_create(
        Group(**told, scim_id=uuid4(), origin="scim", name=name, external_id=name) for name in names
    )


def test_pages_stay_what_they_are_while_users_come(okta: Directory) -> None:
    there = [one["id"] for one in crowd(okta, 4)]
    first = okta.call("GET", "/Users?startIndex=1&count=2").body
    okta.user("aaa@example.test")
    second = okta.call("GET", "/Users?startIndex=3&count=2").body
    assert [one["id"] for one in first["Resources"] + second["Resources"]] == there
    assert (first["totalResults"], second["totalResults"]) == (4, 5)


def test_the_log_is_bounded_for_each_directory(okta: Directory, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MOST", 3)
    entra = directory("entra")
    for _ in range(5):
        okta.call("GET", "/Users")
    entra.call("GET", "/Users")
    newest = list(ScimExchange.objects.filter(provider=okta.provider).order_by("-pk").values_list("pk", flat=True))
    assert exchanges.forget_exchanges(at=at) == 2
    assert (
        list(ScimExchange.objects.filter(provider=okta.provider).order_by("-pk").values_list("pk", flat=True))
        == (newest[:3])
    )
    assert ScimExchange.objects.filter(provider=entra.provider).count() == 1


EVERYTHING = {
    "schemas": [USER, ENTERPRISE],
    "userName": "Ada@example.test",
    "externalId": "00uada",
    "name": {"givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada, Countess of Lovelace"},
    "displayName": "Ada",
    "nickName": "",
    "profileUrl": "https://example.test/ada",
    "title": "Countess",
    "userType": "Employee",
    "preferredLanguage": "en",
    "locale": "en-GB",
    "timezone": "Europe/London",
    "active": True,
    "password": "1mz050nq",
    "emails": [{"value": "ada@example.test", "type": "work", "primary": True}, {"value": "a@b.test", "display": "B"}],
    "phoneNumbers": [{"value": "+44 1", "type": "work"}],
    "ims": [],
    "photos": [{"value": "https://example.test/ada.png", "type": "photo"}],
    "addresses": [{"streetAddress": "1 St James's Square", "country": "GB", "type": "work", "primary": False}],
    "entitlements": [{"value": "all"}],
    "roles": [{"value": "analyst", "primary": True}],
    "x509Certificates": [{"value": "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVMx"}],
    ENTERPRISE: {"department": "Engines", "employeeNumber": "1", "manager": {"value": "26", "$ref": "Users/26"}},
}


@pytest.mark.parametrize(
    "path",
    [
        "/Users",
        "/Users/{ada}",
        "/Users?startIndex=2&count=1",
        "/Users?startIndex=9",
        "/Users?count=0",
        '/Users?filter=userName eq "ADA@example.test"',
        '/Users?filter=title eq "Countess"',
        '/Users?filter=userName eq "nobody"',
        "/Groups",
        "/Groups/{shop}",
        '/Groups?filter=displayName eq "SHOP"',
        '/Groups?filter=members eq "{ada}" or displayName eq "shop"',
        "/",
        "/?startIndex=2&count=2",
    ],
)
def test_a_short_cut_answers_what_the_library_answers(okta: Directory, path: str, at: datetime) -> None:
    ada, ben = okta.call("POST", "/Users", EVERYTHING).body, okta.user("ben@example.test")
    shop = okta.group("shop", ada, ben)
    okta.call(
        "PUT", f"/Groups/{shop['id']}", {**shop, "externalId": "7", "members": [*shop["members"], {"value": "x"}]}
    )
    okta.group("empty")
    path = path.format(ada=ada["id"], shop=shop["id"])
    ours = okta.call("GET", path)
    bare, _, rest = path.partition("?")
    query = dict(part.split("=", 1) for part in rest.split("&") if part)
    theirs = ScimHandler(ScimService(announced()), OrmStorage(okta.provider, at=at, writes=False)).handle(
        ScimRequest(method="GET", base_url=address(ours.body), path=bare, query=query)
    )
    expected = json.loads(json.dumps(theirs.body))
    if "totalResults" in expected:
        expected.setdefault("Resources", [])
    assert ours.body == expected
    assert {name: ours.headers.get(name) for name in theirs.headers} == theirs.headers


def address(body: dict[str, Any]) -> str:
    """Ours, as it is in the answer."""
    some = body.get("meta") or next((one["meta"] for one in body.get("Resources", [])), {"location": "/"})
    return str(some["location"]).rsplit("/", 2)[0]


MEMBERS = st.lists(st.sampled_from(["p0", "p1", "p2", "p3", "nobody"]), max_size=4, unique=True)
OPERATIONS = st.lists(
    st.one_of(
        st.builds(lambda who: {"op": "add", "path": "members", "value": who}, MEMBERS),
        st.builds(lambda who: {"op": "replace", "path": "members", "value": who}, MEMBERS),
        st.builds(lambda who: {"op": "replace", "value": {"displayName": "b", "members": who}}, MEMBERS),
        st.builds(lambda who: {"op": "remove", "path": "members", "value": who}, MEMBERS),
        st.builds(lambda who: {"op": "Remove", "path": f'members[value eq "{who}"]'}, st.sampled_from(["p0", "p2"])),
        st.just({"op": "remove", "path": "members"}),
        st.just({"op": "replace", "path": "displayName", "value": "a"}),
        st.just({"op": "add", "value": {"externalId": "7"}}),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, there=MEMBERS)
def test_a_push_does_what_the_library_would_do(
    okta: Directory, at: datetime, operations: list[dict[str, Any]], there: list[str]
) -> None:
    with transaction.atomic():
        ids = {f"p{number}": one["id"] for number, one in enumerate(crowd(okta, 4))} | {"nobody": "nobody"}
        ours, theirs = (okta.group("shop", *({"id": ids[who], "userName": who} for who in there)) for _ in range(2))
        told = [spelled(one, ids) for one in operations]
        answer = okta.patch(f"/Groups/{ours['id']}", *told)
        request = ScimRequest(
            method="PATCH",
            base_url="https://example.test",
            path=f"/Groups/{theirs['id']}",
            headers={"Content-Type": "application/scim+json"},
            body=json.dumps(
                {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": told}
            ).encode(),
        )
        handled = ScimHandler(ScimService(announced()), OrmStorage(okta.provider, at=at)).handle(request)
        assert (answer.status, int(handled.status)) == (200, 204)
        assert kept(ours["id"]) == kept(theirs["id"])
        transaction.set_rollback(True)


def spelled(operation: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    def members(who: list[str]) -> list[dict[str, str]]:
        return [{"value": ids[one]} for one in who]

    value, path = operation.get("value"), operation.get("path", "")
    if isinstance(value, list):
        return {**operation, "value": members(value)}
    if isinstance(value, dict) and "members" in value:
        return {**operation, "value": {**value, "members": members(value["members"])}}
    for name, scim_id in ids.items():
        path = path.replace(f'"{name}"', f'"{scim_id}"')
    return {**operation, "path": path} if path else operation


def kept(group: str) -> tuple[str, str, set[str], set[str]]:
    row = Group.objects.get(scim_id=group)
    names = GroupMember.objects.filter(group=row).values_list("entry__user_name", flat=True)
    return row.name, row.external_id, set(names), set(row.unknown_members)
