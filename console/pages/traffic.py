"""How calls to one service are treated: its versions, the rules in force, and what is asked for."""

from __future__ import annotations

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.access import selectors as access
from apps.access.wishes import Wish
from apps.catalog import selectors as catalog
from apps.identity.pages import PageRequest

FEW = 20


@require_GET
def show(request: PageRequest, slug: str) -> HttpResponse:
    service = catalog.get_service(slug)
    usual = [one for one in catalog.list_exposures(service) if one.environment.is_default]
    rules = access.list_rules_of(service, viewer=request.subject, at=timezone.now())
    context = {
        "service": service,
        "shape": catalog.shape_of(service, (), usual),
        "rules": rules.standing,
        "asked": [(one, Wish.from_json(one.treatment or {})) for one in rules.asked[:FEW]],
    }
    return TemplateResponse(request, "catalog/traffic.html", context)
