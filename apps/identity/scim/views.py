"""The one view of the SCIM server: who calls, what for, what came of it."""

from __future__ import annotations

import json
import logging
from time import monotonic

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from scim2_models import PayloadTooLargeException, SCIMException, UnauthorizedException
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse

from apps.audit.errors import Refusal
from apps.identity.models import Channel, Provider
from apps.identity.scim.exchanges import note_exchange
from apps.identity.scim.published import Shown
from apps.identity.scim.resources import kept_models
from apps.identity.scim.resources import provider as announced
from apps.identity.scim.service import LARGEST_BODY, DirectoryHandler, DirectoryService, require_storable
from apps.identity.scim.storage import OrmStorage
from apps.identity.services.provider_secrets import authenticate_provider

log = logging.getLogger(__name__)

PREFIX = "/scim/v2"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
CHOOSING = frozenset({"attributes", "excludedattributes"})


@csrf_exempt
@sensitive_variables()
def scim(request: HttpRequest, path: str = "") -> HttpResponse:
    """Every answer, good or bad, is SCIM's own JSON; a fault of ours is logged and says nothing about itself."""
    started, at = monotonic(), timezone.now()
    kept_models()
    asked = ScimRequest(
        method=request.method or "GET",
        base_url=f"{settings.SALLYPORT_URL}{PREFIX}",
        path=path,
        query={key: str(value) for key, value in request.GET.items()},
        headers=dict(request.headers),
    )
    shown: dict[str, Shown] = {}
    service, provider = DirectoryService(announced(), shown), None
    try:
        provider = _caller(request)
        asked.subject, asked.body = provider, _body(request)
        _check(asked)
        writes = asked.method not in READING and not path.endswith(".search")
        plain = CHOOSING.isdisjoint(key.lower() for key in asked.query)
        storage = OrmStorage(provider, at=at, writes=writes, shown=shown if plain else None)
        answer = DirectoryHandler(service, storage).handle(asked)
    except Exception as error:  # noqa: BLE001, RUF100 - whatever it is, the directory gets an answer it can read
        answer = _refused(service, error)
    response = _respond(answer)
    if provider is not None:
        note_exchange(
            provider=provider,
            method=asked.method,
            path=request.get_full_path(),
            status=response.status_code,
            milliseconds=int((monotonic() - started) * 1000),
            request_body=asked.body,
            response_body=response.content,
            at=at,
        )
    return response


def _caller(request: HttpRequest) -> Provider:
    scheme, _, plain = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not plain.strip():
        raise UnauthorizedException(detail="Send the directory's token as Authorization: Bearer.")
    try:
        at = timezone.now()
        return authenticate_provider(plain.strip(), channel=Channel.SCIM, at=at)
    except Refusal as refusal:
        raise UnauthorizedException(detail=refusal.message) from refusal


def _body(request: HttpRequest) -> bytes:
    """At most one byte more than is allowed is ever read."""
    body: bytes = request.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise PayloadTooLargeException(detail=f"Send at most {LARGEST_BODY} bytes at once.")
    return body


def _check(asked: ScimRequest) -> None:
    require_storable(asked.path)
    for value in asked.query.values():
        require_storable(value)
    require_storable(asked.body.decode("utf-8", "replace"))


def _refused(service: DirectoryService, error: Exception) -> ScimResponse:
    if not isinstance(error, SCIMException):
        log.error("A SCIM request failed.", exc_info=error)
    elif isinstance(error, UnauthorizedException):
        log.warning("A SCIM request without a good token was refused.")
    return service.error_response(error)


def _respond(answer: ScimResponse) -> HttpResponse:
    body = b"" if answer.body is None else json.dumps(answer.body).encode()
    response = HttpResponse(body, status=int(answer.status), content_type=SCIM_MEDIA_TYPE)
    for name, value in answer.headers.items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    return response
