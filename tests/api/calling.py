"""Calling the API the way a program does: with an API token and JSON."""

from __future__ import annotations

from typing import Any

from django.test import Client

from apps.identity.models import Subject
from tests.factories.identity import api_token

PROBLEM = "application/problem+json"
EVERY_SCOPE = ("read", "write", "edge")


class Caller:
    """A client that acts for ``subject``; without one, for nobody."""

    def __init__(self, subject: Subject | None = None, *, scopes: tuple[str, ...] = EVERY_SCOPE) -> None:
        headers = {"Authorization": f"Bearer {api_token(subject, scopes=scopes)[1]}"} if subject else {}
        self.client = Client(headers=headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/api/v1/{path}", body if body is not None else {}, content_type="application/json")


def refused(answer: Any) -> tuple[int, str]:
    """The status and code of a refusal, which is problem+json and says the same twice."""
    assert answer["Content-Type"] == PROBLEM
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"].endswith(f"/api/v1/errors/{body['code']}/")
    return answer.status_code, body["code"]
