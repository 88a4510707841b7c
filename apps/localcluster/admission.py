"""Admission on demand: what policies of the cluster (webhooks) say no to, and what they change."""

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
    """``resource`` and ``name`` are patterns for ``plural.group`` and ``namespace/name``.

    With a ``change`` (a merge patch) the object is changed so, and not refused.
    """

    webhook: str
    message: str
    change: Obj
    operations: frozenset[str]
    resource: re.Pattern[str]
    name: re.Pattern[str]
    code: int

    def means(self, operation: str, resource: Resource, key: Key) -> bool:
        named = f"{resource.plural}.{resource.group or 'core'}"
        chosen = self.resource.fullmatch(named) and self.name.fullmatch("/".join(key))
        return operation in self.operations and chosen is not None


class Admission:
    def __init__(self) -> None:
        self._policies: tuple[Policy, ...] = ()

    def set(self, raw: list[Mapping[str, Any]]) -> None:
        """Replaces all of them. Raises Refused."""
        try:
            self._policies = tuple(_policy(one) for one in raw)
        except (KeyError, TypeError, ValueError, re.error) as error:
            raise bad_request(f"not an admission policy: {error}") from error

    def review(self, operation: str, resource: Resource, key: Key) -> list[Obj]:
        """The changes (merge patches) to be made. Raises Refused."""
        meant = [one for one in self._policies if one.means(operation, resource, key)]
        for one in meant:
            if not one.change:
                reason = "Forbidden" if one.code == 403 else ""
                raise Refused(one.code, reason, f'admission webhook "{one.webhook}" denied the request: {one.message}')
        return [one.change for one in meant]


def _policy(raw: Mapping[str, Any]) -> Policy:
    return Policy(
        webhook=str(raw.get("webhook", "policy.example.com")),
        message=str(raw["message"]) if "change" not in raw else "",
        change=dict(raw.get("change", {})),
        operations=frozenset(raw.get("operations", (CREATE, UPDATE))),
        resource=re.compile(raw.get("resource", ".*")),
        name=re.compile(raw.get("name", ".*")),
        code=int(raw.get("code", 403)),
    )
