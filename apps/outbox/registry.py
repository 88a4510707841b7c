"""Which function answers which topic. Modules named ``handlers`` in installed apps register themselves on start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar


class Handler(Protocol):
    """Idempotent: it may run again after it succeeded. ``key`` names what changed; read the rest from the database."""

    def __call__(self, *, key: str, payload: dict[str, object], at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Registration:
    """``atomic`` handlers run in one transaction with the note that the message is done.

    A handler that talks to the network is registered with ``atomic=False``: it runs outside a transaction, protected
    by its lease alone, and must be done within it.
    """

    topic: str
    handler: Handler
    atomic: bool
    lease: timedelta


class DuplicateHandler(RuntimeError):
    """One topic, one handler: with two, a retry of one would repeat the other."""


class UnknownTopic(LookupError):
    """Nobody handles this topic."""


_HANDLERS: dict[str, Registration] = {}
HandlerT = TypeVar("HandlerT", bound=Handler)


def handles(topic: str, *, atomic: bool = True, lease_seconds: int = 10) -> Callable[[HandlerT], HandlerT]:
    """Register the decorated function for ``topic``."""

    def register(handler: HandlerT) -> HandlerT:
        if topic in _HANDLERS and _HANDLERS[topic].handler is not handler:
            raise DuplicateHandler(f"{topic} already has a handler.")
        _HANDLERS[topic] = Registration(topic, handler, atomic, timedelta(seconds=lease_seconds))
        return handler

    return register


def find(topic: str) -> Registration:
    try:
        return _HANDLERS[topic]
    except KeyError:
        raise UnknownTopic(f"Nobody handles the topic {topic}.") from None


def forget(topic: str) -> None:
    """Take a handler away again, for topics that exist only while something tries the outbox out."""
    _HANDLERS.pop(topic, None)


def topics() -> Mapping[str, Registration]:
    return dict(_HANDLERS)
