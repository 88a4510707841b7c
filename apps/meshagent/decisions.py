"""From a line of NGINX's decision log to a decision event as the console takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LONGEST_PATH = 512
_TEXTS = ("rid", "point", "verdict", "reason", "subject", "peer", "service", "route", "method", "host")


def event_of(line: bytes, node: str) -> dict[str, Any] | None:
    """None for a line that is not a decision: one that was cut short when the machine lost power."""
    try:
        found = json.loads(line.decode(errors="replace"))
        event: dict[str, Any] = {name: str(found[name]) for name in _TEXTS}
        event["ts"] = float(found["ts"])
        event["status"] = int(found["status"])
        event["ms"] = round(float(found["seconds"]) * 1000, 3)
        event["path"] = str(found["path"])[:LONGEST_PATH]
        event["grants"] = [grant for grant in str(found["grants"]).split(",") if grant]
        event |= _rarely_said(found)
        event["probe"] = found["probe"] == "1"
    except (ValueError, KeyError, TypeError):
        return None
    return event | {"node": node}


def _rarely_said(found: Mapping[str, Any]) -> dict[str, Any]:
    """Who acts for the caller, and what traffic rules made of the call, where there is any such thing."""
    rules = [rule for rule in str(found.get("rules", "")).split(",") if rule]
    # NGINX puts a dot before the version, as in the name of its upstream.
    said = {"actor": str(found.get("actor", "")), "variant": str(found.get("variant", ""))[1:], "rules": rules}
    return {name: value for name, value in said.items() if value}
