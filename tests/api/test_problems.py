"""Whatever is refused under /api/ is problem+json, whoever refuses it and however early."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client, RequestFactory

from apps.access.models import AccessRequest
from console import errors
from console.errors_api import codes
from tests.api.calling import PROBLEM, Caller, refused
from tests.factories.access import Shop
from tests.factories.identity import user

JSON = "application/json"


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v2/me/", "/api/v1/nothing/", "/api/v1/me", "/api/v1/requests/%00/"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
def test_an_address_that_is_none(client: Client, path: str, method: str) -> None:
    assert refused(getattr(client, method)(path)) == (404, "no_such_address")


def test_nobody_is_told_how_to_prove_who_they_are(client: Client, db: None) -> None:
    answer = client.get("/api/v1/me/")
    assert refused(answer) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="sallyport"'


@pytest.mark.parametrize("sent", ["Bearer nonsense", "Bearer", "Bearer \xff\xfe", "bearer sp_" + "a" * 5000])
def test_a_token_nobody_issued(client: Client, db: None, sent: str) -> None:
    answer = client.get("/api/v1/me/", headers={"Authorization": sent})
    assert refused(answer) == (401, "invalid_token")
    assert answer["WWW-Authenticate"] == 'Bearer realm="sallyport"'


def test_a_method_the_address_does_not_know(there: Shop) -> None:
    answer = Caller(there.ada).client.delete("/api/v1/me/")
    assert refused(answer) == (405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD, OPTIONS"


def test_only_json_is_read_and_only_json_is_written(there: Shop) -> None:
    ada = Caller(there.ada).client
    form = ada.post("/api/v1/preview/", {"service": "payments"})
    assert refused(form) == (415, "unsupported_media_type")
    assert refused(ada.get("/api/v1/me/", headers={"Accept": "text/csv"})) == (406, "not_acceptable")
    browser = ada.get("/api/v1/me/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browser["Content-Type"] == JSON


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"NaN", b'{"service": 1e999}', b"[" * 100_000, b'{"a": "\\ud800"}', b'{"service": "a", }'],
)
def test_a_body_that_is_no_json(there: Shop, body: bytes) -> None:
    answer = Caller(there.ada).client.post("/api/v1/preview/", body, content_type=JSON)
    assert refused(answer) == (400, "parse_error")


@pytest.mark.parametrize("body", ["[]", "null", "1", '"text"', '[{"service": "payments"}]'])
def test_json_of_another_shape(there: Shop, body: str) -> None:
    assert refused(Caller(there.ada).client.post("/api/v1/preview/", body, content_type=JSON)) == (400, "invalid")


def test_too_much(there: Shop, settings: LazySettings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = Caller(there.ada).post("preview/", {"service": "a" * 200})
    assert refused(answer) == (413, "too_large")


class TestSessions:
    """A browser's session works too, and there the form token is asked for."""

    ASK: dict[str, Any] = {"service": "payments", "routes": ["refund"], "duration": 3600, "reason": "Because."}

    def test_a_write_without_the_csrf_token_changes_nothing(self, there: Shop) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(user(there.ada))
        assert browser.get("/api/v1/me/").status_code == 200
        answer = browser.post("/api/v1/requests/", self.ASK, content_type=JSON)
        assert refused(answer) == (403, "permission_denied")
        assert AccessRequest.objects.count() == 0

    def test_with_it_the_write_is_done(self, there: Shop) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(user(there.ada))
        token = "a" * 32
        browser.cookies["csrftoken"] = token
        headers = {"X-CSRFToken": token}
        assert browser.post("/api/v1/requests/", self.ASK, content_type=JSON, headers=headers).status_code == 201


def test_our_own_fault_says_so_and_no_more() -> None:
    answer = errors.server_error(RequestFactory().get("/api/v1/me/"))
    assert (answer.status_code, answer["Content-Type"]) == (500, PROBLEM)
    assert json.loads(answer.content)["code"] == "server_error"


def test_every_problem_points_at_an_address_that_explains_it(client: Client, db: None) -> None:
    body = client.get("/api/v1/me/").json()
    explained = client.get(body["type"].removeprefix("http://127.0.0.1:8000")).json()
    assert explained == {
        "code": "not_authenticated",
        "status": 401,
        "detail": "Nobody is signed in, and no API token came with the call.",
    }
    listed = client.get("/api/v1/errors/").json()["results"]
    assert [row["code"] for row in listed] == list(codes())
    assert refused(client.get("/api/v1/errors/nothing/")) == (404, "not_found")
