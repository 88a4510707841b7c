"""What nodes, log shippers and token seekers call, fed anything at all: refused in words, never a fault of ours."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.audit.actors import SYSTEM
from apps.identity.vault import hash_of
from apps.rollout.models import Node, Probe
from apps.telemetry import services as telemetry
from apps.trust import services as trust
from tests.api.world import mesh_target
from tests.factories.access import AT, Shop, shop
from tests.factories.identity import api_token

pytestmark = pytest.mark.django_db

FEW = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NODE_TOKEN = "spn_test"
TEXT = st.text(max_size=30)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def there() -> Shop:
    return shop()


def mostly(likely: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these names, each with what it usually holds or with anything."""
    parts = {name: st.sampled_from(values) | ANYTHING for name, values in likely.items()}
    return st.fixed_dictionaries({}, optional=parts)


TOKEN_FORM = {
    "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials", "password"],
    "subject_token_type": [
        "urn:ietf:params:oauth:token-type:access_token",
        "urn:ietf:params:oauth:token-type:jwt",
        "urn:sallyport:token-type:session",
        "urn:sallyport:token-type:aws-sts",
    ],
    "subject_token": ["TOKEN", "sp_nonsense", "e30.e30.e30", "e30"],
    "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
    "client_assertion": ["e30.e30.e30", "e30.eyJpc3MiOiJhIn0.e30"],
    "client_id": ["sc_x"],
    "requested_token_type": ["urn:ietf:params:oauth:token-type:jwt"],
    "audience": ["sallyport-edge", "elsewhere"],
    "actor_token": ["TOKEN", "x"],
    "actor_token_type": ["urn:ietf:params:oauth:token-type:access_token"],
}


@FEW
@given(form=mostly(TOKEN_FORM))
def test_the_token_endpoint_answers_as_rfc_6749_says(there: Shop, form: dict[str, Any]) -> None:
    trust.ensure_keys(at=AT)
    plain = api_token(there.ada)[1]
    sent = {name: plain if value == "TOKEN" else str(value) for name, value in form.items()}
    answer = Client().post("/oauth/token", {name: text.encode("utf-8", "replace") for name, text in sent.items()})
    body = answer.json()
    assert answer["Cache-Control"] == "no-store"
    if answer.status_code == 200:
        assert (sent["subject_token"], body["token_type"]) == (plain, "Bearer")
    else:
        assert answer.status_code in (400, 401, 403, 413)
        assert set(body) == {"error", "error_description"}


@FEW
@given(
    body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "multipart/form-data", "text/plain", ""])
)
def test_the_token_endpoint_reads_forms_only(there: Shop, body: bytes, kind: str) -> None:
    assert Client().post("/oauth/token", body, content_type=kind).status_code == 400


AGENT_BODIES = {
    "certificates": {"workload": ["spiffe://shop.test/ns/shop/sa/payments"], "csr_pem": ["-----BEGIN", ""]},
    "artifacts": {"sha256": [["a" * 64], []]},
    "reports": {
        "revision": [0, 1, 2**70, -1],
        "digest": ["d" * 64],
        "state": ["active", "failed"],
        "error": ["", "nginx: no"],
        "probes": [[], [{"id": 1, "verdict": "allow", "reason": "granted", "grants": ["g_1"], "detail": ""}], [{}]],
        "identities": [
            [],
            [{"workload": "spiffe://shop.test/ns/shop/sa/payments", "fingerprint": "ab", "not_after": "x"}],
        ],
    },
}


@pytest.fixture
def node(there: Shop) -> Node:
    made = mesh_target().nodes.get()
    made.token_hash = hash_of(NODE_TOKEN)
    made.save()
    return made


@pytest.mark.parametrize("door", sorted(AGENT_BODIES))
def test_what_a_node_posts(node: Node, door: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {NODE_TOKEN}"})

    @FEW
    @given(body=mostly(AGENT_BODIES[door]) | ANYTHING)
    def posts(body: Any) -> None:
        answer = client.post(f"/agent/v1/{door}", json.dumps(body), content_type="application/json")
        assert answer.status_code < 500, answer.content
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"

    posts()
    assert Probe.objects.get().state == "passed"


@FEW
@given(body=st.binary(max_size=100), door=st.sampled_from(sorted(AGENT_BODIES)))
def test_what_a_node_posts_that_is_no_json(node: Node, body: bytes, door: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {NODE_TOKEN}"})
    answer = client.post(f"/agent/v1/{door}", body, content_type="application/json")
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer nonsense", "Basic eDp5", "Bearer \xff"])
@pytest.mark.parametrize("path", ["/agent/v1/certificates", "/agent/v1/artifacts", "/agent/v1/reports"])
def test_a_stranger_is_no_node(token: str, path: str) -> None:
    assert (
        Client().post(path, "{}", content_type="application/json", headers={"Authorization": token}).status_code == 401
    )


EVENT = {
    "ts": [AT.timestamp(), 0, -1, 1e300, "soon"],
    "rid": ["0" * 32, "f" * 32, "short"],
    "point": ["edge", "ingress", "sidecar", "roof"],
    "node": ["n", "\x00"],
    "verdict": ["allow", "deny"],
    "reason": ["granted", "no_grant"],
    "subject": ["person:ada", ""],
    "peer": [""],
    "service": ["payments", ""],
    "route": ["refund", ""],
    "method": ["POST"],
    "path": ["/refunds", "/" * 3000],
    "host": ["api.shop.localhost"],
    "grants": [[], ["g_1"], ["g_1"] * 500],
    "status": [200, 403, 10**20],
    "ms": [1.5, -1, float("nan")],
    "probe": [True, False],
}


@FEW
@given(lines=st.lists(mostly(EVENT) | ANYTHING, max_size=4), packed=st.booleans())
def test_decision_events_are_taken_or_counted_out(there: Shop, lines: list[Any], packed: bool) -> None:
    token = telemetry.register_source(name="fuzz", actor=SYSTEM, at=AT)
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    headers = {"Authorization": f"Bearer {token}"} | ({"Content-Encoding": "gzip"} if packed else {})
    answer = Client().post(
        "/telemetry/v1/events",
        gzip.compress(body) if packed else body,
        content_type="application/x-ndjson",
        headers=headers,
    )
    assert (answer.status_code, sorted(answer.json())) in (
        (202, ["accepted", "rejected"]),
        (400, ["code", "detail", "status", "title", "type"]),
    )


@FEW
@given(body=st.binary(max_size=300), encoding=st.sampled_from(["gzip", "br", ""]))
def test_decision_events_that_are_none(there: Shop, body: bytes, encoding: str) -> None:
    token = telemetry.register_source(name="fuzz", actor=SYSTEM, at=AT)
    headers = {"Authorization": f"Bearer {token}", "Content-Encoding": encoding}
    answer = Client().post("/telemetry/v1/events", body, content_type="application/x-ndjson", headers=headers)
    assert answer.status_code in (202, 400, 413)
