"""Signing in and out, and the identity side of the settings."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import NotFound
from apps.identity import selectors, services
from apps.identity.entering import enter
from apps.identity.models import Kind, Membership, Provider, Subject
from apps.identity.pages import is_ours
from apps.identity.providers.leaving import end_session_address

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
        "providers": list(selectors.list_open_providers()),
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
    enter(request, subject, way="demo", at=timezone.now())
    return redirect(next_page(request))


@require_POST
@login_not_required
@sensitive_variables()
def sign_out(request: HttpRequest) -> HttpResponse:
    """Here, and at the provider the session came from, where it has a place for that."""
    left = services.note_sign_out(session_key=request.session.session_key or "", at=timezone.now())
    logout(request)
    if left is None:
        return redirect("sign_in")
    address = end_session_address(left.provider, id_token=left.id_token, state=get_random_string(32))
    return go_to(request, address, left.provider) if address else redirect("sign_in")


def go_to(request: HttpRequest, address: str, provider: Provider) -> HttpResponse:
    """A page that leads to a provider. A form may not: the content security policy lets forms go to us alone."""
    answer = TemplateResponse(request, "identity/leave.html", {"address": address, "provider": provider})
    answer.headers["Cache-Control"] = "no-store"
    return answer


def next_page(request: HttpRequest) -> str:
    wish = request.POST.get("next") or request.GET.get("next") or "/"
    return wish if is_ours(request, wish) else "/"


def demo_people() -> list[Subject]:
    """Those of the story first, then everybody else, each with their teams."""
    teams = Prefetch("team_memberships", Membership.objects.select_related("team").order_by("team__name"))
    found = selectors.list_subjects().filter(kind__in=DEMO_KINDS).prefetch_related(teams, "console_roles")
    return sorted(found, key=lambda one: (one.key not in DEMO_FIRST, _place(one.key), one.name))


def _place(key: str) -> int:
    return DEMO_FIRST.index(key) if key in DEMO_FIRST else len(DEMO_FIRST)
