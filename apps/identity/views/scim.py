"""Directories that push to us: their tokens, what they sent, and the last exchanges. For administrators."""

from __future__ import annotations

import json
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.identity import services
from apps.identity.models import Channel, IdentityCenter, Role
from apps.identity.pages import PAGE_SIZE, PageRequest, asked_text, require_role
from apps.identity.scim import reading

LIFE = timedelta(days=365)


@require_GET
def directories(request: PageRequest) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    context = {"rows": list(reading.list_directories()), "address": address()}
    return TemplateResponse(request, "identity/directories.html", context)


def address() -> str:
    return f"{settings.SALLYPORT_URL}/scim/v2/"


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables()
def directory(request: PageRequest, slug: str) -> HttpResponse:
    """A POST makes a token, and its answer is the page itself: the secret goes nowhere but onto it."""
    require_role(request, Role.ADMINISTRATOR)
    at, issued = timezone.now(), None
    (provider, counts), query = reading.get_pushed(slug), asked_text(request, "q")
    if request.method == "POST":
        issued = services.issue_provider_secret(
            provider_slug=slug, channel=Channel.SCIM, expires_at=at + LIFE, actor=request.subject.actor, at=at
        )
    users = list(reading.list_users(provider, text=query)[: PAGE_SIZE + 1])
    groups = list(reading.list_groups(provider, text=query)[: PAGE_SIZE + 1])
    center = IdentityCenter.objects.filter(provider=provider).first() if provider.only_describes else None
    context = {
        "provider": provider,
        "center": center,
        "address": address(),
        "counts": counts,
        "query": query,
        "users": users[:PAGE_SIZE],
        "more_users": len(users) > PAGE_SIZE,
        "issued": issued,
        "secrets": list(reading.list_secrets(provider, at)) if center is None else [],
        "groups": groups[:PAGE_SIZE],
        "more": len(groups) > PAGE_SIZE,
        "alerts": list(reading.list_alerts(provider, at)[:5]),
        "pending": counts.paused,
    }
    return TemplateResponse(request, "identity/directory.html", context)


@require_POST
def revoke(request: PageRequest, secret_id: int) -> HttpResponse:
    secret = services.revoke_provider_secret(secret_id=secret_id, actor=request.subject.actor, at=timezone.now())
    messages.success(request, f"{secret.prefix}… is revoked. Whoever pushes with it is refused from now on.")
    return redirect("directory", slug=secret.provider.slug)


@require_GET
def exchanges(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    provider = reading.get_provider(slug)
    after, failed = asked_text(request, "before"), asked_text(request, "show") == "failed"
    before = int(after) if after.isdecimal() and len(after) < 19 else None
    rows = list(reading.list_exchanges(provider, before=before, failed=failed)[: PAGE_SIZE + 1])
    context = {
        "provider": provider,
        "rows": rows[:PAGE_SIZE],
        "before": rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None,
        "failed": failed,
    }
    return TemplateResponse(request, "identity/scim_log.html", context)


@require_GET
def exchange(request: PageRequest, exchange_id: int) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    found = reading.get_exchange(exchange_id)
    context = {"one": found, "asked": _pretty(found.request_body), "answered": _pretty(found.response_body)}
    return TemplateResponse(request, "identity/scim_exchange.html", context)


def _pretty(text: str) -> str:
    """Indented, when it was short enough to be kept whole."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
