"""Public ids: opaque, stable, not countable."""

from __future__ import annotations

import secrets


def new_firewall_id() -> str:
    return f"fw_{secrets.token_hex(8)}"


def new_decommission_id() -> str:
    return f"dc_{secrets.token_hex(8)}"
