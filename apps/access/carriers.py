"""Whether something enforces plain TCP where a service runs. Whoever drives targets answers; we only ask."""

from __future__ import annotations

from typing import Protocol


class Carrier(Protocol):
    def __call__(self, *, environment: str, namespace: str) -> bool: ...


_CARRIERS: list[Carrier] = []


def register(carrier: Carrier) -> Carrier:
    """Called once for each kind of targets, when the house is put together."""
    _CARRIERS.append(carrier)
    return carrier


def carries_tcp(environment: str, namespace: str) -> bool:
    """Deny by default: where nobody answers, nobody carries it."""
    return any(carrier(environment=environment, namespace=namespace) for carrier in _CARRIERS)
