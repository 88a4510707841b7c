"""Addresses that mesh nodes call."""

from __future__ import annotations

from django.urls import path

from apps.rollout import agent_api

urlpatterns = [
    path("agent/v1/certificates", agent_api.certificates, name="agent-certificates"),
    path("agent/v1/bundle", agent_api.bundle, name="agent-bundle"),
    path("agent/v1/artifacts", agent_api.artifacts, name="agent-artifacts"),
    path("agent/v1/reports", agent_api.reports, name="agent-reports"),
]
