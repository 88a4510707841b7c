"""The endpoints that nodes call, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from cryptography import x509
from django.test import AsyncClient, Client
from joserfc import jws
from joserfc.jwk import KeySet

from apps.outbox import nudge
from apps.rollout.models import Node, TargetArtifact
from apps.rollout.services.driving import channel_of
from apps.rollout.services.targets import Enrolment
from apps.trust import pki
from tests.factories import access as factory
from tests.rollout.world import EDGE, INGRESS, Hands, make_node, make_target, mesh_spec, standing_grant

pytestmark = pytest.mark.django_db(transaction=True)

PAYMENTS = "spiffe://shop.test/ns/shop/sa/payments"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def enrolled(shop: factory.Shop, hands: Hands) -> Enrolment:
    make_target(mesh_spec())
    hands.work()
    return make_node()


def headers(enrolled: Enrolment) -> dict[str, str]:
    return {"Authorization": f"Bearer {enrolled.token}"}


def post(client: Client, enrolled: Enrolment, name: str, body: object) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"/agent/v1/{name}", body, content_type="application/json", headers=headers(enrolled))
    return answer.status_code, answer.json()


def get_bundle(client: Client, enrolled: Enrolment, have: str = "", wait: str = "0") -> Any:
    return client.get("/agent/v1/bundle", {"have": have, "wait": wait}, headers=headers(enrolled))


def manifest(enrolled: Enrolment, signed: str) -> dict[str, Any]:
    """Checked as a node checks it: with the keys it pinned."""
    found = jws.deserialize_compact(signed, KeySet.import_key_set(enrolled.bundle_keys), algorithms=["ES256"])
    body: dict[str, Any] = json.loads(found.payload)
    return body


def report(client: Client, enrolled: Enrolment, body: dict[str, Any], **changed: object) -> int:
    said = {"node": "node-1", "revision": body["revision"], "digest": body["digest"], "state": "active", "error": ""}
    return post(client, enrolled, "reports", {**said, "probes": [], "identities": [], **changed})[0]


def test_a_bundle_is_signed_and_whole(client: Client, enrolled: Enrolment) -> None:
    answer = get_bundle(client, enrolled)
    assert answer.status_code == 200
    body = manifest(enrolled, answer.json()["signed"])
    assert (body["target"], body["revision"]) == ("mesh", 1)
    inline = answer.json()["inline"]
    for artifact in body["artifacts"]:
        content = base64.b64decode(inline[artifact["sha256"]])
        assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        assert len(content) == artifact["size"]


def test_with_nothing_new_it_answers_204(client: Client, enrolled: Enrolment) -> None:
    body = manifest(enrolled, get_bundle(client, enrolled).json()["signed"])
    assert report(client, enrolled, body) == 200
    assert get_bundle(client, enrolled, have=body["digest"]).status_code == 204
    node = Node.objects.get()
    assert (node.active_number, node.active_digest) == (1, body["digest"])


def test_a_waiting_node_is_answered_at_once(
    client: Client, enrolled: Enrolment, shop: factory.Shop, hands: Hands
) -> None:
    body = manifest(enrolled, get_bundle(client, enrolled).json()["signed"])
    report(client, enrolled, body)

    def change() -> None:
        time.sleep(0.4)
        standing_grant(shop.cart, shop.cyd)
        hands.work()
        nudge.publish(channel_of("mesh"))

    async def both() -> Any:
        poll = AsyncClient().get("/agent/v1/bundle", {"have": body["digest"], "wait": "10"}, headers=headers(enrolled))
        answer, _ = await asyncio.gather(poll, sync_to_async(change, thread_sensitive=False)())
        return answer

    began = time.monotonic()
    answer = asyncio.run(both())
    assert answer.status_code == 200
    assert manifest(enrolled, answer.json()["signed"])["revision"] == 2
    assert time.monotonic() - began < 8


def test_contents_are_given_by_hash_and_only_those_of_the_own_mesh(client: Client, enrolled: Enrolment) -> None:
    known = TargetArtifact.objects.get(path="nginx.conf").sha256
    status, body = post(client, enrolled, "artifacts", {"sha256": [known, "f" * 64]})
    assert status == 200
    assert list(body["artifacts"]) == [known]
    assert hashlib.sha256(base64.b64decode(body["artifacts"][known])).hexdigest() == known


def test_a_node_gets_certificates_for_its_mesh(client: Client, enrolled: Enrolment) -> None:
    for workload in (PAYMENTS, INGRESS):
        csr = pki.new_request(pki.new_private_key())
        status, body = post(client, enrolled, "certificates", {"workload": workload, "csr_pem": csr})
        assert status == 200
        issued = x509.load_pem_x509_certificate(body["certificate_pem"].encode())
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(body["ca_pem"].encode()))
        assert datetime.fromisoformat(body["not_after"]) > datetime.now(UTC)


@pytest.mark.parametrize("workload", [EDGE, "spiffe://shop.test/ns/shop/sa/cart", "nonsense"])
def test_and_for_nobody_elses(client: Client, enrolled: Enrolment, workload: str) -> None:
    csr = pki.new_request(pki.new_private_key())
    status, body = post(client, enrolled, "certificates", {"workload": workload, "csr_pem": csr})
    assert (status, body["code"]) == (403, "foreign_workload")


def test_a_bad_signing_request_is_named(client: Client, enrolled: Enrolment) -> None:
    status, body = post(client, enrolled, "certificates", {"workload": PAYMENTS, "csr_pem": "junk"})
    assert (status, body["code"]) == (422, "bad_signing_request")


@pytest.mark.parametrize("name", ["certificates", "artifacts", "reports"])
@pytest.mark.parametrize("body", ["", "[]", "{}", '{"sha256": 7, "revision": "x", "workload": null}', "\x00"])
def test_garbage_is_refused_without_a_fault(client: Client, enrolled: Enrolment, name: str, body: str) -> None:
    answer = client.post(f"/agent/v1/{name}", body, content_type="application/json", headers=headers(enrolled))
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic xyz"])
def test_a_stranger_is_refused(client: Client, enrolled: Enrolment, authorization: str) -> None:
    sent = {"Authorization": authorization} if authorization else {}
    assert client.get("/agent/v1/bundle", headers=sent).status_code == 401
    answer = client.post("/agent/v1/reports", {}, content_type="application/json", headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_node")


def test_enrolling_again_shuts_the_old_token_out(client: Client, enrolled: Enrolment) -> None:
    fresh = make_node()
    assert get_bundle(client, enrolled).status_code == 401
    assert get_bundle(client, fresh).status_code == 200


def test_a_failed_revision_is_reported_in_the_nodes_words(client: Client, enrolled: Enrolment, hands: Hands) -> None:
    body = manifest(enrolled, get_bundle(client, enrolled).json()["signed"])
    assert report(client, enrolled, body, state="failed", error="nginx: [emerg] oops") == 200
    node = Node.objects.get()
    assert (node.active_number, node.failed_number, node.error) == (0, 1, "nginx: [emerg] oops")
    assert get_bundle(client, enrolled).status_code == 204
