"""Signing in and out, and the identity side of the settings."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import NotFound
from apps.identity import selectors, services
from apps.identity.models import Kind, Membership, Subject

BACKEND = "django.contrib.auth.backends.ModelBackend"
DEMO_KINDS = (Kind.PERSON, Kind.AGENT)
DEMO_FIRST = ("person:ada", "person:ben", "person:cyd", "agent:release-bot")


@require_GET
@login_not_required
@ensure_csrf_cookie
def sign_in(request: HttpRequest) -> HttpResponse:
    target = next_page(request)
    if getattr(request, "subject", None) is not None:
        return redirect(target)
    context = {
        "next": target,
        "oidc": bool(settings.OIDC_RP_CLIENT_ID),
        "people": demo_people() if settings.SALLYPORT_DEMO else (),
    }
    return TemplateResponse(request, "identity/sign_in.html", context)


@require_POST
@login_not_required
def demo_sign_in(request: HttpRequest, key: str) -> HttpResponse:
    """One click instead of a provider: in the demo only, and the record says so."""
    if not settings.SALLYPORT_DEMO:
        raise NotFound
    subject = selectors.get_subject(key)
    if subject.kind not in DEMO_KINDS:
        raise NotFound
    at = timezone.now()
    user = services.note_sign_in(subject=subject, way="demo", at=at)
    login(request, user, backend=BACKEND)
    services.remember_session(subject=subject, session_key=saved_key(request), at=at)
    return redirect(next_page(request))


def saved_key(request: HttpRequest) -> str:
    """The name of the session, which has one only once it is saved."""
    request.session.save()
    return str(request.session.session_key)


@require_POST
@login_not_required
@sensitive_variables()
def sign_out(request: HttpRequest) -> HttpResponse:
    services.forget_session(session_key=request.session.session_key or "")
    logout(request)
    return redirect("sign_in")


def next_page(request: HttpRequest) -> str:
    wish = request.POST.get("next") or request.GET.get("next") or "/"
    return wish if url_has_allowed_host_and_scheme(wish, {request.get_host()}) else "/"


def demo_people() -> list[Subject]:
    """Those of the story first, then everybody else, each with their teams."""
    teams = Prefetch("team_memberships", Membership.objects.select_related("team").order_by("team__name"))
    found = selectors.list_subjects().filter(kind__in=DEMO_KINDS).prefetch_related(teams, "console_roles")
    return sorted(found, key=lambda one: (one.key not in DEMO_FIRST, _place(one.key), one.name))


def _place(key: str) -> int:
    return DEMO_FIRST.index(key) if key in DEMO_FIRST else len(DEMO_FIRST)
