"""Addresses of the pages of old rule bases."""

from __future__ import annotations

from django.urls import path

from apps.firewall.views import rule_bases as views

urlpatterns = [
    path("", views.rule_bases, name="rule_bases"),
    path("cleanings/<slug:public_id>/", views.cleaning, name="rule_base_cleaning"),
    path("cleanings/<slug:public_id>/decide", views.decide, name="rule_base_decide"),
    path("cleanings/<slug:public_id>/text", views.cleaned_text, name="rule_base_cleaned"),
    path("<slug:public_id>/", views.show, name="rule_base"),
    path("<slug:public_id>/lines/", views.lines, name="rule_base_lines"),
    path("<slug:public_id>/ask/", views.ask, name="rule_base_ask"),
    path("<slug:public_id>/propose", views.propose, name="rule_base_propose"),
    path("<slug:public_id>/delete", views.delete, name="rule_base_delete"),
    path("<slug:public_id>/text", views.text, name="rule_base_text"),
]
