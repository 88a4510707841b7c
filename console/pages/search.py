"""Find anything: services, routes, requests, people and the pages themselves. Also what Ctrl-K shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text

if TYPE_CHECKING:
    from apps.identity.models import Subject

PAGES = (
    ("Ask for access", "request_new", "ask"),
    ("Home", "home", "home"),
    ("My access", "access", "key"),
    ("Requests that wait for me", "requests", "requests"),
    ("Catalogue", "catalogue", "catalogue"),
    ("Live calls", "live", "live"),
    ("Rollout", "rollout", "rollout"),
    ("Audit", "audit", "audit"),
    ("API tokens", "tokens", "settings"),
    ("What a refusal means", "reasons", "info"),
)
FEW = 6


@dataclass(frozen=True, slots=True)
class Found:
    label: str
    url: str
    kind: str
    icon: str
    who: Subject | None = None
    """Somebody is shown by their mark, so that the kind is seen before it is read."""


@require_GET
def search(request: PageRequest) -> HttpResponse:
    query = asked_text(request, "q")
    return TemplateResponse(request, "console/search.html", {"query": query, "found": list(find(request, query))})


def find(request: PageRequest, query: str) -> Iterator[Found]:
    words = query.lower().split()
    for label, name, icon in PAGES:
        if all(word in label.lower() for word in words):
            yield Found(label, reverse(name), "Page", icon)
    if len(query) < 2:
        return
    services = catalog.list_services(query=query, limit=4 * FEW).items
    for service in sorted(services, key=lambda one: not one.title.lower().startswith(query.lower()))[:FEW]:
        yield Found(service.title, reverse("service", args=[service.slug]), "Service", "catalogue")
        yield Found(f"Ask for {service.title}", f"{reverse('request_new')}?service={service.slug}", "Ask", "ask")
    if query.startswith("req_"):
        for asked in access.visible_requests(request.subject).filter(public_id__startswith=query)[:FEW]:
            yield Found(asked.public_id, reverse("request", args=[asked.public_id]), "Request", "requests")
    for subject in identity.list_subjects(query=query)[:FEW]:
        yield Found(subject.name, reverse("subject", args=[subject.key]), subject.get_kind_display(), "", subject)
