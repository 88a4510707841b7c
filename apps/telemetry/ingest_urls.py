"""Addresses of telemetry that are not pages: where doors deliver, and what open pages listen to."""

from __future__ import annotations

from django.urls import path

from apps.telemetry import ingest_api, live

urlpatterns = [
    path("telemetry/v1/events", ingest_api.ingest, name="telemetry-ingest"),
    path("telemetry/v1/datastream/<slug:slug>", ingest_api.datastream, name="telemetry-datastream"),
    path("live/stream", live.stream, name="live-stream"),
]
