"""Setting up identity providers, for administrators: choose a preset, follow its steps, test, try, switch on."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.identity import selectors, services
from apps.identity.models import Preset, Provider, Role
from apps.identity.pages import PageRequest, asked_text, complaints_on, require_role
from apps.identity.providers.addresses import addresses_of
from apps.identity.providers.client_auth import find_signing_key, live_keys
from apps.identity.providers.discovery import Report, examine
from apps.identity.providers.presets import GUIDES, steps_of
from apps.identity.views.provider_forms import ProviderForm, present, suggestions


@require_GET
def providers(request: PageRequest) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    return TemplateResponse(request, "identity/providers.html", {"rows": list(selectors.list_providers()[:200])})


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("client_secret")
def add(request: PageRequest) -> HttpResponse:
    """First which directory it is; then a form that knows most of the answers."""
    require_role(request, Role.ADMINISTRATOR)
    wish = request.POST.get("preset") or asked_text(request, "preset")
    if wish not in GUIDES:
        return TemplateResponse(request, "identity/provider_preset.html", {"presets": list(GUIDES)})
    preset = Preset(wish)
    form = ProviderForm(request.POST or None, initial=suggestions(preset))
    provider = _add(request, form, preset) if request.method == "POST" and form.is_valid() else None
    if provider is not None:
        messages.success(request, "Added. Nobody can sign in there yet: test it, try it, then switch it on.")
        return redirect("provider", slug=provider.slug)
    slug = form["slug"].value() or ""
    return _form(request, form, preset, slug if isinstance(slug, str) else "", None)


def _add(request: PageRequest, form: ProviderForm, preset: Preset) -> Provider | None:
    with complaints_on(form):
        return services.add_provider(
            slug=form.cleaned_data["slug"],
            facts=form.facts(preset),
            client_secret=form.cleaned_data["client_secret"],
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return None


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("client_secret")
def edit(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    provider = selectors.get_provider(slug)
    if provider.only_describes:
        return redirect("directory", slug=slug)
    form = ProviderForm(request.POST or None, initial=present(provider), provider=provider)
    if request.method == "POST" and form.is_valid() and _change(request, form, provider):
        messages.success(request, "Saved. Test it again before somebody needs it.")
        return redirect("provider", slug=slug)
    return _form(request, form, Preset(provider.preset), slug, provider)


def _change(request: PageRequest, form: ProviderForm, provider: Provider) -> bool:
    with complaints_on(form):
        services.change_provider(
            slug=provider.slug,
            facts=form.facts(provider.preset),
            client_secret=form.cleaned_data["client_secret"],
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return form.is_valid()


def _form(
    request: PageRequest, form: ProviderForm, preset: Preset, slug: str, provider: Provider | None
) -> HttpResponse:
    context = {
        "form": form,
        "preset": preset,
        "provider": provider,
        "guide": GUIDES[preset],
        **_guidance(preset, slug),
    }
    status = 422 if form.errors else 200
    return TemplateResponse(request, "identity/provider_form.html", context, status=status)


def _guidance(preset: str, slug: str) -> dict[str, object]:
    """The clicks at the provider, and what is pasted there. Until there is a short name, it stands for itself."""
    usable = slug if services.SLUG.fullmatch(slug) else "short-name"
    addresses = addresses_of(usable)
    return {"steps": steps_of(preset, addresses), "addresses": addresses, "beware": GUIDES[Preset(preset)].beware}


@require_GET
def show(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    provider = selectors.get_provider(slug)
    return redirect("directory", slug=slug) if provider.only_describes else _show(request, provider, None)


def _show(request: PageRequest, provider: Provider, report: Report | None) -> HttpResponse:
    at = timezone.now()
    context = {
        "provider": provider,
        "report": report,
        "keys": live_keys(provider, at=at),
        "signing_key": find_signing_key(provider, at=at),
        **_guidance(provider.preset, provider.slug),
    }
    return TemplateResponse(request, "identity/provider.html", context)


@require_POST
def test(request: PageRequest, slug: str) -> HttpResponse:
    """Ask the provider what it is. What a usable answer says is kept; the answer to this is the page, with findings."""
    require_role(request, Role.ADMINISTRATOR)
    provider, at = selectors.get_provider(slug), timezone.now()
    if provider.only_describes:
        return redirect("directory", slug=slug)
    report = examine(provider, at=at)
    if report.is_usable:
        actor = request.subject.actor
        provider = services.note_discovery(slug=slug, endpoints=report.endpoints, actor=actor, at=at)
    return _show(request, provider, report)


@require_POST
def switch(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    on = request.POST.get("to") == "on"
    provider = services.switch_provider(slug=slug, enabled=on, actor=request.subject.actor, at=timezone.now())
    messages.success(request, _switched(provider, on))
    return redirect("provider", slug=slug)


def _switched(provider: Provider, on: bool) -> str:
    if provider.only_describes:
        return f"{provider.name} is {'read again' if on else 'not read any more'}."
    return f"{'People can sign in with' if on else 'Nobody can sign in any more with'} {provider.name}."
