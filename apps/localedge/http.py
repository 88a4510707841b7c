"""Requests, answers and routes of the control plane; nothing of Akamai's in here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs, unquote

import orjson

from apps.localedge.engine import Json


class Problem(Exception):
    """An answer that is not what the caller hoped for, in the words of RFC 9457."""

    def __init__(self, status: int, body: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body.get("detail", "")))
        self.status = status
        self.body = dict(body)
        self.headers = dict(headers or {})


class NotJson(Exception):
    """The body is not a JSON object."""


@dataclass(frozen=True, slots=True)
class Request:
    """``target`` is the path with its query exactly as it was sent: signatures are made over it."""

    method: str
    scheme: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    client: str
    actor: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def query(self, name: str) -> str | None:
        values = parse_qs(self.target.partition("?")[2]).get(name)
        return values[0] if values else None

    def json(self) -> Mapping[str, Json]:
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise NotJson(str(error)) from error
        if not isinstance(body, dict):
            raise NotJson("not an object")
        return cast("Mapping[str, Json]", body)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(status, orjson.dumps(body), "application/json", headers or {})

    @classmethod
    def text(cls, body: str, content_type: str = "text/plain") -> Answer:
        return cls(200, body.encode(), content_type)

    @classmethod
    def problem(cls, problem: Problem) -> Answer:
        return cls(problem.status, orjson.dumps(problem.body), "application/problem+json", problem.headers)


Handler = Callable[..., Answer]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler


def route(method: str, template: str, handler: Handler) -> Route:
    """``/ids/{id}``: a parameter is one segment, handed over decoded and by name."""
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
    return Route(method, re.compile(pattern), handler)


class NoRoute(Exception):
    """No route has this path; ``allowed`` lists the methods when only the method is wrong."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("no such address")
        self.allowed = allowed


def dispatch(routes: tuple[Route, ...], request: Request) -> Answer:
    matching = [(entry, match) for entry in routes if (match := entry.pattern.fullmatch(request.path))]
    for entry, match in matching:
        if entry.method == request.method:
            return entry.handler(request, **{name: unquote(value) for name, value in match.groupdict().items()})
    raise NoRoute(tuple(entry.method for entry, _ in matching))
