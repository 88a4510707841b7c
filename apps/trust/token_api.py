"""The token endpoint (RFC 8693): an API token or a signed-in session in, a five-minute edge token out."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import Refusal
from apps.identity.services.api_tokens import authenticate_api_token
from apps.trust import selectors, services
from apps.trust.models import Purpose

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type, not a token
JWT = "urn:ietf:params:oauth:token-type:jwt"
SESSION = "urn:sallyport:token-type:session"


class Asker(NamedTuple):
    subject: str
    client_id: str


class TokenError(Exception):
    """An answer of RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, asked directly: this endpoint needs it for sessions only. Its answer is the complaint."""


@csrf_exempt
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    at = timezone.now()  # noqa: TID251 - a view
    try:
        _require_supported(request)
        asker = _asker(request, at)
        issued = services.sign_edge_token(subject=asker.subject, client_id=asker.client_id, at=at)
    except TokenError as error:
        return _answer({"error": error.error, "error_description": error.description}, error.status)
    except services.SubjectSuspended as refusal:
        return _answer({"error": "invalid_grant", "error_description": refusal.message}, 400)
    services.count_token(subject=asker.subject, client_id=asker.client_id, at=at)
    return _answer(
        {
            "access_token": issued.token,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
        }
    )


@require_GET
@cache_control(public=True, max_age=300)
def jwks(request: HttpRequest) -> HttpResponse:
    return JsonResponse(selectors.jwks(Purpose.EDGE_TOKEN, Purpose.CONTEXT))


@require_GET
@cache_control(public=True, max_age=300)
def metadata(request: HttpRequest) -> HttpResponse:
    """RFC 8414."""
    url = settings.SALLYPORT_URL
    return JsonResponse(
        {
            "issuer": url,
            "token_endpoint": f"{url}/oauth/token",
            "jwks_uri": f"{url}/.well-known/jwks.json",
            "grant_types_supported": [GRANT_TYPE],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["none"],
            "service_documentation": f"{url}/docs/",
        }
    )


def _require_supported(request: HttpRequest) -> None:
    given = request.POST
    if not given.get("grant_type"):
        raise TokenError("invalid_request", "grant_type is missing.")
    if given["grant_type"] != GRANT_TYPE:
        raise TokenError("unsupported_grant_type", f"The only grant type here is {GRANT_TYPE}.")
    if given.get("requested_token_type", ACCESS_TOKEN) not in (ACCESS_TOKEN, JWT):
        raise TokenError("invalid_request", "Only access tokens are issued here.")
    if given.get("audience", settings.SALLYPORT_EDGE_AUDIENCE) != settings.SALLYPORT_EDGE_AUDIENCE:
        raise TokenError("invalid_target", f"Tokens are issued for {settings.SALLYPORT_EDGE_AUDIENCE} only.")
    if given.get("actor_token"):
        raise TokenError("invalid_request", "Acting for somebody else is not supported.")


def _asker(request: HttpRequest, at: datetime) -> Asker:
    kind = request.POST.get("subject_token_type", "")
    if kind == SESSION:
        return _from_session(request)
    if kind != ACCESS_TOKEN:
        raise TokenError("invalid_request", f"subject_token_type must be {ACCESS_TOKEN} or {SESSION}.")
    return _from_api_token(request.POST.get("subject_token", ""), at)


def _from_api_token(plain: str, at: datetime) -> Asker:
    if not plain:
        raise TokenError("invalid_request", "subject_token is missing.")
    try:
        found = authenticate_api_token(plain, at=at)
    except Refusal as refusal:
        raise TokenError("invalid_grant", refusal.message) from refusal
    if "edge" not in found.scopes:
        raise TokenError("invalid_scope", "This API token may not get edge tokens: it lacks the scope 'edge'.")
    return Asker(found.subject.key, f"token:{found.prefix}")


def _from_session(request: HttpRequest) -> Asker:
    subject = getattr(request, "subject", None)
    if subject is None:
        raise TokenError("invalid_grant", "Nobody is signed in.")
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    if check.process_view(request, metadata, (), {}) is not None:
        raise TokenError("invalid_request", "The X-CSRFToken header is missing or wrong.", 403)
    return Asker(subject.key, "console")


def _answer(body: dict[str, object], status: int = 200) -> JsonResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
