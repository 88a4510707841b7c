"""The catalogue: what there is to reach, and where it comes from."""

from __future__ import annotations

from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET

from apps.catalog import selectors
from apps.catalog.models import Sensitivity, Service
from apps.identity import selectors as identity
from apps.identity.models import Kind
from apps.identity.pages import asked_text


@require_GET
def catalogue(request: HttpRequest) -> HttpResponse:
    """Services by name; words are looked for in their routes too."""
    asked = {name: asked_text(request, name) for name in ("q", "team", "sensitivity")}
    page = selectors.list_services(
        query=asked["q"], team=asked["team"], sensitivity=asked["sensitivity"], after=asked_text(request, "after")
    )
    services = list(page.items)
    prefetch_related_objects(services, "exposures")
    context = {
        "rows": [(service, *doors_of(service)) for service in services],
        "after": page.after,
        "teams": identity.list_subjects(kind=Kind.TEAM)[:50],
        "sensitivities": Sensitivity,
        "asked": asked,
        "is_filtered": any(asked.values()),
    }
    return TemplateResponse(request, "catalog/catalogue.html", context)


def doors_of(service: Service) -> tuple[str, str, str]:
    """The state to draw for each door, and the words: a door that exists is closed until it is opened to somebody."""
    points = {exposure.point for exposure in service.exposures.all()}
    edge, mesh = ("closed" if point in points else "" for point in ("edge", "mesh"))
    words = {(True, True): "Edge and mesh", (True, False): "Edge only", (False, True): "Mesh only"}
    return edge, mesh, words.get((bool(edge), bool(mesh)), "No door")
