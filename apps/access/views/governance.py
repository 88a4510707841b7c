"""The rules by which requests are decided, and the walls nobody opens."""

from __future__ import annotations

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET

from apps.access import policies
from apps.access.models import ApprovalRule, Guardrail
from apps.identity.pages import PageRequest
from apps.identity.selectors import has_role


@require_GET
def rules(request: PageRequest) -> HttpResponse:
    found = ApprovalRule.objects.order_by("-enabled", "slug")
    context = {
        "rows": [(rule, when_words(rule)) for rule in found[:200]],
        "governs": has_role(request.subject, *policies.GOVERNORS),
    }
    return TemplateResponse(request, "access/rules.html", context)


@require_GET
def guardrails(request: PageRequest) -> HttpResponse:
    found = Guardrail.objects.order_by("-enabled", "slug")
    context = {
        "rows": [(wall, reach_words(wall)) for wall in found[:200]],
        "governs": has_role(request.subject, *policies.GOVERNORS),
    }
    return TemplateResponse(request, "access/guardrails.html", context)


def when_words(rule: ApprovalRule) -> str:
    """When a rule matches: "sensitive, critical; POST, DELETE"; every request when it names nothing."""
    selectors = (rule.services, rule.sensitivities, rule.subject_kinds, rule.methods, rule.points)
    return "; ".join(", ".join(values) for values in selectors if values) or "every request"


def reach_words(wall: Guardrail) -> str:
    who = [*(f"every {kind}" for kind in wall.kinds), *wall.subjects]
    selectors = (who, wall.services, wall.routes, wall.methods, wall.points)
    return "; ".join(", ".join(values) for values in selectors if values) or "everybody, everywhere"
