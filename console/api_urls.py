"""Every address below /api/v1/."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.access import api as access
from apps.catalog import api as catalog
from apps.identity import api as identity
from apps.rollout import api as rollout
from apps.telemetry import api as telemetry
from console import audit_api as audit

app_name = "api"

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api:schema"), name="docs"),
    path("me/", identity.Me.as_view(), name="me"),
    path("tokens/", identity.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_id>/revoke/", identity.TokenRevoke.as_view(), name="token-revoke"),
    path("services/", catalog.ServiceList.as_view(), name="services"),
    path("services/<slug:slug>/", catalog.ServiceDetail.as_view(), name="service"),
    path("preview/", access.Preview.as_view(), name="preview"),
    path("decide/", access.Decide.as_view(), name="decide"),
    path("requests/", access.RequestList.as_view(), name="requests"),
    path("requests/<str:public_id>/", access.RequestDetail.as_view(), name="request"),
    path("requests/<str:public_id>/review/", access.RequestReview.as_view(), name="request-review"),
    path("requests/<str:public_id>/cancel/", access.RequestCancel.as_view(), name="request-cancel"),
    path("grants/", access.GrantList.as_view(), name="grants"),
    path("grants/<str:public_id>/", access.GrantDetail.as_view(), name="grant"),
    path("grants/<str:public_id>/end/", access.GrantEnd.as_view(), name="grant-end"),
    path("calls/", telemetry.CallList.as_view(), name="calls"),
    path("targets/", rollout.TargetList.as_view(), name="targets"),
    path("targets/<slug:slug>/revisions/", rollout.RevisionList.as_view(), name="revisions"),
    path("targets/<slug:slug>/activations/", rollout.ActivationList.as_view(), name="activations"),
    path("audit/", audit.EventList.as_view(), name="audit"),
    path("audit/verification/", audit.Verification.as_view(), name="audit-verification"),
]
