"""What a cluster lets us do, and the least it has to let us do."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ("get", "list", "watch", "create", "patch", "delete")
"""Applying needs ``patch``, and ``create`` where the object is not there yet."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One question to the cluster and its answer; ``kind`` is a key of ``KINDS``, ``reason`` the cluster's own words."""

    namespace: str
    kind: str
    verb: str
    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AccessReview:
    """``server_version`` as the cluster tells it (``v1.32.1``); ``missing``: keys of kinds the cluster does not serve,
    which have no permissions in ``permissions``.
    """

    server_version: str
    missing: tuple[str, ...]
    permissions: tuple[Permission, ...]

    @property
    def refused(self) -> tuple[Permission, ...]:
        return tuple(one for one in self.permissions if not one.allowed)

    @property
    def suffices(self) -> bool:
        return not self.missing and not self.refused
