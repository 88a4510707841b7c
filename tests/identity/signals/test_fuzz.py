"""Whatever is sent, the three doors answer with a 2xx or a 4xx, and with a body that says why."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.identity.signals.world import CAEP, World, deliver, delivery, log_event

pytestmark = pytest.mark.django_db
ROUNDS = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["00u1", "User", "SUCCESS"])
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
NAMES = st.sampled_from(["uuid", "published", "eventType", "actor", "target", "outcome", "sub_id", "events"])


def fine(answer: Any, *good: int) -> None:
    assert answer.status_code in {*good, 400, 401, 404, 413, 422}, answer.content
    if answer.status_code >= 400:
        said = json.loads(answer.content)
        assert "code" in said or "err" in said


@ROUNDS
@given(events=st.lists(st.dictionaries(NAMES, JSON)), raw=st.binary(max_size=200), whole=JSON)
def test_event_hooks(there: World, events: list[dict[str, Any]], raw: bytes, whole: object) -> None:
    fine(there.hook(*(log_event("user.session.end", **changes) for changes in events)), 204)
    fine(there.hook(body=raw), 204)
    fine(there.hook(body=json.dumps(whole).encode()), 204)
    fine(there.hook(body=delivery() | {"data": whole}), 204)
    fine(there.hook(secret=raw.decode("latin-1").replace("\n", "").replace("\r", "")), 204)
    deliver()


@ROUNDS
@given(
    named=JSON, claims=st.dictionaries(st.sampled_from(["jti", "sub", "aud", "iat", "exp", "nbf"]), JSON), raw=st.text()
)
def test_universal_logout(there: World, named: object, claims: dict[str, Any], raw: str) -> None:
    fine(there.revoke({"sub_id": named}), 204)
    fine(there.revoke({"sub_id": {"format": "iss_sub", "iss": there.directory.issuer, "sub": named}}), 204)
    fine(there.revoke(**claims), 204)
    fine(there.revoke(raw.encode("utf-8", "replace")), 204)
    fine(there.revoke(token=raw.encode("ascii", "ignore").decode().replace("\n", "").replace("\r", "")), 204)


@ROUNDS
@given(
    event=JSON,
    events=JSON,
    claims=st.dictionaries(st.sampled_from(["jti", "aud", "iat", "exp", "sub_id", "iss"]), JSON),
    header=st.dictionaries(st.sampled_from(["kid", "crit", "b64", "jwk", "zip"]), JSON),
    raw=st.binary(max_size=300),
)
def test_shared_signals(
    there: World, event: object, events: Any, claims: dict[str, Any], header: dict[str, Any], raw: bytes
) -> None:
    there.listen()
    fine(there.push(there.set_token({f"{CAEP}session-revoked": event})), 202)
    fine(there.push(there.set_token(events)), 202)
    fine(there.push(there.set_token({f"{CAEP}session-revoked": {}}, **claims)), 202)
    fine(there.push(raw), 202)
    fine(there.push(_by_hand(header, claims)), 202)
    deliver()


def _by_hand(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = ({"alg": "RS256", "typ": "secevent+jwt", "kid": "k1"} | header, claims)
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), "AAAA"])


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@pytest.mark.parametrize("depth", [500, 2500, 5000])
def test_deep_nesting_is_no_way_to_break_a_door(there: World, depth: int) -> None:
    there.listen()
    nested = "[" * depth + "]" * depth
    for token in (f"{_encoded(nested.encode())}.e30.AAAA", f"e30.{_encoded(nested.encode())}.AAAA"):
        fine(there.push(token))
        fine(there.revoke(token=token))
