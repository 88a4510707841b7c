from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.test import Client
from joserfc import jwt
from joserfc.jwk import KeySet

from apps.audit.actors import SYSTEM
from apps.identity import services as identity
from apps.trust import services
from apps.trust.models import TokenCount
from apps.trust.token_api import ACCESS_TOKEN, GRANT_TYPE, SESSION
from tests.factories.identity import agent, api_token, person, user

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def keys() -> None:
    services.ensure_keys(at=NOW)


def exchange(client: Client, token: str = "", **changed: str) -> tuple[int, dict[str, object]]:
    form = {"grant_type": GRANT_TYPE, "subject_token": token, "subject_token_type": ACCESS_TOKEN, **changed}
    answer = client.post("/oauth/token", {name: value for name, value in form.items() if value})
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.json()


def claims(client: Client, token: object) -> dict[str, object]:
    found = jwt.decode(
        str(token), KeySet.import_key_set(client.get("/.well-known/jwks.json").json()), algorithms=["ES256"]
    )
    assert found.header["typ"] == "at+jwt"
    return found.claims


def test_an_api_token_becomes_a_five_minute_edge_token(client: Client) -> None:
    row, plain = api_token(agent())
    status, body = exchange(client, plain)
    assert (status, body["token_type"], body["expires_in"], body["issued_token_type"]) == (
        200,
        "Bearer",
        300,
        ACCESS_TOKEN,
    )
    found = claims(client, body["access_token"])
    assert (found["iss"], found["aud"], found["sub"]) == (settings.SALLYPORT_URL, "sallyport-edge", "agent:release-bot")
    assert int(str(found["exp"])) - int(str(found["iat"])) == 300
    assert found["client_id"] == f"token:{row.prefix}"


def test_two_tokens_differ_and_are_counted(client: Client) -> None:
    _, plain = api_token(person())
    first, second = exchange(client, plain)[1], exchange(client, plain)[1]
    assert first["access_token"] != second["access_token"]
    assert TokenCount.objects.get().issued == 2


def test_a_token_without_the_scope_is_refused(client: Client) -> None:
    _, plain = api_token(person(), scopes=("read",))
    assert exchange(client, plain) == (
        400,
        {
            "error": "invalid_scope",
            "error_description": "This API token may not get edge tokens: it lacks the scope 'edge'.",
        },
    )


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token": "sp_nonsense"}, "invalid_grant"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"audience": "elsewhere"}, "invalid_target"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"actor_token_type": "x"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
    ],
)
def test_what_is_not_right_is_named(client: Client, changed: dict[str, str], error: str) -> None:
    _, plain = api_token(person())
    status, body = exchange(client, **{"token": plain, **changed} if "subject_token" not in changed else changed)
    assert (status, body["error"]) == (400, error)
    assert TokenCount.objects.count() == 0


def test_a_suspended_subject_gets_none(client: Client) -> None:
    ada = person()
    _, plain = api_token(ada)
    identity.suspend_subject(key=ada.key, actor=SYSTEM, at=NOW)
    status, body = exchange(client, plain)
    assert (status, body["error"]) == (400, "invalid_grant")


def test_an_agent_of_a_suspended_owner_gets_none(client: Client) -> None:
    dan = person("dan")
    _, plain = api_token(agent(owner=dan))
    identity.suspend_subject(key=dan.key, actor=SYSTEM, at=NOW)
    assert exchange(client, plain)[1]["error"] == "invalid_grant"


def test_a_session_with_the_csrf_header_gets_one() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user(person()))
    browser.cookies["csrftoken"] = "a" * 32
    answer = browser.post(
        "/oauth/token",
        {"grant_type": GRANT_TYPE, "subject_token_type": SESSION},
        headers={"X-CSRFToken": "a" * 32, "Origin": "http://testserver"},
    )
    assert answer.status_code == 200
    assert claims(browser, answer.json()["access_token"])["sub"] == "person:ada"


def test_a_session_without_the_csrf_header_gets_none() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user(person()))
    answer = browser.post("/oauth/token", {"grant_type": GRANT_TYPE, "subject_token_type": SESSION})
    assert (answer.status_code, answer.json()["error"]) == (403, "invalid_request")


def test_nobody_signed_in_gets_none(client: Client) -> None:
    assert exchange(client, subject_token_type=SESSION)[1]["error"] == "invalid_grant"


def test_a_team_never_acts() -> None:
    with pytest.raises(services.SubjectSuspended):
        services.sign_edge_token(subject="team:storefront", client_id="test", at=NOW)


def test_the_metadata_names_the_endpoint(client: Client) -> None:
    found = client.get("/.well-known/oauth-authorization-server").json()
    assert found["issuer"] == settings.SALLYPORT_URL
    assert found["token_endpoint"] == f"{settings.SALLYPORT_URL}/oauth/token"
    assert found["grant_types_supported"] == [GRANT_TYPE, "client_credentials"]
    assert found["token_endpoint_auth_methods_supported"] == ["none", "private_key_jwt"]


def test_get_is_refused(client: Client) -> None:
    assert client.get("/oauth/token").status_code == 405
