"""Somebody's ways to sign in."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from apps.identity import selectors, services
from apps.identity.errors import StepUpNeeded, UnknownProvider
from apps.identity.freshness import Freshness
from apps.identity.models import SignIn
from apps.identity.pages import PageRequest
from apps.identity.providers.away import begin
from apps.identity.providers.flows import Flow, Purpose
from apps.identity.services import LINK_WITHIN
from apps.identity.views.sessions import go_to


@require_POST
def link_own(request: PageRequest, slug: str) -> HttpResponse:
    """Begin to prove a second sign-in. One's own must be fresh before, and the other one's will be asked for afresh."""
    provider, at = selectors.get_provider(slug), timezone.now()
    if not provider.enabled or provider.discovered_at is None:
        raise UnknownProvider
    back = reverse("subject", args=[request.subject.key])
    own = Freshness(request.session.session_key).sign_in
    proved_at = own.authenticated_at if own else None
    if proved_at is None or proved_at < at - LINK_WITHIN:
        return _prove_first(request, own, back)
    flow = Flow(
        provider=slug,
        purpose=Purpose.LINK,
        target=back,
        begun_at=int(at.timestamp()),
        max_age=int(LINK_WITHIN.total_seconds()),
    )
    return go_to(request, begin(request, provider, flow), provider)


def _prove_first(request: PageRequest, own: SignIn | None, back: str) -> HttpResponse:
    """To one's own provider and back, where one has one; the demo and the break-glass door are signed in at again."""
    if own is None or own.provider is None:
        raise StepUpNeeded("Sign out and in again first: your sign-in must be less than five minutes old for this.")
    messages.warning(request, "Your own sign-in must be less than five minutes old for this. Sign in again, then link.")
    return go_to(request, Freshness(own.session_key).step_up_url(back), own.provider)


@require_POST
def link(request: PageRequest, key: str) -> HttpResponse:
    """An administrator says whose a sign-in is."""
    provider = selectors.get_provider(request.POST.get("provider", ""))
    services.link_login(
        issuer=provider.issuer,
        sub=request.POST.get("sub", "").strip(),
        subject_key=key,
        actor=request.subject.actor,
        at=timezone.now(),
    )
    messages.success(request, f"They can sign in with {provider.name} now.")
    return redirect("subject", key=key)


@require_POST
def unlink(request: PageRequest, login_id: int) -> HttpResponse:
    subject = services.unlink_login(login_id=login_id, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "Unlinked. The sessions that came by it have ended.")
    return redirect("subject", key=subject.key)
