"""Whose tokens about workloads are taken."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.audit.errors import InvalidInput
from apps.identity import policies, selectors
from apps.identity.models import Role
from apps.identity.pages import PageRequest, complaints_on
from apps.identity.proofs import issuers as services
from apps.identity.proofs.forms import IssuerForm, KeysForm


@require_http_methods(["GET", "POST"])
def issuers(request: PageRequest) -> HttpResponse:
    form = IssuerForm(request.POST or None)
    if request.method == "POST":
        policies.require_can_administer(request.subject.actor)
        if form.is_valid() and _add(request, form):
            return redirect("issuers")
    context = {
        "rows": services.list_issuers(),
        "form": form,
        "may_change": selectors.has_role(request.subject, Role.ADMINISTRATOR),
    }
    return TemplateResponse(request, "identity/issuers.html", context, status=422 if form.errors else 200)


def _add(request: PageRequest, form: IssuerForm) -> bool:
    with complaints_on(form):
        given = services.completed(form.given())
        made = services.add_issuer(given=given, actor=request.subject.actor, at=timezone.now())
        messages.success(request, f"Tokens of {made.slug} are checked from now on. Bind its subjects on their pages.")
    return form.is_valid()


@require_POST
def switch(request: PageRequest, slug: str) -> HttpResponse:
    if "jwks" in request.POST:
        return _give_keys(request, slug)
    enabled = request.POST.get("to") == "on"
    services.switch_issuer(slug=slug, enabled=enabled, actor=request.subject.actor, at=timezone.now())
    messages.success(request, f"{slug} is {'on' if enabled else 'off; no token of its is taken any more'}.")
    return redirect("issuers")


def _give_keys(request: PageRequest, slug: str) -> HttpResponse:
    form = KeysForm(request.POST)
    try:
        services.give_keys(
            slug=slug,
            jwks=form.keys() if form.is_valid() else {},
            actor=request.subject.actor,
            at=timezone.now(),
        )
    except InvalidInput as refusal:
        messages.error(request, " ".join(text for texts in refusal.fields.values() for text in texts))
    else:
        messages.success(request, f"{slug} has these keys now; what the old ones signed is no longer taken.")
    return redirect("issuers")
