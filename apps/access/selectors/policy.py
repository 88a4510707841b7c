"""The rules and guardrails as they are set. Everybody may read what they are judged by."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.access import refusals
from apps.access.models import ApprovalRule, Guardrail


def list_rules() -> QuerySet[ApprovalRule]:
    return ApprovalRule.objects.order_by("slug")


def list_guardrails() -> QuerySet[Guardrail]:
    return Guardrail.objects.order_by("slug")


def get_rule(slug: str) -> ApprovalRule:
    rule = ApprovalRule.objects.filter(slug=slug).first()
    if rule is None:
        raise refusals.UnknownRule
    return rule


def get_guardrail(slug: str) -> Guardrail:
    guardrail = Guardrail.objects.filter(slug=slug).first()
    if guardrail is None:
        raise refusals.UnknownGuardrail
    return guardrail
