"""/schema/ and /docs/: what is published about the API."""

from __future__ import annotations

from io import StringIO

import orjson
import pytest
from django.core.management import call_command
from django.test import Client


def schema(client: Client) -> dict[str, object]:
    answer = client.get("/api/v1/schema/", {"format": "json"})
    found: dict[str, object] = orjson.loads(answer.content)
    return found


def test_it_is_openapi_3_1_and_valid_without_a_warning() -> None:
    out, complaints = StringIO(), StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out, stderr=complaints)
    assert out.getvalue().startswith("openapi: 3.1.1\n")
    assert complaints.getvalue() == ""


def test_every_operation_has_a_summary_a_tag_and_says_how_it_refuses(client: Client) -> None:
    paths = schema(client)["paths"]
    assert isinstance(paths, dict)
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["summary"], (path, method)
            assert len(operation["tags"]) == 1, (path, method)
            assert {"401", "403"} <= operation["responses"].keys(), (path, method)
            for status, answer in operation["responses"].items():
                good = "application/zip" if path.endswith("/export/") else "application/json"
                kind = "application/problem+json" if status >= "400" else good
                assert list(answer["content"]) == [kind], (path, method, status)


@pytest.mark.parametrize("path", ["/api/v1/docs/", "/api/v1/docs/?script="])
def test_the_docs_page_runs_scripts_of_ours_alone(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self' 'unsafe-inline'"
    assert b"<script>" not in answer.content
