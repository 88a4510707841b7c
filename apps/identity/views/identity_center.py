"""Adding an identity store of AWS, and having it read now. For administrators."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.identity import services
from apps.identity.identity_center.reading import ACTIONS
from apps.identity.models import Role
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.identity.proofs.aws_directory import policy


class CenterForm(forms.Form):
    name = forms.CharField(max_length=100, initial="AWS IAM Identity Center")
    slug = forms.CharField(label="Short name", max_length=40, initial="aws", help_text="It stays as it is.")
    region = forms.CharField(max_length=30, help_text="Where Identity Center is, such as eu-central-1.")
    store_id = forms.CharField(label="Identity store ID", max_length=64, help_text="Such as d-1234567890.")
    instance = forms.CharField(max_length=64, help_text="The last part of the instance ARN: ssoins-…")
    role = forms.CharField(
        max_length=200, required=False, help_text="The ARN of a role to take. Empty reads as the console itself."
    )


@require_http_methods(["GET", "POST"])
def add(request: PageRequest) -> HttpResponse:
    require_role(request, Role.ADMINISTRATOR)
    form = CenterForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _add(request, form):
        messages.success(request, "Added. It is being read for the first time.")
        return redirect("directory", slug=form.cleaned_data["slug"])
    context = {"form": form, "policy": policy(ACTIONS, "SallyportReadsIdentityCenter")}
    status = 422 if form.errors else 200
    return TemplateResponse(request, "identity/identity_center_form.html", context, status=status)


def _add(request: PageRequest, form: CenterForm) -> bool:
    given = {name: value.strip() for name, value in form.cleaned_data.items()}
    slug, actor, at = given.pop("slug"), request.subject.actor, timezone.now()
    with complaints_on(form):
        services.add_identity_center(slug=slug, facts=services.CenterFacts(**given), actor=actor, at=at)
        services.ask_to_read(slug=slug, confirmed=False, actor=actor, at=at)
    return form.is_valid()


@require_POST
def read(request: PageRequest, slug: str) -> HttpResponse:
    confirmed = request.POST.get("confirmed") == "yes"
    services.ask_to_read(slug=slug, confirmed=confirmed, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "Asked for. This page says when it was read.")
    return redirect("directory", slug=slug)
