"""Where the doors' log shippers deliver. They prove themselves with their source's token."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.audit.errors import Refusal
from apps.telemetry import services
from apps.telemetry.errors import BatchTooLarge, UnknownSource, UnreadableBatch


@csrf_exempt
@require_POST
def ingest(request: HttpRequest) -> HttpResponse:
    """202 with counts: what is wrong with a line never costs the others."""
    try:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise UnknownSource
        at = timezone.now()  # noqa: TID251 - a view
        taken = services.ingest(token=token.strip(), body=_body(request), at=at)
    except Refusal as refusal:
        return _problem(refusal)
    return JsonResponse({"accepted": taken.accepted, "rejected": taken.rejected}, status=202)


def _body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RequestDataTooBig as error:
        raise BatchTooLarge from error
    except (UnreadablePostError, ValueError) as error:
        raise UnreadableBatch from error


def _problem(refusal: Refusal) -> HttpResponse:
    body = {
        "type": "about:blank",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    response = JsonResponse(body, status=refusal.status, content_type="application/problem+json")
    if refusal.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="sallyport telemetry"'
    return response
