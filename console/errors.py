"""What goes wrong, as pages in the design. The server's own fault is shown without asking the database for anything."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import render
from django.template.loader import render_to_string

from console.context import STYLE_SHEETS, links
from console.problems import API, problem


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if request.path.startswith(API):
        return problem(400, "bad_request", "The request was not well formed.")
    return _page(request, 400, "This was not understood", "The request was not well formed. Go back and try again.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 403, "You may not do this", "Ask whoever runs this console if you think you should.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 404, "There is no such page", "It is not here, or it is not yours to see.")


def server_error(request: HttpRequest) -> HttpResponse:
    """The doors do not depend on the console: what is open stays open, and ends on time."""
    if request.path.startswith(API):
        return problem(500, "server_error", "This is our fault. Nothing was changed.")
    sheets = {"style_sheets": links(STYLE_SHEETS)}
    return HttpResponseServerError(render_to_string("errors/server_error.html", sheets))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = "The form was too old, or came from another site. Nothing was changed. Open the page again and resend it."
    return _page(request, 403, "This form could not be trusted", detail)


def _page(request: HttpRequest, status: int, title: str, detail: str) -> HttpResponse:
    return render(request, "errors/refused.html", {"title": title, "detail": detail, "status": status}, status=status)
