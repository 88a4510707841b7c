"""What every page shares on its way in and out."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from apps.audit.errors import Refusal
from apps.identity.pages import is_ours
from console import health

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class FragmentMiddleware(MiddlewareMixin):
    """htmx asks a page for the part it wants to replace: the partial named like the target element's id.

    Same address, same view, same template; a page without such a partial answers whole.
    """

    def process_template_response(self, request: HttpRequest, response: TemplateResponse) -> TemplateResponse:
        patch_vary_headers(response, ("HX-Request", "HX-Target"))
        target = request.headers.get("HX-Target", "")
        if request.headers.get("HX-Request") == "true" and target and isinstance(response.template_name, str):
            response.template_name = [f"{response.template_name}#{target}", response.template_name]
        return response


class RefusalMiddleware(MiddlewareMixin):
    """A refusal nobody caught becomes a page; a refused form returns to where it was sent from, with the words."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        if not isinstance(error, Refusal) or request.path.startswith("/api/"):
            return None
        if request.method in SAFE or error.status == 404:
            context = {"title": title_of(error.status), "detail": error.message, "status": error.status}
            return render(request, "errors/refused.html", context, status=error.status)
        messages.error(request, error.message)
        return redirect(came_from(request))


TITLES = {
    403: "You may not do this",
    404: "There is no such page",
    409: "This cannot be done",
    422: "Something is not right",
}


def title_of(status: int) -> str:
    return TITLES.get(status, "This cannot be done")


def came_from(request: HttpRequest) -> str:
    """The page a form was sent from, when it is one of ours."""
    before = request.POST.get("next") or request.headers.get("Referer", "")
    return before if is_ours(request, before) else "/"


class NoStoreMiddleware(MiddlewareMixin):
    """Pages hold who may do what: no shared cache keeps them, and a browser asks again before it shows an old one."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response


class HealthMiddleware(MiddlewareMixin):
    """Load balancers ask by address and in plain HTTP, so they are answered before either would be refused."""

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        answer = health.ADDRESSES.get(request.path)
        return answer(request) if answer else None


# These check their callers themselves: by token, by signature, or not at all because they are public.
OWN_DOORS = (
    "/api/",
    "/agent/",
    "/oauth/",
    "/oidc/",
    "/scim/",
    "/telemetry/v1/",
    "/.well-known/",
    "/static/",
    "/django-admin/",
)


class SignInMiddleware(MiddlewareMixin):
    """Every page needs somebody behind it unless it is marked ``login_not_required``: closed by default."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., object], args: object, kwargs: object
    ) -> HttpResponseBase | None:
        public = not getattr(view, "login_required", True) or request.path.startswith(OWN_DOORS)
        if public or getattr(request, "subject", None) is not None:
            return None
        if request.headers.get("HX-Request") == "true" or "text/event-stream" in request.headers.get("Accept", ""):
            return HttpResponse(status=401, headers={"HX-Refresh": "true"})
        return redirect_to_login(request.get_full_path())
