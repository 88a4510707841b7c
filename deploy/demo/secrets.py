"""The demo's own throw-away secrets: made once, kept in the state folder with owner-only rights, never committed."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

_FILE = "secrets.json"


def load_or_make(state: Path) -> dict[str, str]:
    """Reads ``secrets.json`` from the state folder, making first what is not there."""
    path = state / _FILE
    stored: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    fresh = _fresh()
    if not fresh.keys() - stored.keys():
        return stored
    made = {**fresh, **stored}
    write_private(path, json.dumps(made, indent=2))
    return made


def _fresh() -> dict[str, str]:
    return {
        "secret_key": secrets.token_urlsafe(48),
        "secrets_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "edge_client_token": "akab-demo-" + secrets.token_hex(12),
        "edge_client_secret": secrets.token_urlsafe(32),
        "edge_access_token": "akab-demo-" + secrets.token_hex(12),
        "cluster_token": secrets.token_urlsafe(32),
        "cluster_admin_token": secrets.token_urlsafe(32),
    }


def write_private(path: Path, text: str) -> None:
    """Writes a file only its owner can read, atomically."""
    partial = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
