"""The catalogue: what there is to reach, and where it comes from."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.catalog import policies, selectors, services
from apps.catalog.models import Sensitivity, Service
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text

LARGEST_UPLOAD = 8 * 1024 * 1024


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
        "teams": identity.list_subjects(kind="team")[:50],
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


@require_http_methods(["GET", "POST"])
def import_catalogue(request: PageRequest) -> HttpResponse:
    """First what it would change, then the change. The text travels with the form, so nothing waits on the server."""
    text, source, complaint = read_upload(request) if request.method == "POST" else ("", "", "")
    sure = request.POST.get("sure") == "1" and not complaint
    result = None
    if text and not complaint:
        result = services.import_catalog(
            text=text, source=source, actor=request.subject.actor, at=timezone.now(), dry_run=not sure
        )
    if result is not None and result.ok and sure:
        messages.success(request, f"Imported: {len(result.changes)} changes, {result.unchanged} things unchanged.")
        return redirect("catalogue")
    context = {
        "text": text,
        "source": source,
        "result": result,
        "complaint": complaint,
        "may": policies.can_import(request.subject.actor),
        "runs": selectors.list_import_runs(5),
    }
    failed = complaint or (result is not None and not result.ok)
    return TemplateResponse(request, "catalog/import.html", context, status=422 if failed else 200)


def read_upload(request: PageRequest) -> tuple[str, str, str]:
    """Text, the name of its source, and a complaint."""
    file = request.FILES.get("file")
    if file is None:
        text, source = request.POST.get("text", ""), request.POST.get("source", "")[:200]
        return text, source or "pasted", "" if text.strip() else "Choose a file first."
    if file.size is None or file.size > LARGEST_UPLOAD:
        return "", "", "The file is larger than 8 MB."
    try:
        return file.read().decode("utf-8-sig"), (file.name or "upload")[:200], ""
    except UnicodeDecodeError:
        return "", "", "The file is not UTF-8 text, so it is no catalogue."
