"""How calls to one service are treated: its versions, the rules in force, and what is asked for."""

from __future__ import annotations

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.access.traffic import Wish
from apps.catalog import selectors as catalog
from apps.identity.pages import PageRequest

FEW = 20


@require_GET
def show(request: PageRequest, slug: str) -> HttpResponse:
    service = catalog.get_service(slug)
    usual = [one for one in catalog.list_exposures(service) if one.environment.is_default]
    asked = access.list_rules_asked(service, viewer=request.subject)[:FEW]
    context = {
        "service": service,
        "shape": catalog.shape_of(service, (), usual),
        "rules": access.list_rules_of(service, viewer=request.subject, at=timezone.now()),
        "asked": [(one, Wish.from_json(one.treatment or {})) for one in asked],
    }
    return TemplateResponse(request, "catalog/traffic.html", context)
