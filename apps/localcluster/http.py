"""Requests and answers, and the one shape in which a Kubernetes API server refuses: the ``Status`` object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml

Obj = dict[str, Any]
"""An object of the API as JSON has it."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    client: str = ""

    def flag(self, name: str) -> bool:
        return self.params.get(name, "").lower() in ("true", "1")

    def document(self) -> Obj:
        """The body as JSON or YAML. Raises Refused."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            found = self._yaml()
        if not isinstance(found, dict):
            raise bad_request("couldn't get version/kind; json parse error: not an object")
        return found

    def _yaml(self) -> object:
        if "yaml" not in self.headers.get("content-type", ""):
            raise bad_request("the object provided is unrecognized (must be of type Object): couldn't parse JSON")
        try:
            return yaml.safe_load(self.body)
        except yaml.YAMLError as error:
            raise bad_request(f"error decoding YAML: {error}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """``cut``: only half of the body is sent, and the connection closed."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    @classmethod
    def json(cls, body: object, status: int = 200) -> Answer:
        return cls(status, orjson.dumps(body))


@dataclass(frozen=True, slots=True)
class Cause:
    reason: str
    message: str
    field: str


class Refused(Exception):
    """An answer that is no success, as a ``Status`` object of meta/v1."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Obj | None = None, causes: Iterable[Cause] = ()
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        listed = [{"reason": one.reason, "message": one.message, "field": one.field} for one in causes]
        self.details: Obj = {**(details or {}), **({"causes": listed} if listed else {})}

    def status(self) -> Obj:
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        return body

    def answer(self) -> Answer:
        wait = self.details.get("retryAfterSeconds")
        headers = {"Retry-After": str(wait)} if wait else {}
        return Answer(self.code, orjson.dumps(self.status()), headers=headers)


def success(details: Obj) -> Obj:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def no_such_resource() -> Answer:
    """For a group or version that is not served, the real one answers in plain text."""
    return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")


def details_of(group: str, plural: str, name: str = "") -> Obj:
    found: Obj = {"name": name} if name else {}
    return {**found, **({"group": group} if group else {}), "kind": plural}


def qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> Refused:
    message = f'{qualified(group, plural)} "{name}" not found'
    return Refused(404, "NotFound", message, details=details_of(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> Refused:
    message = f'{qualified(group, plural)} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, details=details_of(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return Refused(409, "Conflict", message, details=details_of(group, plural, name))


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> Refused:
    listed = tuple(causes)
    lines = [f"{one.field}: {one.message}" for one in listed]
    said = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    message = f'{qualified(group, kind)} "{name}" is invalid: {said}'
    return Refused(422, "Invalid", message, details=details_of(group, kind, name), causes=listed)


def expired(message: str) -> Refused:
    return Refused(410, "Expired", message)


def method_not_allowed() -> Refused:
    return Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
