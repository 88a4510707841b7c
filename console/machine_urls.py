"""Addresses that programs call: health, tokens, nodes, decision events and the REST API."""

from __future__ import annotations

from django.urls import include, path

from console import health

urlpatterns = [
    path("healthz/live", health.live, name="health-live"),
    path("healthz/ready", health.ready, name="health-ready"),
    path("api/v1/", include("console.api_urls")),
    path("", include("apps.trust.token_urls")),
    path("", include("apps.rollout.agent_urls")),
    path("", include("apps.telemetry.ingest_urls")),
]
