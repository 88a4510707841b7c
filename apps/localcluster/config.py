"""The configuration file: one JSON object, read and checked once, at start.

Needed: ``address`` (host:port, loopback only), ``state_dir``, ``tokens`` {token: {user, groups, rules}}; a rule is one
of RBAC's (``apiGroups``, ``resources``, ``verbs``, ``resourceNames``) with ``namespaces`` besides (none: everywhere).
With defaults: ``namespaces`` (made at the start), ``definitions`` (files with CustomResourceDefinitions, served from
the start), ``history`` (changes kept for watches), ``bookmark_seconds``, ``version``, ``certificate`` and ``key`` (PEM
files; with them it speaks TLS).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.localcluster.rbac import Who

VERSION = "v1.32.0+localcluster"
_AS_GIVEN = ("history", "bookmark_seconds", "version", "certificate", "key")


class BadConfig(Exception):
    """The configuration file cannot be used; the message names the setting."""


@dataclass(frozen=True, slots=True)
class Config:
    host: str
    port: int
    state_dir: Path
    tokens: Mapping[str, Who]
    namespaces: tuple[str, ...] = ("default",)
    definitions: tuple[Path, ...] = ()
    history: int = 10_000
    bookmark_seconds: float = 30.0
    version: str = VERSION
    certificate: str = ""
    key: str = ""


def load_config(path: Path) -> Config:
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadConfig(f"cannot read {path}: {error}") from error
    return parse_config(raw)


def parse_config(raw: Mapping[str, Any]) -> Config:
    try:
        host, _, port = str(raw["address"]).rpartition(":")
        given: dict[str, Any] = {name: raw[name] for name in _AS_GIVEN if name in raw}
        if "namespaces" in raw:
            given["namespaces"] = tuple(raw["namespaces"])
        return Config(
            host=_loopback(host),
            port=int(port),
            state_dir=Path(raw["state_dir"]),
            tokens={token: _who(one) for token, one in raw["tokens"].items()},
            definitions=tuple(Path(one) for one in raw.get("definitions", ())),
            **given,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadConfig(f"{type(error).__name__}: {error}") from error


def _loopback(host: str) -> str:
    """It speaks plain http and lets anybody on this machine set faults: no place for other machines."""
    if host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback:
        return host.strip("[]")
    raise BadConfig("'address' must be one of this machine alone")


def _who(raw: Mapping[str, Any]) -> Who:
    return Who(str(raw["user"]), tuple(raw.get("groups", ())), tuple(raw.get("rules", ())))
