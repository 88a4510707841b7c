"""Addresses below /api/v1/firewall/rulebases/."""

from __future__ import annotations

from django.urls import path

from apps.firewall import rule_base_api as api

urlpatterns = [
    path("", api.RuleBases.as_view(), name="rule-bases"),
    path("cleanings/<slug:public_id>/", api.CleaningDetail.as_view(), name="rule-base-cleaning"),
    path("cleanings/<slug:public_id>/decide/", api.CleaningDecide.as_view(), name="rule-base-decide"),
    path("<slug:public_id>/", api.RuleBaseDetail.as_view(), name="rule-base"),
    path("<slug:public_id>/findings/", api.RuleBaseFindings.as_view(), name="rule-base-findings"),
    path("<slug:public_id>/lines/", api.RuleBaseLines.as_view(), name="rule-base-lines"),
    path("<slug:public_id>/cleanings/", api.RuleBaseCleanings.as_view(), name="rule-base-cleanings"),
]
