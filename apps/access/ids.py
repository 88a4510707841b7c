"""Public ids: opaque, stable, not countable."""

from __future__ import annotations

import secrets


def new_request_id() -> str:
    return f"req_{secrets.token_hex(8)}"


def channel_of(request_id: str) -> str:
    """Where those who watch a request's page are told to look again."""
    return f"request:{request_id}"


def new_grant_id() -> str:
    return f"g_{secrets.token_hex(8)}"


def new_clean_up_id() -> str:
    return f"cu_{secrets.token_hex(8)}"


def new_standing_id() -> str:
    return f"sr_{secrets.token_hex(8)}"
