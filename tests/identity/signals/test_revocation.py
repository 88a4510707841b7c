"""Universal Logout: signed for us, once, and about somebody we know by issuer and subject."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from django.test import Client

from apps.identity.models import ReceivedSignal, Subject
from tests.factories import identity
from tests.identity.providers.provider import rsa_key
from tests.identity.signals.world import REVOKE, World, is_in, recorded, signed_in

pytestmark = pytest.mark.django_db


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.content)["code"]


def test_it_signs_out_everywhere_at_once_and_suspends_nobody(there: World) -> None:
    browser, (token, plain) = signed_in(there.ada), identity.api_token(there.ada)
    other = signed_in(identity.person("ben"))
    answer = there.revoke()
    assert (answer.status_code, answer.content) == (204, b"")
    assert (is_in(browser), is_in(other)) == (False, True)
    token.refresh_from_db()
    there.ada.refresh_from_db()
    assert (token.revoked_at is None, there.ada.state) == (False, "active")
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 401
    signal = there.signal()
    assert (signal.channel, signal.outcome, signal.sessions, signal.tokens) == ("revocation", "signed_out", 1, 1)
    assert recorded("identity.session.ended") + recorded("identity.api_token.all") == [
        "identity.session.ended",
        "identity.api_token.all_revoked",
    ]


def test_an_agent_keeps_its_tokens_because_its_owner_is_still_here(there: World) -> None:
    _, plain = identity.api_token(identity.agent("bot", owner=there.ada))
    assert there.revoke().status_code == 204
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 200


def test_a_second_one_with_nothing_left_to_end_succeeds(there: World) -> None:
    assert [there.revoke().status_code, there.revoke().status_code] == [204, 204]
    assert ReceivedSignal.objects.count() == 2


def test_a_token_is_good_once(there: World) -> None:
    token = there.revocation_token()
    assert there.revoke(token=token).status_code == 204
    browser = signed_in(there.ada)
    assert code(there.revoke(token=token)) == (401, "signal_replayed")
    assert is_in(browser)


def test_a_malformed_body_does_not_use_it_up(there: World) -> None:
    token = there.revocation_token()
    assert code(there.revoke(b"{}", token=token)) == (400, "bad_signal")
    assert there.revoke(token=token).status_code == 204


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.test/revoke"},
        {"aud": None},
        {"aud": f"http://127.0.0.1:8000{REVOKE}/"},
        {"iss": "https://elsewhere.test"},
        {"sub": "another-client"},
        {"sub": "00u1"},
        {"sub": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"exp": None},
        {"exp": int(time.time()) - 120},
        {"iat": None},
        {"iat": int(time.time()) - 1200},
        {"nbf": int(time.time()) + 600},
    ],
)
def test_a_token_that_is_wrong_in_one_thing_is_not_believed(there: World, claims: dict[str, Any]) -> None:
    browser = signed_in(there.ada)
    assert code(there.revoke(**claims)) == (401, "unknown_sender")
    assert is_in(browser)
    assert ReceivedSignal.objects.count() == 0


def test_nor_one_of_another_type_or_signed_by_somebody_else(there: World) -> None:
    claims = json.loads(_payload(there.revocation_token()))
    forged = [
        there.sign("JWT", claims),
        there.sign("logout+jwt", claims),
        there.sign("secevent+jwt", claims),
        there.sign("global-token-revocation+jwt", claims, kid="k9"),
        "",
        "a.b.c",
        "sph_abc",
        there.secret,
        there.revocation_token()[:-4] + "AAAA",
        there.revocation_token() + "=",
    ]
    own, there.directory.key = there.directory.key, rsa_key("k1")
    forged.append(there.sign("global-token-revocation+jwt", claims))
    there.directory.key = own
    for number, token in enumerate(forged):
        assert code(there.revoke(token=token)) == (401, "unknown_sender"), number
    assert there.revoke(token=there.sign("global-token-revocation+jwt", claims)).status_code == 204


def _payload(token: str) -> bytes:
    body = token.split(".")[1]
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def test_an_address_ends_nothing_and_the_answer_says_what_to_do(there: World) -> None:
    Subject.objects.filter(pk=there.ada.pk).update(email="ada@shop.test")
    browser = signed_in(there.ada)
    answer = there.revoke({"sub_id": {"format": "email", "email": "ada@shop.test"}})
    assert code(answer) == (422, "person_not_named")
    assert "provisioning" in answer.json()["detail"]
    assert is_in(browser)
    assert there.signal().outcome == "refused"


@pytest.mark.parametrize(
    "named",
    [
        {"format": "iss_sub", "iss": "https://elsewhere.test", "sub": "00u1"},
        {"format": "iss_sub", "iss": "{issuer}/", "sub": "00u1"},
        {"format": "iss_sub", "iss": "{issuer}", "sub": "00u2"},
        {"format": "iss_sub", "iss": "{issuer}", "sub": "00U1"},
    ],
)
def test_somebody_unknown_is_not_found(there: World, named: dict[str, str]) -> None:
    browser = signed_in(there.ada)
    sub_id = {name: value.replace("{issuer}", there.directory.issuer) for name, value in named.items()}
    assert code(there.revoke({"sub_id": sub_id})) == (404, "unknown_subject")
    assert is_in(browser)
    assert there.signal().outcome == "nobody"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"[" * 10_000,
        {},
        {"sub_id": None},
        {"sub_id": "ada"},
        {"sub_id": {}},
        {"sub_id": {"format": "opaque", "id": "00u1"}},
        {"sub_id": {"format": ["iss_sub"], "iss": "i", "sub": "s"}},
        {"sub_id": {"format": "iss_sub", "iss": "i"}},
        {"sub_id": {"format": "iss_sub", "iss": 7, "sub": "00u1"}},
        {"sub_id": {"format": "iss_sub", "iss": "i", "sub": "s\x00"}},
        {"sub_id": {"format": "iss_sub", "iss": "i", "sub": "s" * 256}},
        {"sub_id": {"format": "email"}},
        {"subject": {"format": "iss_sub", "iss": "i", "sub": "s"}},
    ],
)
def test_what_is_malformed_is_a_bad_request(there: World, body: Any) -> None:
    assert code(there.revoke(body)) == (400, "bad_signal")
    assert ReceivedSignal.objects.count() == 0


def test_a_huge_body_an_unknown_address_and_another_method(there: World) -> None:
    assert code(there.revoke(b"x" * 16385)) == (413, "signal_too_large")
    token = there.revocation_token()
    headers = {"Authorization": f"Bearer {token}"}
    nowhere = Client().post("/signals/other/global-token-revocation", "{}", "application/json", headers=headers)
    assert code(nowhere) == (401, "unknown_sender")
    assert Client().get(REVOKE).status_code == 405


def test_without_keys_nobody_is_believed(there: World) -> None:
    there.row.endpoints = {}
    there.row.save()
    assert code(there.revoke()) == (401, "unknown_sender")
    there.row.endpoints = {"jwks_uri": "http://127.0.0.1:1/keys"}
    there.row.save()
    assert code(there.revoke()) == (401, "unknown_sender")
