"""Addresses below /api/v1/firewall/."""

from __future__ import annotations

from django.urls import include, path

from apps.firewall import api, zone_api

LINE = "requests/<slug:public_id>/lines/<int:number>/"

urlpatterns = [
    path("requests/", api.FirewallRequests.as_view(), name="firewall-requests"),
    path("requests/<slug:public_id>/", api.FirewallRequestDetail.as_view(), name="firewall-request"),
    path("requests/<slug:public_id>/confirm/", api.FirewallConfirm.as_view(), name="firewall-confirm"),
    path("requests/<slug:public_id>/narrowest/", api.FirewallNarrowest.as_view(), name="firewall-narrowest"),
    path("requests/<slug:public_id>/send/", api.FirewallSend.as_view(), name="firewall-send"),
    path("requests/<slug:public_id>/withdraw/", api.FirewallWithdraw.as_view(), name="firewall-withdraw"),
    path(LINE, api.FirewallLineDetail.as_view(), name="firewall-line"),
    path(f"{LINE}choose/", api.FirewallLineChoose.as_view(), name="firewall-line-choose"),
    path(f"{LINE}take/", api.FirewallLineTake.as_view(), name="firewall-line-take"),
    path(f"{LINE}drop/", api.FirewallLineDrop.as_view(), name="firewall-line-drop"),
    path(f"{LINE}ways/", api.FirewallLineWays.as_view(), name="firewall-line-ways"),
    path("rulebases/", include("apps.firewall.rule_base_api_urls")),
    path("clone/", api.FirewallClone.as_view(), name="firewall-clone"),
    path("zones/", zone_api.Zones.as_view(), name="firewall-zones"),
    path("zones/cells/", zone_api.ZoneCells.as_view(), name="firewall-zone-cells"),
    path("zones/<slug:slug>/", zone_api.ZoneDetail.as_view(), name="firewall-zone"),
    path("decommissions/<slug:slug>/", zone_api.DecommissionDetail.as_view(), name="firewall-decommission"),
    path(
        "decommissions/<slug:slug>/decide/", zone_api.DecommissionDecide.as_view(), name="firewall-decommission-decide"
    ),
]
