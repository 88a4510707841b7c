"""Taking strangers' input apart without believing any of it: bounded bodies, bounded words, moments that exist."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse, UnreadablePostError

from apps.audit.errors import Refusal
from apps.identity.signals.refusals import BadSignal, SignalTooLarge

MILLISECONDS_FROM = 100_000_000_000
"""As seconds this is the year 5138; as milliseconds 1973."""


def read_body(request: HttpRequest, *, most: int) -> bytes:
    """Raises SignalTooLarge, by what the sender says before anything is read where that is possible."""
    declared = request.headers.get("Content-Length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > most:
        raise SignalTooLarge
    try:
        body = request.body
    except RequestDataTooBig as error:
        raise SignalTooLarge from error
    except UnreadablePostError as error:
        raise BadSignal from error
    if len(body) > most:
        raise SignalTooLarge
    return body


def read_object(body: bytes) -> Mapping[str, object]:
    """A JSON object, or BadSignal."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadSignal("The body is not JSON.") from error
    if not isinstance(found, dict):
        raise BadSignal("The body is not a JSON object.")
    return found


def bearer_of(request: HttpRequest) -> str:
    """What stands in ``Authorization``, with the word Bearer before it or without."""
    shown = request.headers.get("Authorization", "").strip()
    scheme, _, rest = shown.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else shown


def word(holder: object, name: str, *, longest: int = 255) -> str:
    """A short printable text under ``name``; empty for everything else, so that no odd value travels on."""
    value = holder.get(name) if isinstance(holder, Mapping) else None
    fits = isinstance(value, str) and len(value) <= longest and value.isprintable()
    return value if fits and isinstance(value, str) else ""


def inside(holder: object, name: str) -> Mapping[str, object]:
    """The object under ``name``; an empty one for everything else."""
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def moment_of(value: object) -> datetime | None:
    """Seconds or milliseconds since 1970, or ISO 8601 with a time zone; None for what is no moment."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found.astimezone(UTC) if found.tzinfo else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return datetime.fromtimestamp(value / 1000 if value > MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def problem(refusal: Refusal) -> JsonResponse:
    """RFC 9457, as everywhere else."""
    body = {
        "type": "about:blank",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    response = JsonResponse(body, status=refusal.status, content_type="application/problem+json")
    if refusal.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="sallyport signals"'
    return response
