"""Keys by which this console proves itself to a provider: public halves for everybody, buttons for administrators."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import Refusal
from apps.identity import selectors, services
from apps.identity.pages import PageRequest
from apps.identity.providers.client_auth import live_keys

FRESH = 300


@require_GET
def jwks(request: HttpRequest, slug: str) -> HttpResponse:
    """RFC 7517. Whoever fetches it is a provider; there is nothing secret in it."""
    try:
        provider = selectors.get_provider(slug)
    except Refusal as refusal:
        return JsonResponse({"error": refusal.code, "error_description": refusal.message}, status=refusal.status)
    keys = [key.public_jwk for key in live_keys(provider, at=timezone.now())]
    return JsonResponse({"keys": keys}, headers={"Cache-Control": f"public, max-age={FRESH}"})


@require_POST
def make(request: PageRequest, slug: str) -> HttpResponse:
    key = services.make_client_key(provider_slug=slug, actor=request.subject.actor, at=timezone.now())
    now = key.signs_from == key.created_at
    messages.success(request, "Made, and in use." if now else "Made and published. It signs from tomorrow on.")
    return redirect("provider", slug=slug)


@require_POST
def take_away(request: PageRequest, slug: str, key_id: int) -> HttpResponse:
    actor, at = request.subject.actor, timezone.now()
    services.take_client_key_away(provider_slug=slug, key_id=key_id, actor=actor, at=at)
    messages.success(request, "Taken away. What is left signs from now on.")
    return redirect("provider", slug=slug)
