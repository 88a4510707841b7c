"""A provider tells us that somebody signed out there (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import logging

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.identity import selectors, services
from apps.identity.errors import TokenSpent, UnknownProvider
from apps.identity.providers.leaving import read_logout_token
from apps.identity.verification import TokenRefused

log = logging.getLogger(__name__)

LARGEST = 64 * 1024
FORM = "application/x-www-form-urlencoded"


@csrf_exempt
@require_POST
@sensitive_post_parameters("logout_token")
def backchannel_logout(request: HttpRequest, slug: str) -> HttpResponse:
    """200 when those sessions are gone, whether or not there were any; 400 for anything that proves nothing.

    Also heard from a provider that is switched off: it may still take sessions away.
    """
    at = timezone.now()
    try:
        provider = selectors.get_provider(slug)
        leaving = read_logout_token(_token(request), provider, at=at)
        services.end_by_logout_token(provider=provider, leaving=leaving, at=at)
    except UnknownProvider as refusal:
        return _answer(404, refusal.message)
    except (TokenRefused, TokenSpent) as error:
        log.warning("Logout token at %s refused: %s", slug, error)
        return _answer(400, "The logout token cannot be used.")
    return _no_store(HttpResponse(status=200))


def _token(request: HttpRequest) -> str:
    """Raises TokenRefused for a body that is no such form."""
    try:
        length = int(request.headers.get("Content-Length") or 0)
        if request.content_type != FORM or length > LARGEST:
            raise TokenRefused("The body is no form, or too large.")
        return request.POST.get("logout_token", "")
    except (RequestDataTooBig, SuspiciousOperation, UnreadablePostError, MultiPartParserError, ValueError) as error:
        raise TokenRefused("The body cannot be read.") from error


def _answer(status: int, words: str) -> HttpResponse:
    return _no_store(JsonResponse({"error": "invalid_request", "error_description": words}, status=status))


def _no_store(answer: HttpResponse) -> HttpResponse:
    answer.headers["Cache-Control"] = "no-store"
    return answer
