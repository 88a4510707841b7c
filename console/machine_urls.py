"""Addresses that programs call: health, signals, tokens, nodes, decision events and the REST API."""

from __future__ import annotations

from django.urls import include, path, re_path

from console import health
from console.problems import Nowhere

urlpatterns = [
    path("healthz/live", health.live, name="health-live"),
    path("healthz/ready", health.ready, name="health-ready"),
    path("api/v1/", include("console.api_urls")),
    re_path("^api/", Nowhere.as_view()),
    path("", include("apps.identity.signals.urls")),
    path("", include("apps.identity.scim.urls")),
    path("", include("apps.trust.token_urls")),
    path("", include("apps.rollout.agent_urls")),
    path("", include("apps.telemetry.ingest_urls")),
]
