"""The token endpoint (RFC 8693, RFC 7523): a proof of who asks in, a five-minute edge token out."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from apps.identity.proofs import limits
from apps.identity.proofs.client_assertions import ALGORITHMS
from apps.trust import selectors, services
from apps.trust.models import Purpose
from apps.trust.tokens import askers, form
from apps.trust.tokens.answers import TokenError, refused, said
from apps.trust.tokens.askers import Asker
from apps.trust.tokens.words import ACCESS_TOKEN, CLIENT_CREDENTIALS, GRANT_TYPE, SESSION, SUBJECT_TOKEN_TYPES

__all__ = ["ACCESS_TOKEN", "GRANT_TYPE", "SESSION", "jwks", "metadata", "token"]


@csrf_exempt
@require_POST
@sensitive_post_parameters()
def token(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    try:
        asked = form.read(request)
        issued = _issue(askers.asker(request, asked, at), at)
    except TokenError as error:
        return refused(error)
    body = {"access_token": issued.token, "token_type": "Bearer", "expires_in": issued.expires_in}
    return said(body if asked["grant_type"] == CLIENT_CREDENTIALS else {**body, "issued_token_type": ACCESS_TOKEN})


def _issue(asker: Asker, at: datetime) -> services.EdgeToken:
    try:
        limits.require_within(asker.taker, tokens_per_minute=settings.SALLYPORT_TOKENS_PER_MINUTE, at=at)
        issued = services.sign_edge_token(subject=asker.subject, client_id=asker.client_id, actor=asker.actor, at=at)
    except limits.LimitReached as reached:
        raise TokenError("temporarily_unavailable", str(reached), 429, retry_after=reached.retry_after) from reached
    except services.SubjectSuspended as refusal:
        raise TokenError("invalid_grant", refusal.message) from refusal
    services.count_token(subject=asker.taker, client_id=asker.client_id, at=at)
    return issued


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
            "grant_types_supported": [GRANT_TYPE, CLIENT_CREDENTIALS],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "subject_token_types_supported": list(SUBJECT_TOKEN_TYPES),
            "service_documentation": f"{url}/docs/",
        }
    )
