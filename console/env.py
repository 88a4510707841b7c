"""The one typed reader of the environment. ``NAME_FILE`` names a file that holds the value (for mounted secrets)."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def read(name: str, default: str | None = None) -> str:
    """The value of ``name``; raises ImproperlyConfigured when it is neither set nor defaulted."""
    file_name = os.environ.get(f"{name}_FILE")
    if file_name:
        return Path(file_name).read_text(encoding="utf-8").strip()
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name} (or {name}_FILE) in the environment.")
    return value


def read_bool(name: str, *, default: bool) -> bool:
    value = read(name, "1" if default else "0").strip().lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} must be one of 1, 0, true, false, yes, no, on, off; it is {value!r}.")
    return value in _TRUE


def read_int(name: str, default: int) -> int:
    value = read(name, str(default))
    try:
        return int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {value!r}.") from error


def read_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in read(name, default).split(",") if item.strip()]
