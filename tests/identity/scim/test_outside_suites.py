"""Suites that others wrote for SCIM servers, against ours as it is served: a real socket, a real client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.servers.basehttp import WSGIRequestHandler
from httpx2 import Client, HTTPTransport, Request, Response
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.factories import identity
from tests.identity.scim.caller import Directory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def address(live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without Nagle's algorithm: Django's own server writes headers and body apart, and would wait 40 ms between."""
    monkeypatch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
    settings.SALLYPORT_URL = live_server.url
    return f"{live_server.url}/scim/v2"


@pytest.fixture
def directory(address: str) -> Directory:
    made = identity.directory("okta")
    return Directory(made, identity.scim_token(made))


class OnceGone(HTTPTransport):
    """After each of its checks scim2-tester deletes everything it ever made once more, so that its requests grow with
    the square of its checks. What the server itself has answered 404 to is not asked of it a third time."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: dict[str, bytes] = {}

    def handle_request(self, request: Request) -> Response:
        known = self.gone.get(str(request.url)) if request.method == "DELETE" else None
        if known is not None:
            return Response(404, headers={"Content-Type": "application/scim+json"}, content=known)
        answer = super().handle_request(request)
        if request.method == "DELETE" and answer.status_code == 404:
            self.gone[str(request.url)] = answer.read()
        return answer


def test_scim2_tester_finds_nothing_wrong(address: str, directory: Directory) -> None:
    known = {"Authorization": f"Bearer {directory.token}"}
    with Client(base_url=address, headers=known, timeout=30, transport=OnceGone()) as http:
        results = check_server(SyncSCIMClient(http))
    wrong = [(one.title, one.reason) for one in results if one.status in {Status.ERROR, Status.CRITICAL}]
    assert wrong == []
    assert len([one for one in results if one.status == Status.SUCCESS]) >= 130


PROBED = """
GET /ServiceProviderConfig
GET /Schemas
GET /ResourceTypes
POST /Users
GET /Users/{id}
PUT /Users/{id}
GET /Users/{id} after PUT
PATCH /Users/{id}
GET /Users/{id} after PATCH
DELETE /Users/{id}
GET /Users/{id} after DELETE (expect 404)
POST /Groups
GET /Groups/{id}
PUT /Groups/{id}
GET /Groups/{id} after PUT
PATCH /Groups/{id}
GET /Groups/{id} after PATCH
PATCH /Groups/{id} add member
PATCH /Groups/{id} remove members
DELETE /Groups/{id}
GET /Groups/{id} after DELETE (expect 404)
GET /Users (ListResponse)
GET /Users?filter (no match)
GET /Users?startIndex=1&count=1
GET /Users?count=0 (boundary)
GET /Users/nonexistent (expect 404)
POST /Users invalid body (expect 400)
POST /Users missing userName (expect 400)
"""
SKIPPED = {"Agent CRUD Lifecycle", "AgenticApplication CRUD Lifecycle", "Agent Rapid Lifecycle"}
"""Resources of a draft that is not served here."""


def test_scim_sanity_finds_nothing_wrong(address: str, directory: Directory) -> None:
    command = [str(Path(sys.executable).parent / "scim-sanity"), "probe", address]
    options = ["--token", directory.token, "--i-accept-side-effects", "--json-output"]
    run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    told = json.loads(run.stdout)
    wrong = [(one["name"], one["message"]) for one in told["results"] if one["status"] not in {"pass", "skip"}]
    assert wrong == []
    assert [one["name"] for one in told["results"] if one["status"] == "pass"] == PROBED.strip().splitlines()
    assert {one["name"] for one in told["results"] if one["status"] == "skip"} == SKIPPED
    assert run.returncode == 0
