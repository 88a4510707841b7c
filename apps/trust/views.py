"""Where the edge sends browsers to sign in."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET

from apps.identity.pages import PageRequest
from apps.trust import edge_sessions

FROM_ELSEWHERE = {"cross-site", "same-site", "none"}


@require_GET
@sensitive_variables()
def edge_sign_in(request: PageRequest) -> HttpResponse:
    """Back to the edge with a session. Whoever is not signed in was asked to by the middleware, and then comes here.

    That is after a form of ours, and our content security policy lets forms lead to us alone: then a page leads on.
    """
    asked = edge_sessions.read({name: str(request.GET[name]) for name in request.GET})
    address = edge_sessions.send_back(asked, subject=request.subject.key, at=timezone.now())
    answer: HttpResponse
    if request.headers.get("Sec-Fetch-Site") in FROM_ELSEWHERE:
        answer = HttpResponseRedirect(address)
    else:
        answer = TemplateResponse(request, "trust/edge_sign_in.html", {"address": address, "host": asked.host})
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer
