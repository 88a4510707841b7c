"""Setting up who tells us that somebody left: for administrators, one page for each provider."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from apps.identity import senders, services
from apps.identity.forms import SignalSourceForm
from apps.identity.models import Provider
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.identity.services import IssuedSecret


@require_GET
def sender(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, "administrator")
    return _page(request, senders.get_sender(slug))


def _page(
    request: PageRequest,
    provider: Provider,
    *,
    form: SignalSourceForm | None = None,
    issued: IssuedSecret | None = None,
) -> HttpResponse:
    source = senders.find_source_of(provider)
    context = {
        "provider": provider,
        "source": source,
        "form": form or SignalSourceForm(initial=_initial(provider, source)),
        "issued": issued,
        "secrets": senders.list_hook_secrets(provider, at=timezone.now()),
        "hook": _address("signals-okta-events", provider),
        "revocation": _address("signals-global-token-revocation", provider),
        "push": _address("ssf-events", provider),
    }
    status = 422 if form is not None and form.errors else 200
    return TemplateResponse(request, "identity/signal_sender.html", context, status=status)


def _address(name: str, provider: Provider) -> str:
    return f"{settings.SALLYPORT_URL}{reverse(name, args=[provider.slug])}"


def _initial(provider: Provider, source: object) -> dict[str, object]:
    if source is not None:
        return {name: getattr(source, name) for name in ("issuer", "jwks_uri", "audience")}
    return {"issuer": provider.issuer, "audience": settings.SALLYPORT_URL}


@never_cache
@require_POST
@sensitive_variables()
def make_secret(request: PageRequest, slug: str) -> HttpResponse:
    """The answer is the page itself: the secret goes nowhere but onto it."""
    issued = services.issue_hook_secret(provider_slug=slug, actor=request.subject.actor, at=timezone.now())
    return _page(request, senders.get_sender(slug), issued=issued)


@require_POST
def revoke_secret(request: PageRequest, slug: str, secret_id: int) -> HttpResponse:
    actor, at = request.subject.actor, timezone.now()
    services.revoke_provider_secret(secret_id=secret_id, actor=actor, at=at)
    messages.success(request, "Revoked. Hooks that still show it are refused from now on.")
    return redirect("signal_sender", slug=slug)


@require_POST
def source(request: PageRequest, slug: str) -> HttpResponse:
    """Take Shared Signals, or take none any more."""
    require_role(request, "administrator")
    actor, at = request.subject.actor, timezone.now()
    if request.POST.get("to") == "none":
        services.forget_signal_source(provider_slug=slug, actor=actor, at=at)
        messages.success(request, "Shared Signals are refused from now on.")
        return redirect("signal_sender", slug=slug)
    form = SignalSourceForm(request.POST)
    if form.is_valid():
        with complaints_on(form):
            services.set_signal_source(provider_slug=slug, actor=actor, at=at, **form.cleaned_data)
    if form.errors:
        return _page(request, senders.get_sender(slug), form=form)
    messages.success(request, "Shared Signals of this transmitter are taken.")
    return redirect("signal_sender", slug=slug)
