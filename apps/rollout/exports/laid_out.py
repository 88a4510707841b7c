"""JSON in one form only: for people to compare line by line, and as Terraform's ``jsonencode`` sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_AS_TERRAFORM = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def laid_out(value: Any) -> bytes:
    """Sorted, ASCII, one line for each entry of the second level: a grant is a line of a diff."""
    return (_spread(value, levels=2, indent="") + "\n").encode("ascii")


def _spread(value: Any, *, levels: int, indent: str) -> str:
    if not levels or not isinstance(value, Mapping | list | tuple) or not value:
        return json.dumps(value, sort_keys=True)
    inner = indent + "  "
    if isinstance(value, Mapping):
        parts = [f"{json.dumps(name)}: {_below(value[name], levels, inner)}" for name in sorted(value)]
        opening, closing = "{", "}"
    else:
        parts = [_below(one, levels, inner) for one in value]
        opening, closing = "[", "]"
    return f"{opening}\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}{closing}"


def _below(value: Any, levels: int, indent: str) -> str:
    return _spread(value, levels=levels - 1, indent=indent)


def pretty(value: Any) -> bytes:
    """Sorted, ASCII, indented throughout: for what is small."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode("ascii")


def compact(content: bytes) -> str:
    """As ``jsonencode(jsondecode(...))`` writes it."""
    text = json.dumps(json.loads(content), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for letter, written in _AS_TERRAFORM.items():
        text = text.replace(letter, written)
    return text
