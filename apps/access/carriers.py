"""What those who drive targets can keep: plain TCP at a service, lists at the edge. They answer; we only ask."""

from __future__ import annotations

from typing import Protocol


class Carrier(Protocol):
    def __call__(self, *, environment: str, namespace: str) -> bool: ...


class ListKeeper(Protocol):
    def __call__(self, *, environment: str) -> bool: ...


_CARRIERS: list[Carrier] = []
_LIST_KEEPERS: list[ListKeeper] = []


def register(carrier: Carrier) -> Carrier:
    """Called once for each kind of targets, when the house is put together."""
    _CARRIERS.append(carrier)
    return carrier


def carries_tcp(environment: str, namespace: str) -> bool:
    """Deny by default: where nobody answers, nobody carries it."""
    return any(carrier(environment=environment, namespace=namespace) for carrier in _CARRIERS)


def register_list_keeper(keeper: ListKeeper) -> ListKeeper:
    """As ``register``."""
    _LIST_KEEPERS.append(keeper)
    return keeper


def keeps_lists(environment: str) -> bool:
    """False where somebody says that lists of addresses are not brought to the edge of an environment."""
    return all(keeper(environment=environment) for keeper in _LIST_KEEPERS)
