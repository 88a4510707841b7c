"""What a trial sign-in brought: every claim, the groups, and whom it would sign in. Nobody is signed in by it."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps.identity import selectors
from apps.identity.providers.claims import Proved


def show_trial(request: HttpRequest, proved: Proved) -> HttpResponse:
    claims = [(name, _words(proved.claims[name])) for name in sorted(proved.claims)]
    context = {
        "provider": proved.provider,
        "proved": proved,
        "claims": claims,
        "groups": proved.groups,
        "gave_refresh_token": proved.refresh_token != "",
        "person": selectors.find_by_login(issuer=proved.issuer, sub=proved.subject),
    }
    return TemplateResponse(request, "identity/provider_trial.html", context)


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:2000]
