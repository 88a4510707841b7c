"""Addresses of the pages of firewall requests."""

from __future__ import annotations

from django.urls import include, path

from apps.firewall.views import requests, services, writing, zones

urlpatterns = [
    path("", writing.firewall, name="firewall"),
    path("new", writing.firewall_new, name="firewall_new"),
    path("copy", services.firewall_copy, name="firewall_copy"),
    path("rulebases/", include("apps.firewall.rule_base_urls")),
    path("zones/", zones.zones, name="zones"),
    path("zones/<slug:slug>/", zones.zone, name="zone"),
    path("zones/<slug:slug>/remove", zones.zone_remove, name="zone_remove"),
    path("decommission/<slug:slug>/", services.decommission, name="decommission"),
    path("decommission/<slug:slug>/decide", services.decommission_decide, name="decommission_decide"),
    path("<slug:public_id>/", requests.firewall_request, name="firewall_request"),
    path("<slug:public_id>/act", requests.firewall_act, name="firewall_act"),
    path("<slug:public_id>/lines/<int:number>/", requests.firewall_line, name="firewall_line"),
    path("<slug:public_id>/lines/<int:number>/ways/", requests.firewall_ways, name="firewall_ways"),
]
