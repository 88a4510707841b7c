"""Asking the token endpoint, and reading what it gives."""

from __future__ import annotations

from typing import Any

from django.test import Client
from joserfc import jwt
from joserfc.jwk import KeySet


def exchanged(client: Client, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """The status, and the claims of the token or the error."""
    answer = client.post("/oauth/token", form)
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    if answer.status_code != 200:
        return answer.status_code, body
    keys = KeySet.import_key_set(client.get("/.well-known/jwks.json").json())
    return 200, jwt.decode(body["access_token"], keys, algorithms=["ES256"]).claims
