"""Where the doors' log shippers deliver, and Akamai's DataStream. Each proves itself with a secret of its own."""

from __future__ import annotations

import base64
import binascii
from functools import partial

from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.audit.errors import Refusal
from apps.telemetry import edge_log, services
from apps.telemetry.errors import BatchTooLarge, UnknownSource, UnreadableBatch
from apps.telemetry.events import MAX_BYTES


@csrf_exempt
@require_POST
def ingest(request: HttpRequest) -> HttpResponse:
    """202 with counts: what is wrong with a line never costs the others."""
    try:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise UnknownSource
        at = timezone.now()
        taken = services.ingest(token=token.strip(), body=_body(request), at=at)
    except Refusal as refusal:
        return _problem(refusal)
    return JsonResponse({"accepted": taken.accepted, "rejected": taken.rejected}, status=202)


@csrf_exempt
@require_POST
def datastream(request: HttpRequest, slug: str) -> HttpResponse:
    """202 with counts, at an address of each target's own. An empty body, as a sample request may have, is fine."""
    try:
        user, password = _basic(request)
        at = timezone.now()
        taken = edge_log.take_in(slug=slug, user=user, password=password, read=partial(_body, request), at=at)
    except Refusal as refusal:
        return _problem(refusal, "Basic")
    counts = {"accepted": taken.accepted, "repeated": taken.repeated, "rejected": taken.rejected}
    return JsonResponse(counts, status=202)


def _basic(request: HttpRequest) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise UnknownSource
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise UnknownSource from error
    return user, password


def _body(request: HttpRequest) -> bytes:
    """Never more of it than may be taken, whatever length was announced."""
    try:
        body = request.read(MAX_BYTES + 1)
    except (UnreadablePostError, ValueError) as error:
        raise UnreadableBatch from error
    if len(body) > MAX_BYTES:
        raise BatchTooLarge(f"More than {MAX_BYTES} bytes at once.")
    return body


def _problem(refusal: Refusal, scheme: str = "Bearer") -> HttpResponse:
    body = {
        "type": "about:blank",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    response = JsonResponse(body, status=refusal.status, content_type="application/problem+json")
    if refusal.status == 401:
        response["WWW-Authenticate"] = f'{scheme} realm="sallyport telemetry"'
    return response
