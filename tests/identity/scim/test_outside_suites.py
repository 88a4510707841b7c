"""Suites that others wrote for SCIM servers, against ours as it is served: a real socket, a real client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.factories import identity
from tests.identity.scim.caller import Directory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def address(live_server: Any, settings: Any) -> str:
    settings.SALLYPORT_URL = live_server.url
    return f"{live_server.url}/scim/v2"


@pytest.fixture
def directory(address: str) -> Directory:
    made = identity.directory("okta")
    return Directory(made, identity.scim_token(made))


def test_scim2_tester_finds_nothing_wrong(address: str, directory: Directory) -> None:
    with Client(base_url=address, headers={"Authorization": f"Bearer {directory.token}"}, timeout=30) as http:
        results = check_server(SyncSCIMClient(http))
    wrong = [(one.title, one.reason) for one in results if one.status in {Status.ERROR, Status.CRITICAL}]
    assert wrong == []
    assert len([one for one in results if one.status == Status.SUCCESS]) >= 130


def test_scim_sanity_finds_nothing_but_that_we_refuse_members_nobody_has_sent(
    address: str, directory: Directory
) -> None:
    """It adds "fake-member-id" to a group. Ids of members are ours: one we have never given can never become somebody,
    so to accept it would be to lose a member without a word. A refusal is what directories try again."""
    command = [str(Path(sys.executable).parent / "scim-sanity"), "probe", address]
    options = ["--token", directory.token, "--i-accept-side-effects", "--json-output"]
    run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    told = json.loads(run.stdout)
    bad = [(one["name"], one["message"]) for one in told["results"] if one["status"] not in {"pass", "skip"}]
    assert bad == [("PATCH /Groups/{id} add member", "Expected 200, got 400")]
    assert told["summary"]["passed"] == 27
