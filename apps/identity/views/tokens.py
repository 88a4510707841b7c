"""API tokens: made, shown once, revoked."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from apps.audit.errors import Refusal
from apps.identity import selectors, services
from apps.identity.forms import TokenForm
from apps.identity.models import ApiToken, Kind, Subject
from apps.identity.pages import PageRequest
from apps.identity.services import IssuedToken


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables()
def tokens(request: PageRequest) -> HttpResponse:
    """The answer to a POST is the page itself: the secret goes nowhere but onto it."""
    subjects = [one for one in selectors.acting_for(request.subject) if one.kind != Kind.TEAM]
    form = TokenForm(request.POST or None, subjects=subjects, initial={"subject": request.subject.key})
    issued = _issue(request, form) if request.method == "POST" and form.is_valid() else None
    context = {
        "form": TokenForm(subjects=subjects) if issued else form,
        "issued": issued,
        "rows": _list(subjects),
        "now": timezone.now(),
    }
    return TemplateResponse(request, "identity/tokens.html", context, status=422 if form.errors and not issued else 200)


def _issue(request: PageRequest, form: TokenForm) -> IssuedToken | None:
    at, given = timezone.now(), form.cleaned_data
    try:
        return services.issue_api_token(
            subject_key=given["subject"],
            name=given["name"],
            scopes=given["scopes"],
            expires_at=at + timedelta(days=given["days"]),
            actor=request.subject.actor,
            at=at,
        )
    except Refusal as refusal:
        form.add_error(None, refusal.message)
        for name, complaints in refusal.fields.items():
            form.add_error(name if name in form.fields else None, complaints)
        return None


def _list(subjects: list[Subject]) -> list[ApiToken]:
    found = ApiToken.objects.filter(subject__in=subjects, revoked_at=None).select_related("subject")
    return list(found.order_by("-created_at", "-id")[:100])


@require_POST
def revoke(request: PageRequest, token_id: int) -> HttpResponse:
    token = services.revoke_api_token(token_id=token_id, actor=request.subject.actor, at=timezone.now())
    messages.success(request, f"{token.name} is revoked. Whoever uses it is refused from now on.")
    return redirect("tokens")
