"""Every refusal leaves the API as RFC 9457 problem+json, whoever refused."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response

from apps.audit.errors import Refusal

MEDIA_TYPE = "application/problem+json"


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. Returns None for what is our own fault, so that it is logged and answered as a 500."""
    if isinstance(error, Refusal):
        return problem(error.status, error.code, error.message, fields=error.fields, extra=error.extra)
    if isinstance(error, (Http404, ObjectDoesNotExist)):
        return problem(404, "not_found", "There is nothing here that you may see.")
    if isinstance(error, PermissionDenied):
        return problem(403, "forbidden", "You may not do this.")
    if isinstance(error, exceptions.ValidationError):
        return problem(400, "invalid", "Some of what you sent is not right.", fields=_fields(error.detail))
    if isinstance(error, exceptions.APIException):
        return _from_api_exception(error)
    return None


def problem(
    status_code: int,
    code: str,
    detail: str,
    *,
    fields: dict[str, list[str]] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"{settings.SALLYPORT_URL}/docs/errors#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status_code,
        "detail": detail,
        "code": code,
    }
    if fields:
        body["fields"] = fields
    body.update(extra or {})
    return Response(body, status=status_code, content_type=MEDIA_TYPE)


def _from_api_exception(error: exceptions.APIException) -> Response:
    detail = error.detail if isinstance(error.detail, str) else str(error.default_detail)
    code = error.get_codes() if isinstance(error.get_codes(), str) else error.default_code
    response = problem(error.status_code, str(code), detail)
    if error.status_code == status.HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = getattr(error, "auth_header", None) or 'Bearer realm="sallyport"'
    wait = getattr(error, "wait", None)
    if wait is not None:
        response["Retry-After"] = str(int(wait))
    return response


def _fields(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Flattens DRF's nested error detail to ``{"items.0.name": ["..."]}``."""
    if isinstance(detail, dict):
        pairs = [(f"{path}.{key}" if path else str(key), value) for key, value in detail.items()]
    elif isinstance(detail, list) and any(isinstance(item, (dict, list)) for item in detail):
        pairs = [(f"{path}.{number}" if path else str(number), value) for number, value in enumerate(detail)]
    else:
        return {path or "body": [str(item) for item in (detail if isinstance(detail, list) else [detail])]}
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.update(_fields(value, name))
    return found
