"""Okta's published SPEC suite for SCIM servers, request by request."""

from __future__ import annotations

import pytest

from tests.identity.scim.caller import ERROR, LIST, Directory, directory, okta_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def okta() -> Directory:
    made = directory()
    made.user("seeded@example.test")
    return made


def complete(user: dict) -> bool:
    return bool(
        user["id"]
        and user["name"]["familyName"]
        and user["name"]["givenName"]
        and user["userName"]
        and user["active"] is True
        and user["emails"][0]["value"]
    )


def test_1_the_first_user_is_listed_whole_with_whole_numbers(okta: Directory) -> None:
    answer = okta.call("GET", "/Users?count=1&startIndex=1")
    assert (answer.status, answer.body["schemas"]) == (200, [LIST])
    numbers = [answer.body[name] for name in ("itemsPerPage", "startIndex", "totalResults")]
    assert numbers == [1, 1, 1] and all(type(one) is int for one in numbers)
    assert complete(answer.body["Resources"][0])


def test_2_a_user_is_read_by_its_id(okta: Directory) -> None:
    first = okta.call("GET", "/Users?count=1&startIndex=1").body["Resources"][0]
    answer = okta.call("GET", f"/Users/{first['id']}")
    assert answer.status == 200
    assert complete(answer.body)
    assert answer.body["id"] == first["id"]


def test_3_an_unknown_user_name_is_an_empty_list(okta: Directory) -> None:
    answer = okta.call("GET", "/Users?filter=userName%20eq%20%22nobody%40example.test%22")
    assert (answer.status, answer.body["schemas"], answer.body["totalResults"]) == (200, [LIST], 0)


@pytest.mark.parametrize("unknown", ["00919288221112222", "6a2f6b3e-2d7c-4c4c-9a53-0f2f8d3f7a11"])
def test_4_an_unknown_id_is_an_error_in_scims_words(okta: Directory, unknown: str) -> None:
    answer = okta.call("GET", f"/Users/{unknown}")
    assert (answer.status, answer.body["schemas"], answer.body["status"]) == (404, [ERROR], "404")
    assert answer.body["detail"]


def test_5_to_8_a_user_is_created_read_back_not_twice_and_found_in_capitals(okta: Directory) -> None:
    sent = okta_user("grace@example.test")
    created = okta.call("POST", "/Users", sent)
    assert created.status == 201
    assert created.body["active"] is True
    assert (created.body["userName"], created.body["name"]) == (sent["userName"], sent["name"])
    assert created.headers["Location"].endswith(f"/scim/v2/Users/{created.body['id']}")
    again = okta.call("GET", f"/Users/{created.body['id']}")
    assert (again.status, again.body) == (200, created.body)
    assert okta.call("POST", "/Users", sent).status == 409
    found = okta.call("GET", "/Users?filter=userName%20eq%20%22GRACE%40EXAMPLE.TEST%22")
    assert (found.status, found.body["totalResults"]) == (200, 1)


def test_9_groups_are_listed(okta: Directory) -> None:
    answer = okta.call("GET", "/Groups")
    assert (answer.status, answer.body["totalResults"]) == (200, 0)
    assert answer.body["Resources"] == []


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Basic c2FsbHk6cG9ydA==", ""])
def test_10_a_bad_token_is_an_error_in_scims_words(okta: Directory, authorization: str) -> None:
    answer = okta.call("GET", "/Users", Authorization=authorization)
    assert (answer.status, answer.body["schemas"], answer.body["status"]) == (401, [ERROR], "401")
    assert answer.body["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="SCIM"'


def test_a_password_is_never_kept_nor_given_back(okta: Directory) -> None:
    made = okta.user("grace@example.test")
    assert "password" not in made
    assert okta.provider.directory_users.get(scim_id=made["id"]).document.keys() == {
        "name",
        "displayName",
        "locale",
        "active",
        "emails",
        "userName",
        "externalId",
    }
