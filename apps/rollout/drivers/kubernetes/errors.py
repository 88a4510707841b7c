"""What an API server may answer instead of what was asked, and what it means: one entry for each, in words for people.

Shapes are those of Kubernetes' own ``Status`` object (meta/v1); its ``reason`` and ``details`` tell more than the HTTP
status does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from apps.rollout.drivers.akamai.errors import Does, Trouble
from apps.rollout.drivers.base import VendorError

MOST_WORDS = 2000
NOT_DECLARED = "failed to create typed patch object"
"""How a server-side apply that does not fit the schema begins: it comes with status 500."""

HALTING = frozenset({"timeout", "cut", "unreachable", "not_json"})
"""Kinds after which trying the next object only makes it worse."""

_MANAGER = re.compile(r'conflict with "(?P<name>[^"]*)"')


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """``field`` as the server writes it: ``.spec.sources``."""

    manager: str
    field: str


class ApplyConflict(VendorError):
    """Somebody else owns fields that were to be set otherwise, or the whole object."""

    def __init__(self, what: str, text: str, conflicts: tuple[FieldConflict, ...], *, kind: str = "conflict") -> None:
        super().__init__(what, 409, text, kind=kind)
        self.conflicts = conflicts


def vendor_error(what: str, answer: httpx2.Response) -> VendorError:
    """Of an answer that is no success, whose body was read."""
    status = _status(answer)
    words = str(status.get("message") or answer.text)[:MOST_WORDS]
    details: Mapping[str, Any] = status.get("details") or {}
    conflicts = tuple(_conflicts(details.get("causes") or ()))
    if answer.status_code == 409 and conflicts:
        return ApplyConflict(what, words, conflicts)
    wait = _retry_after(answer, details)
    return VendorError(what, answer.status_code, words, wait, kind=_kind(answer.status_code, status, words))


def silence(what: str, error: httpx2.HTTPError) -> VendorError:
    """Of a call without an answer, or with half of one."""
    kind = "unreachable"
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        kind = "timeout"
    elif isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
        kind = "cut"
    return VendorError(what, 0, f"no answer ({error or type(error).__name__})"[:MOST_WORDS], kind=kind)


def of_watch(what: str, status: Mapping[str, Any]) -> VendorError:
    """Of an ERROR event in a stream."""
    code, words = int(status.get("code") or 0), str(status.get("message") or "")[:MOST_WORDS]
    return VendorError(what, code, words, kind=_kind(code, status, words))


def halts(error: VendorError) -> bool:
    """Whether the server is in such a state that nothing else should be asked of it now."""
    if error.kind == "not_declared":
        return False
    return error.kind in HALTING or error.status in (401, 429) or error.status >= 500


def _status(answer: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = json.loads(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def _conflicts(causes: Iterable[Mapping[str, Any]]) -> Iterable[FieldConflict]:
    for cause in causes:
        if cause.get("reason") == "FieldManagerConflict":
            found = _MANAGER.search(str(cause.get("message", "")))
            yield FieldConflict(found["name"] if found else "somebody else", str(cause.get("field", "")))


def _retry_after(answer: httpx2.Response, details: Mapping[str, Any]) -> float | None:
    """Seconds. A date is not sent by an API server."""
    value = answer.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    return float(details["retryAfterSeconds"]) if details.get("retryAfterSeconds") else None


def _kind(code: int, status: Mapping[str, Any], words: str) -> str:
    if not status:
        return "" if code >= 500 or code in _BY_STATUS else "not_json"
    if NOT_DECLARED in words:
        return "not_declared"
    if code in (400, 403) and "admission webhook" in words:
        return "admission"
    return _REASONS.get(str(status.get("reason")), "")


_REASONS = {
    "AlreadyExists": "changed_meanwhile",
    "BadRequest": "refused",
    "Conflict": "changed_meanwhile",
    "Expired": "expired",
    "Forbidden": "not_permitted",
    "Gone": "expired",
    "Invalid": "invalid",
    "NotFound": "not_found",
    "Unauthorized": "token_refused",
}
_BY_STATUS = {
    400: "refused",
    401: "token_refused",
    403: "not_permitted",
    404: "not_found",
    409: "changed_meanwhile",
    410: "expired",
    422: "invalid",
    429: "throttled",
}


class ClusterTrouble(Trouble):
    """As a Trouble; where one waits, the server says how long, not Akamai."""

    __slots__ = ()

    @property
    def now(self) -> str:
        now = super().now.replace("as Akamai says", "as the server says")
        return now.replace("what runs at the edge stays", "what is in the cluster stays")


def _retry(code: str, what: str, first: float = 1) -> Trouble:
    return ClusterTrouble(code, what, "You need not do anything.", Does.RETRY, first, 120)


def _ask(code: str, what: str, you: str) -> Trouble:
    return ClusterTrouble(code, what, you, Does.ASK, 300, 300)


_RIGHTS = "Give the service account what the cluster's page lists, then press Try now."
_SCHEMA = "The cluster has another version of the definition than is compiled for: look at the versions on its page."

CATALOGUE: dict[str, Trouble] = {
    one.code: one
    for one in (
        _ask(
            "conflict",
            "Somebody else sets a field of an object of ours.",
            "Have them let go of the fields named below, or say on the cluster's page that we take them over.",
        ),
        _ask(
            "not_ours",
            "An object of the name we use is there already, and is not ours.",
            "Rename or remove it, or say on the cluster's page that we take it over.",
        ),
        _ask(
            "admission",
            "A policy of the cluster (an admission webhook) refused an object.",
            "Ask whoever runs that policy; its words are below.",
        ),
        _ask(
            "stored_otherwise",
            "Something in the cluster (a mutating admission webhook) changes an object of ours as it is written.",
            "Have whatever changes it leave objects of Sallyport alone; the object is named below.",
        ),
        _ask("invalid", "The cluster does not accept an object as valid.", _SCHEMA),
        _ask(
            "not_declared",
            "The cluster's definition lacks a field that an object of ours has, or wants something else in it.",
            _SCHEMA,
        ),
        _ask("refused", "The cluster does not understand what it was sent.", "Report it, with the words below."),
        _ask("not_permitted", "The service account lacks the right to do this.", _RIGHTS),
        _ask(
            "token_refused",
            "The cluster refuses the token: unknown, revoked or expired.",
            "Give the cluster a working token; Sallyport goes on within five minutes, or press Try now.",
        ),
        _ask(
            "kinds_missing",
            "The cluster does not know kinds that it was said to take.",
            "Install their definitions, or take the choice back on the cluster's page.",
        ),
        _ask("unknown_kind", "An artifact is of no kind that is brought to a cluster.", "Report it."),
        _ask("bad_connection", "The connection that was given cannot be used.", "Correct it on the cluster's page."),
        _ask(
            "not_found",
            "The cluster does not find a namespace or kind that was named.",
            "Make the namespace, or install the definition; Sallyport goes on by itself.",
        ),
        ClusterTrouble(
            "throttled",
            "The cluster had more calls than it takes from us at once.",
            "You need not do anything.",
            Does.WAIT,
            1,
            60,
        ),
        _retry("changed_meanwhile", "The object was changed by somebody else at that moment."),
        _retry("expired", "The cluster no longer knows the moment a list or watch began at."),
        _retry("timeout", "The cluster did not answer in time; what became of it is looked up first.", first=5),
        _retry("cut", "The connection to the cluster broke off; what became of it is looked up first."),
        _retry("unreachable", "The cluster cannot be reached.", first=2),
        _retry("unavailable", "The cluster's API server is out of order.", first=2),
        _retry("not_json", "What answered is no Kubernetes API server; a proxy between, perhaps.", first=5),
    )
}


def explain(error: VendorError) -> Trouble:
    """The entry for an error. There is always one."""
    if error.kind in CATALOGUE:
        return CATALOGUE[error.kind]
    if error.status in _BY_STATUS:
        return CATALOGUE[_BY_STATUS[error.status]]
    return CATALOGUE["unreachable" if error.status == 0 else "unavailable"]


def table() -> str:
    """As it stands in the reference."""
    lines = ["| code | what happened | does | what Sallyport does now | what you can do |", "|---|---|---|---|---|"]
    lines += [f"| `{one.code}` | {one.what} | {one.does} | {one.now} | {one.you} |" for one in CATALOGUE.values()]
    return "\n".join(lines) + "\n"
