"""Whatever is sent to /oauth/token, the answer is a typed one and never a fault of ours."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from apps.audit.actors import SYSTEM
from apps.identity.proofs import bindings
from apps.identity.proofs.bindings import Outside
from apps.trust.tokens.words import ACCESS_TOKEN, AWS_STS, CLIENT_CREDENTIALS, GRANT_TYPE, JWT, JWT_BEARER, SESSION
from tests.factories.identity import AT, agent, api_token, person
from tests.identity.proofs.aws import BODY, FORM, HOST, REGION, SERVER_ID, pack
from tests.identity.proofs.test_client_assertions import KEY, assertion

pytestmark = pytest.mark.django_db

FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ERRORS = {
    "invalid_request",
    "invalid_grant",
    "invalid_client",
    "invalid_scope",
    "invalid_target",
    "unsupported_grant_type",
    "temporarily_unavailable",
}


def posted(body: bytes | str, kind: str = FORM) -> tuple[int, dict[str, Any]]:
    """Sent as it is: the test client's ``post`` would put it into the charset first."""
    answer = Client(raise_request_exception=False).generic("POST", "/oauth/token", body, content_type=kind)
    found = answer.json()
    assert answer.status_code < 500
    assert answer["Cache-Control"] == "no-store"
    if answer.status_code != 200:
        assert set(found) == {"error", "error_description"}
        assert found["error"] in ERRORS
        assert all(" " <= letter <= "~" and letter not in '"\\' for letter in found["error_description"])
    return answer.status_code, found


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "iss": st.sampled_from(["https://token.actions.githubusercontent.com", SERVER_ID]) | ODD,
        "sub": st.just("x") | ODD,
        "aud": st.sampled_from([SERVER_ID, [SERVER_ID]]) | ODD,
        "iat": st.just(1_772_442_000) | ODD,
        "exp": st.just(9_999_999_999) | ODD,
        "jti": ODD,
    },
)
HEADER = st.fixed_dictionaries(
    {},
    optional={"alg": st.sampled_from(["RS256", "ES256", "none", "HS256"]) | ODD, "kid": ODD, "typ": ODD, "crit": ODD},
)
TOKENS = st.builds(
    lambda head, claims, end: f"{encoded(head)}.{encoded(claims)}.{end}", HEADER, CLAIMS, st.text("ab_-")
)
HEADERS = st.dictionaries(
    st.sampled_from(["Host", "Authorization", "Content-Type", "X-Amz-Date", "X-Sallyport-Server-Id", "X-A", "host"])
    | st.text(max_size=8),
    st.sampled_from([HOST, FORM, SERVER_ID, "20260302T090000Z", f"AWS4-HMAC-SHA256 Credential=A/{REGION}"]) | ODD,
    max_size=6,
)
SIGNED = st.fixed_dictionaries(
    {
        "method": st.just("POST") | ODD,
        "url": st.sampled_from([f"https://{HOST}/", "https://["]) | ODD,
        "body": st.sampled_from([BODY, "Action"]) | ODD,
        "headers": HEADERS | ODD,
    }
).map(pack)
FORMS = st.fixed_dictionaries(
    {"grant_type": st.sampled_from([GRANT_TYPE, CLIENT_CREDENTIALS]) | st.text(max_size=9)},
    optional={
        "subject_token_type": st.sampled_from([ACCESS_TOKEN, JWT, SESSION, AWS_STS]) | st.text(max_size=9),
        "subject_token": TOKENS | SIGNED | st.text(max_size=40),
        "client_assertion_type": st.just(JWT_BEARER) | st.text(max_size=9),
        "client_assertion": TOKENS | st.text(max_size=40),
        "client_id": st.text(max_size=9),
        "audience": st.sampled_from(["sallyport-edge", "x"]),
        "actor_token": TOKENS | st.text(max_size=9),
        "actor_token_type": st.sampled_from([ACCESS_TOKEN, JWT, SESSION, AWS_STS]) | st.text(max_size=9),
        "requested_token_type": st.sampled_from([ACCESS_TOKEN, JWT, "x"]),
    },
)


@FEW
@given(form=FORMS)
def test_odd_forms_are_answered(keys: None, settings: Settings, form: dict[str, str]) -> None:
    settings.SALLYPORT_AWS_REGIONS = [REGION]
    settings.SALLYPORT_AWS_STS_URL = "http://127.0.0.1:9"
    assert posted(urlencode({name: text.encode("utf-8", "replace") for name, text in form.items()}))[0] != 200


@FEW
@given(token=TOKENS)
def test_odd_tokens_are_answered(keys: None, token: str) -> None:
    form = {"grant_type": GRANT_TYPE, "subject_token_type": JWT, "subject_token": token}
    assert posted(urlencode(form)) == (400, posted(urlencode(form))[1])


@FEW
@given(token=SIGNED)
def test_odd_signed_requests_are_answered(keys: None, settings: Settings, token: str) -> None:
    settings.SALLYPORT_AWS_REGIONS = [REGION]
    form = {"grant_type": GRANT_TYPE, "subject_token_type": AWS_STS, "subject_token": token}
    assert posted(urlencode(form))[1]["error"] == "invalid_grant"


@FEW
@given(header=HEADER, claims=CLAIMS)
def test_odd_assertions_of_a_known_client_are_answered(
    keys: None, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = f"{encoded(header)}.{encoded({**claims, 'iss': 'sc_known'})}.AAAA"
    form = {"grant_type": CLIENT_CREDENTIALS, "client_assertion_type": JWT_BEARER, "client_assertion": token}
    assert posted(urlencode(form)) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "The client assertion does not verify for any client here.",
        },
    )


@FEW
@given(claims=CLAIMS)
def test_odd_claims_that_are_truly_signed_are_answered(keys: None, claims: dict[str, Any]) -> None:
    bot = agent()
    found = bindings.list_bindings(bot)
    jwks = {"keys": [KEY.as_dict(private=False)]}
    one = (
        found[0]
        if found
        else bindings.bind(subject_key=bot.key, outside=Outside(kind="key", jwks=jwks), actor=SYSTEM, at=AT)
    )
    changed = {name: value for name, value in claims.items() if name != "iss"}
    token = assertion(one.client_id, **changed)
    form = {"grant_type": CLIENT_CREDENTIALS, "client_assertion_type": JWT_BEARER, "client_assertion": token}
    assert posted(urlencode(form))[0] in (200, 400, 401)


@FEW
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from(
        [FORM, f"{FORM}; charset=utf-16", f"{FORM}; charset=\xff", "multipart/form-data; boundary=x", "text/plain", ""]
    ),
)
def test_odd_bodies_are_answered(keys: None, body: bytes, kind: str) -> None:
    assert posted(body, kind)[0] == 400


def test_a_large_form_is_refused_before_it_is_read(keys: None) -> None:
    status, body = posted("subject_token=" + "x" * 70_000)
    assert (status, body["error"]) == (413, "invalid_request")


def test_a_deep_token_is_refused(keys: None) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    for token in (f"{deep}.{encoded({'iss': 'x'})}.AA", f"{encoded({})}.{deep}.AA"):
        form = {"grant_type": GRANT_TYPE, "subject_token_type": JWT, "subject_token": token}
        assert posted(urlencode(form))[0] == 400


def test_a_parameter_is_sent_once(keys: None) -> None:
    _, plain = api_token(person())
    good = [("grant_type", GRANT_TYPE), ("subject_token_type", ACCESS_TOKEN), ("subject_token", plain)]
    assert posted(urlencode(good))[0] == 200
    status, body = posted(urlencode([*good, ("audience", "sallyport-edge"), ("audience", "sallyport-edge")]))
    assert (status, body["error_description"]) == (400, "Sent more than once, or as a file: audience.")


def test_too_many_fields_are_refused(keys: None) -> None:
    assert posted("&".join(f"a{n}=1" for n in range(1500)))[0] == 400


def test_tokens_are_given_at_a_rate(keys: None, settings: Settings) -> None:
    settings.SALLYPORT_TOKENS_PER_MINUTE = 1
    _, plain = api_token(person())
    form = urlencode({"grant_type": GRANT_TYPE, "subject_token_type": ACCESS_TOKEN, "subject_token": plain})
    answers = [Client().post("/oauth/token", form, content_type=FORM) for _ in range(3)]
    late = answers[-1]
    assert (late.status_code, late.json()["error"]) == (429, "temporarily_unavailable")
    assert 0 < int(late["Retry-After"]) <= 60
