"""The problem bodies of the two APIs, with the published types and codes."""

from __future__ import annotations

import uuid

from apps.localedge.engine import Json
from apps.localedge.http import Problem

_KINDS = {
    400: ("bad-request", "Bad Request."),
    403: ("forbidden", "Forbidden"),
    404: ("not-found", "The given resource could not be found."),
    409: ("conflict", "Conflict"),
    413: ("payload-too-large", "Payload too large."),
    422: ("resource-limit-exceeded", "Resource limit exceeded."),
    429: ("too-many-requests", "Too many requests."),
    500: ("server-error", "An unexpected error has occurred."),
}
_EDGEKV_KINDS = {422: "unprocessable-entity", 500: "internal-server-error"}


def edgeworkers_problem(status: int, detail: str, code: str | None = None) -> Problem:
    kind, title = _KINDS.get(status, ("error", "Error"))
    body: dict[str, Json] = {
        "type": f"/edgeworkers/error-types/edgeworkers-{kind}",
        "title": title,
        "detail": detail,
        "instance": f"/edgeworkers/error-instances/{uuid.uuid4()}",
        "status": status,
    }
    return Problem(status, {**body, "errorCode": code} if code else body)


def edgekv_problem(status: int, detail: str, code: str) -> Problem:
    kind, title = _KINDS.get(status, ("error", "Error"))
    kind = _EDGEKV_KINDS.get(status, kind)
    body: dict[str, Json] = {
        "type": f"/edgekv/error-types/edgekv-{kind}",
        "title": title,
        "detail": detail,
        "instance": f"/edgekv/error-instances/{uuid.uuid4()}",
        "status": status,
        "errorCode": code,
    }
    return Problem(status, {**body, "additionalDetail": {"requestId": uuid.uuid4().hex[:16]}})


def not_found(what: str) -> Problem:
    return edgeworkers_problem(404, f"Unable to find the requested {what}", "EW2002")


def bad_request(detail: str, code: str | None = None) -> Problem:
    return edgeworkers_problem(400, detail, code)
