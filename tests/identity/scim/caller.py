"""A directory's side of the conversation, through Django's test client."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from apps.identity.models import Provider
from tests.factories import identity

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Directory:
    provider: Provider
    token: str
    client: Client = field(default_factory=Client)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", **{name.replace("_", "-"): v for name, v in headers.items()}}
        kind = sent.pop("Content-Type", "application/scim+json; charset=utf-8")
        answer = self.client.generic(method, f"/scim/v2{path}", data, content_type=kind, headers=sent)
        told = json.loads(answer.content) if answer.content else {}
        return Answer(answer.status_code, told, dict(answer.headers))

    def user(self, name: str = "ada@example.test", **more: object) -> dict[str, Any]:
        answer = self.call("POST", "/Users", {**okta_user(name), **more})
        assert answer.status == 201, answer.body
        return answer.body

    def group(self, name: str, *members: dict[str, Any]) -> dict[str, Any]:
        wanted = [{"value": one["id"], "display": one["userName"]} for one in members]
        answer = self.call("POST", "/Groups", {"schemas": [GROUP], "displayName": name, "members": wanted})
        assert answer.status == 201, answer.body
        return answer.body

    def patch(self, path: str, *operations: dict[str, Any]) -> Answer:
        return self.call("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})


def directory(slug: str = "okta", **more: object) -> Directory:
    made = identity.directory(slug, **more)
    return Directory(made, identity.scim_token(made))


def okta_user(name: str = "ada@example.test") -> dict[str, Any]:
    """As Okta creates one: a random password to ignore, no groups, its own id as externalId."""
    first = name.partition("@")[0]
    return {
        "schemas": [USER],
        "userName": name,
        "name": {"givenName": first.title(), "familyName": "Lovelace"},
        "emails": [{"primary": True, "value": name, "type": "work"}],
        "displayName": f"{first.title()} Lovelace",
        "locale": "en-US",
        "externalId": f"00u{first}",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
