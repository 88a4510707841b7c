"""Pages that know several apps: home, finding anything, the gallery; and what every page shares."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET, require_POST

from apps.compiler.reasons import TEXTS
from console import gallery
from console.context import THEME_COOKIE, THEMES
from console.middleware import came_from

YEAR = 365 * 24 * 3600


@require_POST
@login_not_required
def theme(request: HttpRequest) -> HttpResponse:
    response = redirect(came_from(request))
    chosen = request.POST.get("theme", "auto")
    if chosen in THEMES:
        secure = request.is_secure()
        response.set_cookie(THEME_COOKIE, chosen, max_age=YEAR, samesite="Lax", secure=secure, httponly=True)
    return response


@require_GET
@login_not_required
def reasons(request: HttpRequest) -> HttpResponse:
    """Every reason a door may give, in words. Denials point here."""
    return TemplateResponse(request, "console/reasons.html", {"texts": TEXTS.items()})


@require_GET
def settings_home(request: HttpRequest) -> HttpResponse:
    """The settings begin with what everybody may set: their own tokens."""
    return redirect("tokens")


@require_GET
def show_gallery(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "console/gallery.html", gallery.context())
