"""Clients that sign their own assertion (RFC 7523)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from apps.audit.actors import SYSTEM
from apps.identity import services as identity
from apps.identity.models import Subject, WorkloadIdentity
from apps.identity.proofs import bindings, client_assertions
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.outcome import ProofRefused
from apps.trust.models import TokenCount
from apps.trust.tokens.words import CLIENT_CREDENTIALS, JWT_BEARER
from tests.factories.identity import agent, workload
from tests.identity.proofs.tokens import exchanged

pytestmark = pytest.mark.django_db

CONSOLE = "http://127.0.0.1:8000"
KEY, STRANGER = ECKey.generate_key("P-256", {"kid": "c1"}), ECKey.generate_key("P-256", {"kid": "c1"})


def now() -> datetime:
    return datetime.now(UTC)


def client_of(subject: Subject, *keys: ECKey | RSAKey) -> WorkloadIdentity:
    jwks = KeySet(list(keys or [KEY])).as_dict(private=False)
    outside = Outside(kind="key", jwks=jwks)
    return bindings.bind(subject_key=subject.key, outside=outside, actor=SYSTEM, at=now())


def assertion(name: str, *, key: ECKey = KEY, header: dict[str, Any] | None = None, **changed: Any) -> str:
    at = int(time.time())
    claims = {
        "iss": name,
        "sub": name,
        "aud": f"{CONSOLE}/oauth/token",
        "iat": at,
        "exp": at + 60,
        "jti": uuid4().hex,
        **changed,
    }
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": key.kid, **(header or {})}, said, key)


def form(sent: str, **changed: str) -> dict[str, str]:
    usual = {"grant_type": CLIENT_CREDENTIALS, "client_assertion_type": JWT_BEARER, "client_assertion": sent}
    return {**usual, **changed}


@pytest.mark.parametrize("audience", [f"{CONSOLE}/oauth/token", CONSOLE, [CONSOLE], [f"{CONSOLE}/oauth/token"]])
def test_a_client_that_signs_is_its_agent(audience: Any) -> None:
    bot = agent()
    binding = client_of(bot)
    found = client_assertions.prove(assertion(binding.client_id, aud=audience), client_id="", at=now())
    assert (found.subject_key, found.way) == (bot.key, f"key:{binding.client_id}")


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "another audience": ({"aud": "https://elsewhere.test"}, "does not verify"),
    "another audience beside ours": ({"aud": [CONSOLE, "https://elsewhere.test"]}, "does not verify"),
    "no audience": ({"aud": None}, "does not verify"),
    "an audience that is an object": ({"aud": {"a": CONSOLE}}, "does not verify"),
    "another subject": ({"sub": "sc_other"}, "must both be"),
    "no subject": ({"sub": None}, "does not verify"),
    "an unknown client": ({"iss": "sc_other", "sub": "sc_other"}, "does not verify"),
    "no issuer": ({"iss": None}, "does not verify"),
    "an issuer that is a number": ({"iss": 7}, "does not verify"),
    "an issuer with a zero": ({"iss": "sc_\x00"}, "does not verify"),
    "ten minutes": ({"exp": int(time.time()) + 2000}, "within five minutes"),
    "no end": ({"exp": None}, "does not verify"),
    "an end beyond floats": ({"exp": 10**400}, "does not verify"),
    "ended": ({"exp": int(time.time()) - 120}, "does not verify"),
    "made in the future": ({"iat": int(time.time()) + 3600}, "does not verify"),
    "made an hour ago": ({"iat": int(time.time()) - 3600}, "does not verify"),
    "no moment": ({"iat": None}, "does not verify"),
    "no jti": ({"jti": None}, "needs a jti"),
    "an empty jti": ({"jti": ""}, "needs a jti"),
    "a jti that is a list": ({"jti": ["x"]}, "needs a jti"),
    "a long jti": ({"jti": "x" * 256}, "needs a jti"),
    "another key": ({"key": STRANGER}, "does not verify"),
    "another kid": ({"header": {"kid": "c2"}}, "does not verify"),
    "another type": ({"header": {"typ": "at+jwt"}}, "does not verify"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_assertion_that_is_wrong_in_one_thing_is_refused(name: str) -> None:
    changed, why = HOSTILE[name]
    binding = client_of(agent())
    with pytest.raises(ProofRefused, match=why):
        client_assertions.prove(assertion(binding.client_id, **changed), client_id="", at=now())


def test_an_assertion_is_good_once() -> None:
    binding = client_of(agent())
    sent = assertion(binding.client_id)
    client_assertions.prove(sent, client_id="", at=now())
    with pytest.raises(ProofRefused, match="used before"):
        client_assertions.prove(sent, client_id="", at=now())


def test_two_clients_may_choose_the_same_jti() -> None:
    first, second = client_of(agent()), client_of(workload())
    for one in (first, second):
        client_assertions.prove(assertion(one.client_id, jti="1"), client_id="", at=now())


def test_a_client_cannot_sign_for_another() -> None:
    victim = client_of(workload(), STRANGER)
    client_of(agent())
    with pytest.raises(ProofRefused, match="does not verify"):
        client_assertions.prove(assertion(victim.client_id), client_id="", at=now())


def test_keys_turn_over_by_their_names() -> None:
    following = ECKey.generate_key("P-256", {"kid": "c2"})
    binding = client_of(agent(), KEY, following)
    for key in (KEY, following):
        client_assertions.prove(assertion(binding.client_id, key=key), client_id=binding.client_id, at=now())


def test_an_ended_client_proves_nothing() -> None:
    bot = agent()
    binding = client_of(bot)
    bindings.end_binding(binding_id=binding.pk, subject_key=bot.key, actor=SYSTEM, at=now())
    with pytest.raises(ProofRefused, match="does not verify"):
        client_assertions.prove(assertion(binding.client_id), client_id="", at=now())


# the endpoint


def test_client_credentials_give_an_edge_token_that_is_counted(client: Client, keys: None) -> None:
    binding = client_of(agent())
    status, claims = exchanged(client, form(assertion(binding.client_id), client_id=binding.client_id))
    assert (status, claims["sub"], claims["client_id"]) == (200, agent().key, f"key:{binding.client_id}")
    assert TokenCount.objects.get().client_id == f"key:{binding.client_id}"
    body = client.post("/oauth/token", form(assertion(binding.client_id))).json()
    assert sorted(body) == ["access_token", "expires_in", "token_type"]


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_assertion": ""}, 400, "invalid_request"),
        ({"client_assertion": "x.y.z"}, 401, "invalid_client"),
        ({"client_assertion_type": ""}, 400, "invalid_request"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, 400, "invalid_request"),
        ({"client_id": "sc_other"}, 401, "invalid_client"),
        ({"client_secret": "x", "client_assertion_type": ""}, 400, "invalid_request"),
    ],
)
def test_a_client_that_proves_nothing_gets_nothing(
    client: Client, keys: None, changed: dict[str, str], status: int, error: str
) -> None:
    binding = client_of(agent())
    answer = exchanged(client, form(assertion(binding.client_id)) | changed)
    assert (answer[0], answer[1]["error"]) == (status, error)
    assert TokenCount.objects.count() == 0


def test_a_suspended_agent_gets_nothing(client: Client, keys: None) -> None:
    bot = agent()
    binding = client_of(bot)
    identity.suspend_subject(key=bot.key, actor=SYSTEM, at=now())
    status, body = exchanged(client, form(assertion(binding.client_id)))
    assert (status, body["error"]) == (400, "invalid_grant")


def test_an_agent_of_a_suspended_owner_gets_nothing(client: Client, keys: None) -> None:
    bot = agent()
    binding = client_of(bot)
    identity.suspend_subject(key="person:dan", actor=SYSTEM, at=now())
    assert exchanged(client, form(assertion(binding.client_id)))[0] == 400
