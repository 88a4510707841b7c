"""Which function answers which topic. Modules named ``handlers`` in installed apps register themselves on start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar


class Handler(Protocol):
    """Idempotent: it may run again after it succeeded. ``key`` names what changed; read the rest from the database."""

    def __call__(self, *, key: str, payload: dict[str, object], at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class News:
    """A message, as a handler of many gets it. What an urgent one leads to should be urgent too."""

    key: str
    payload: Mapping[str, object]
    urgent: bool = False


class ManyHandler(Protocol):
    """As ``Handler``, for several messages of one topic at once. When it raises, each is tried again by itself."""

    def __call__(self, *, news: Sequence[News], at: datetime) -> None: ...


class GivenUp(Protocol):
    """Told that nobody will do it: says so to whoever waits. It runs in the transaction that gives the message up."""

    def __call__(self, *, public_id: str, at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Registration:
    """``most`` is how many messages ``run`` takes at once.

    ``atomic`` handlers run in one transaction with the note that the message is done.

    A handler that talks to the network is registered with ``atomic=False``: it runs outside a transaction, protected
    by its lease alone, and must be done within it.
    """

    topic: str
    handler: Handler | ManyHandler
    run: Callable[[Sequence[News], datetime], None]
    atomic: bool
    lease: timedelta
    most: int = 1
    given_up: GivenUp | None = None


class DuplicateHandler(RuntimeError):
    """One topic, one handler: with two, a retry of one would repeat the other."""


class UnknownTopic(LookupError):
    """Nobody handles this topic."""


_HANDLERS: dict[str, Registration] = {}
HandlerT = TypeVar("HandlerT", bound=Handler)
ManyHandlerT = TypeVar("ManyHandlerT", bound=ManyHandler)


def handles(
    topic: str, *, atomic: bool = True, lease_seconds: int = 10, given_up: GivenUp | None = None
) -> Callable[[HandlerT], HandlerT]:
    """Register the decorated function for ``topic``. ``given_up`` gets the key as ``public_id``."""

    def register(handler: HandlerT) -> HandlerT:
        def run(news: Sequence[News], at: datetime) -> None:
            for one in news:
                handler(key=one.key, payload=dict(one.payload), at=at)

        _register(Registration(topic, handler, run, atomic, timedelta(seconds=lease_seconds), given_up=given_up))
        return handler

    return register


def handles_many(topic: str, *, most: int = 50, lease_seconds: int = 30) -> Callable[[ManyHandlerT], ManyHandlerT]:
    """Register the decorated function for up to ``most`` messages of ``topic`` at once, in one transaction."""

    def register(handler: ManyHandlerT) -> ManyHandlerT:
        def run(news: Sequence[News], at: datetime) -> None:
            handler(news=news, at=at)

        _register(Registration(topic, handler, run, atomic=True, lease=timedelta(seconds=lease_seconds), most=most))
        return handler

    return register


def _register(registration: Registration) -> None:
    known = _HANDLERS.get(registration.topic)
    if known is not None and known.handler is not registration.handler:
        raise DuplicateHandler(f"{registration.topic} already has a handler.")
    _HANDLERS[registration.topic] = registration


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
