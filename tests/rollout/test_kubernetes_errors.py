"""What an API server may say, and what follows from it."""

from __future__ import annotations

import json

import httpx2
import pytest

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.connection import BadConnection
from apps.rollout.drivers.kubernetes.errors import CATALOGUE, explain, halts, silence, vendor_error

WEBHOOK = 'admission webhook "a.example.com" denied the request: no'


def said(code: int, reason: str = "", message: str = "words", **details: object) -> VendorError:
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "details": details}
    return vendor_error("apply x", httpx2.Response(code, content=json.dumps({**body, "code": code})))


@pytest.mark.parametrize(
    ("error", "code", "stops"),
    [
        (said(400, "BadRequest"), "refused", False),
        (said(400, "", WEBHOOK), "admission", False),
        (said(403, "Forbidden", WEBHOOK), "admission", False),
        (said(403, "Forbidden"), "not_permitted", False),
        (said(401, "Unauthorized"), "token_refused", True),
        (said(404, "NotFound"), "not_found", False),
        (said(409, "Conflict"), "changed_meanwhile", False),
        (said(409, "AlreadyExists"), "changed_meanwhile", False),
        (said(409, causes=[{"reason": "FieldManagerConflict", "message": "", "field": ".a"}]), "conflict", False),
        (said(410, "Expired"), "expired", False),
        (said(422, "Invalid"), "invalid", False),
        (said(429, "TooManyRequests"), "throttled", True),
        (said(500, "InternalError"), "unavailable", True),
        (said(500, "", "failed to create typed patch object (a/b): .spec.x: ..."), "not_declared", False),
        (said(504, "Timeout"), "unavailable", True),
        (vendor_error("x", httpx2.Response(502, text="<html>")), "unavailable", True),
        (vendor_error("x", httpx2.Response(302, text="<html>")), "not_json", True),
        (vendor_error("x", httpx2.Response(403, text="<html>")), "not_permitted", False),
        (silence("x", httpx2.ReadTimeout("slow")), "timeout", True),
        (silence("x", httpx2.ConnectTimeout("slow")), "unreachable", True),
        (silence("x", httpx2.ConnectError("none")), "unreachable", True),
        (silence("x", httpx2.RemoteProtocolError("cut")), "cut", True),
        (BadConnection("is wrong"), "bad_connection", False),
    ],
)
def test_each_answer_has_its_meaning_and_some_stop_everything_else(error: VendorError, code: str, stops: bool) -> None:
    assert (explain(error).code, halts(error)) == (code, stops)


def test_how_long_to_wait_is_taken_from_the_header_or_the_details() -> None:
    assert said(429, retryAfterSeconds=9).retry_after == 9
    headed = vendor_error("x", httpx2.Response(429, headers={"Retry-After": "4"}, text=""))
    assert headed.retry_after == 4
    assert explain(headed).pause(1, headed.retry_after) == 4
    assert said(503).retry_after is None


def test_the_sentences_are_about_a_cluster() -> None:
    sentences = " ".join(one.sentence for one in CATALOGUE.values())
    assert ("Akamai" in sentences, "at the edge" in sentences) == (False, False)
    assert CATALOGUE["throttled"].now.startswith("Sallyport waits 1 second, or as long as the server says")
