"""Admission refusals on demand: what a policy of the cluster (a validating webhook) says no to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.localcluster.http import Obj, Refused, bad_request
from apps.localcluster.kinds import Resource
from apps.localcluster.store import Key

CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"


@dataclass(frozen=True, slots=True)
class Policy:
    """``resource`` and ``name`` are patterns for ``plural.group`` and ``namespace/name``."""

    webhook: str
    message: str
    operations: frozenset[str]
    resource: re.Pattern[str]
    name: re.Pattern[str]
    code: int


class Admission:
    def __init__(self) -> None:
        self._policies: tuple[Policy, ...] = ()

    def set(self, raw: list[Mapping[str, Any]]) -> None:
        """Replaces all of them. Raises Refused."""
        try:
            self._policies = tuple(_policy(one) for one in raw)
        except (KeyError, TypeError, ValueError, re.error) as error:
            raise bad_request(f"not an admission policy: {error}") from error

    def review(self, operation: str, resource: Resource, key: Key, _obj: Obj) -> None:
        """Raises Refused."""
        named, path = f"{resource.plural}.{resource.group or 'core'}", "/".join(key)
        for one in self._policies:
            meant = operation in one.operations and one.resource.fullmatch(named) and one.name.fullmatch(path)
            if meant:
                reason = "Forbidden" if one.code == 403 else ""
                raise Refused(one.code, reason, f'admission webhook "{one.webhook}" denied the request: {one.message}')


def _policy(raw: Mapping[str, Any]) -> Policy:
    return Policy(
        webhook=str(raw.get("webhook", "policy.example.com")),
        message=str(raw["message"]),
        operations=frozenset(raw.get("operations", (CREATE, UPDATE))),
        resource=re.compile(raw.get("resource", ".*")),
        name=re.compile(raw.get("name", ".*")),
        code=int(raw.get("code", 403)),
    )
