"""Every refusal leaves the API as RFC 9457 problem+json, whoever refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, JsonResponse
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.audit.errors import NotFound, Refusal

MEDIA_TYPE = "application/problem+json"
API = "/api/"
REALM = 'Bearer realm="sallyport"'


class Problem(serializers.Serializer[Any]):
    """What a refusal looks like. Some carry more facts beside these, named in the reference of errors."""

    type = serializers.URLField(help_text="Where the code is explained")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence for whoever asked")
    code = serializers.CharField(help_text="Stable; decide by this")
    fields = serializers.DictField(  # type: ignore[assignment]  # the name is RFC 9457 practice, and Serializer's too
        child=serializers.ListField(child=serializers.CharField()), required=False, help_text="Complaints by input"
    )


def handler(error: Exception, context: dict[str, Any]) -> JsonResponse | None:
    """DRF's EXCEPTION_HANDLER. Returns None for what is our own fault, so that it is logged and answered as a 500."""
    if isinstance(error, Refusal):
        return problem(error.status, error.code, error.message, fields=error.fields, extra=error.extra)
    if isinstance(error, exceptions.ValidationError):
        return problem(400, "invalid", "Some of what you sent is not right.", fields=_fields(error.detail))
    if isinstance(error, exceptions.APIException):
        return _from_api_exception(error)
    return _from_django(error)


def _from_django(error: Exception) -> JsonResponse | None:
    if isinstance(error, (Http404, ObjectDoesNotExist)):
        return problem(404, NotFound.code, NotFound.default_message)
    if isinstance(error, PermissionDenied):
        return problem(403, exceptions.PermissionDenied.default_code, "You may not do this.")
    if isinstance(error, RequestDataTooBig):
        return problem(413, "too_large", "Send less at once.")
    if isinstance(error, SuspiciousOperation):
        return problem(400, "bad_request", "The request was not well formed.")
    return None


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    fields: Mapping[str, list[str]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> JsonResponse:
    body: dict[str, Any] = {
        "type": f"{settings.SALLYPORT_URL}/api/v1/errors/{code}/",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if fields:
        body["fields"] = fields
    body.update(extra or {})
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)


def _from_api_exception(error: exceptions.APIException) -> JsonResponse:
    detail = error.detail if isinstance(error.detail, str) else str(error.default_detail)
    code = error.get_codes() if isinstance(error.get_codes(), str) else error.default_code
    response = problem(error.status_code, str(code), detail)
    if error.status_code == 401:
        response["WWW-Authenticate"] = getattr(error, "auth_header", None) or REALM
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


class NoSuchAddress(NotFound):
    code = "no_such_address"
    default_message = "The API has nothing at this address. Its addresses end in a slash."


class Nowhere(APIView):
    """Answers at every address of the API that is none, whatever the method and whoever asks."""

    schema = None
    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NoSuchAddress
