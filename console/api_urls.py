"""Every address below /api/v1/."""

from __future__ import annotations

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.access import address_api as addresses
from apps.access import api as access
from apps.access import governing_api as governing
from apps.access import upkeep_api as upkeep
from apps.catalog import api as catalog
from apps.identity import api as identity
from apps.identity.proofs import api as proofs
from apps.identity.proofs import aws_api as aws
from apps.rollout import api as rollout
from apps.rollout import export_api, release_api
from apps.rollout.akamai import list_api as lists
from apps.rollout.akamai import origin_certificate_api as certs
from apps.rollout.akamai import rest as akamai
from apps.rollout.akamai import stream_api as stream
from apps.rollout.cluster import api as clusters
from apps.telemetry import api as telemetry
from apps.telemetry import source_api as sources
from console import audit_api as audit
from console import errors_api as errors
from console import outbox_api as outbox
from console.problems import Nowhere

app_name = "api"

# Swagger UI writes its own styles into the page; scripts stay ours alone.
# It is a page and nothing else: asked for its OPTIONS, it would look for a template that it has not.
_docs = csp_replace({"style-src": [SELF, UNSAFE_INLINE]})(
    SpectacularSwaggerSplitView.as_view(url_name="api:schema", http_method_names=["get", "head"])
)

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", _docs, name="docs"),
    path("errors/", errors.ErrorList.as_view(), name="errors"),
    path("errors/<slug:code>/", errors.ErrorDetail.as_view(), name="error"),
    path("me/", identity.Me.as_view(), name="me"),
    path("tokens/", identity.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_id>/revoke/", identity.TokenRevoke.as_view(), name="token-revoke"),
    path("subjects/", identity.SubjectList.as_view(), name="subjects"),
    path("subjects/<path:key>/proofs/<int:binding_id>/end/", proofs.ProofEnd.as_view(), name="proof-end"),
    path("subjects/<path:key>/proofs/", proofs.ProofList.as_view(), name="proofs"),
    path("subjects/<path:key>/limits/", proofs.Limits.as_view(), name="limits"),
    path("issuers/", proofs.IssuerList.as_view(), name="issuers"),
    path("issuers/<slug:slug>/switch/", proofs.IssuerSwitch.as_view(), name="issuer-switch"),
    path("aws/principals/", aws.PrincipalList.as_view(), name="aws-principals"),
    path("aws/principals/<slug:stable_id>/bind/", aws.PrincipalBind.as_view(), name="aws-principal-bind"),
    path("aws/principals/<slug:stable_id>/", aws.PrincipalDetail.as_view(), name="aws-principal"),
    path("aws/syncs/", aws.Syncs.as_view(), name="aws-syncs"),
    path("subjects/<path:key>/leave/", identity.SubjectLeave.as_view(), name="subject-leave"),
    path("subjects/<path:key>/sign-out/", identity.SubjectSignOut.as_view(), name="subject-sign-out"),
    path("subjects/<path:key>/suspend/", identity.SubjectSuspend.as_view(), name="subject-suspend"),
    path("subjects/<path:key>/reinstate/", identity.SubjectReinstate.as_view(), name="subject-reinstate"),
    path("subjects/<path:key>/", identity.SubjectDetail.as_view(), name="subject"),
    path("services/", catalog.ServiceList.as_view(), name="services"),
    path("services/<slug:slug>/", catalog.ServiceDetail.as_view(), name="service"),
    path("services/<slug:slug>/reach/", access.Reach.as_view(), name="service-reach"),
    path("imports/", catalog.Imports.as_view(), name="imports"),
    path("rules/", governing.Rules.as_view(), name="rules"),
    path("rules/<slug:slug>/", governing.RuleDetail.as_view(), name="rule"),
    path("rules/<slug:slug>/enable/", governing.RuleEnable.as_view(), name="rule-enable"),
    path("rules/<slug:slug>/preview/", governing.RulePreview.as_view(), name="rule-preview"),
    path("guardrails/", governing.Guardrails.as_view(), name="guardrails"),
    path("guardrails/<slug:slug>/", governing.GuardrailDetail.as_view(), name="guardrail"),
    path("guardrails/<slug:slug>/enable/", governing.GuardrailEnable.as_view(), name="guardrail-enable"),
    path("guardrails/<slug:slug>/preview/", governing.GuardrailPreview.as_view(), name="guardrail-preview"),
    path("preview/", access.Preview.as_view(), name="preview"),
    path("decide/", access.Decide.as_view(), name="decide"),
    path("inbox/", access.Inbox.as_view(), name="inbox"),
    path("address-requests/", addresses.AddressRequests.as_view(), name="address-requests"),
    path("hosts/", addresses.GuardedHosts.as_view(), name="hosts"),
    path("hosts/guard/", addresses.GuardHost.as_view(), name="host-guard"),
    path("hosts/stop/", addresses.StopGuarding.as_view(), name="host-stop"),
    path("requests/", access.RequestList.as_view(), name="requests"),
    path("requests/<slug:public_id>/", access.RequestDetail.as_view(), name="request"),
    path("requests/<slug:public_id>/review/", access.RequestReview.as_view(), name="request-review"),
    path("requests/<slug:public_id>/cancel/", access.RequestCancel.as_view(), name="request-cancel"),
    path("grants/", access.GrantList.as_view(), name="grants"),
    path("grants/<slug:public_id>/", access.GrantDetail.as_view(), name="grant"),
    path("grants/<slug:public_id>/end/", access.GrantEnd.as_view(), name="grant-end"),
    path("upkeep/findings/", upkeep.Findings.as_view(), name="findings"),
    path("upkeep/clean-ups/", upkeep.CleanUps.as_view(), name="clean-ups"),
    path("upkeep/clean-ups/<slug:public_id>/", upkeep.CleanUpDetail.as_view(), name="clean-up"),
    path("upkeep/clean-ups/<slug:public_id>/decide/", upkeep.CleanUpDecide.as_view(), name="clean-up-decide"),
    path("upkeep/clean-ups/<slug:public_id>/withdraw/", upkeep.CleanUpWithdraw.as_view(), name="clean-up-withdraw"),
    path("upkeep/schedule/", upkeep.StandingSchedule.as_view(), name="standing-schedule"),
    path("upkeep/standing/", upkeep.StandingList.as_view(), name="standing"),
    path("upkeep/standing/<slug:public_id>/answer/", upkeep.StandingAnswer.as_view(), name="standing-answer"),
    path("map/", upkeep.AccessMapView.as_view(), name="map"),
    path("map/<slug:slug>/", upkeep.AccessMapDetail.as_view(), name="map-service"),
    path("calls/", telemetry.CallList.as_view(), name="calls"),
    path("log-shippers/", sources.SourceList.as_view(), name="sources"),
    path("log-shippers/<path:name>/revoke/", sources.SourceRevoke.as_view(), name="source-revoke"),
    path("calls/gaps/", telemetry.GapList.as_view(), name="call-gaps"),
    path("firewall/", include("apps.firewall.api_urls")),
    path("targets/", rollout.TargetList.as_view(), name="targets"),
    path("targets/<slug:slug>/revisions/", rollout.RevisionList.as_view(), name="revisions"),
    path(
        "targets/<slug:slug>/revisions/<int:number>/roll-back/",
        rollout.RevisionRollBack.as_view(),
        name="revision-roll-back",
    ),
    path("clusters/", clusters.ClusterList.as_view(), name="clusters"),
    path("targets/<slug:slug>/cluster/", clusters.ClusterDetail.as_view(), name="target-cluster"),
    path("targets/<slug:slug>/closings/", clusters.ClusterClosings.as_view(), name="target-closings"),
    path("targets/<slug:slug>/take-over/", clusters.ClusterTakeOver.as_view(), name="target-take-over"),
    path("targets/<slug:slug>/connection/", akamai.ConnectionDetail.as_view(), name="target-connection"),
    path("targets/<slug:slug>/preflight/", akamai.PreflightDetail.as_view(), name="target-preflight"),
    path("targets/<slug:slug>/leave/", akamai.TargetLeave.as_view(), name="target-leave"),
    path("targets/<slug:slug>/take-out/", clusters.ClusterTakeOut.as_view(), name="target-take-out"),
    path("targets/<slug:slug>/stream/", stream.TargetStream.as_view(), name="target-stream"),
    path("targets/<slug:slug>/stream/adopt/", stream.TargetStreamAdopt.as_view(), name="target-stream-adopt"),
    path("targets/<slug:slug>/stream/stop/", stream.TargetStreamStop.as_view(), name="target-stream-stop"),
    path("targets/<slug:slug>/stream/renew-secret/", stream.TargetStreamRenew.as_view(), name="target-stream-renew"),
    path(
        "targets/<slug:slug>/stream/end-secret/",
        stream.TargetStreamEndSecret.as_view(),
        name="target-stream-end-secret",
    ),
    path("targets/<slug:slug>/certificate/", certs.TargetOriginCertificate.as_view(), name="target-certificate"),
    path(
        "targets/<slug:slug>/certificate/renew/",
        certs.TargetOriginCertificateRenew.as_view(),
        name="target-certificate-renew",
    ),
    path(
        "targets/<slug:slug>/certificate/plan/",
        certs.TargetOriginCertificatePlan.as_view(),
        name="target-certificate-plan",
    ),
    path("targets/<slug:slug>/activations/", rollout.ActivationList.as_view(), name="activations"),
    path("targets/<slug:slug>/budget/", release_api.TargetBudget.as_view(), name="target-budget"),
    path("targets/<slug:slug>/approve/", release_api.CodeApprove.as_view(), name="target-approve"),
    path("targets/<slug:slug>/stop/", release_api.CodeStop.as_view(), name="target-stop"),
    path("targets/<slug:slug>/try-again/", release_api.TargetTryAgain.as_view(), name="target-try-again"),
    path(
        "targets/<slug:slug>/revisions/<int:number>/export/",
        export_api.RevisionExport.as_view(),
        name="revision-export",
    ),
    path("targets/<slug:slug>/export/", export_api.TargetExport.as_view(), name="target-export"),
    path("targets/<slug:slug>/delivery/", export_api.TargetDelivery.as_view(), name="target-delivery"),
    path("targets/<slug:slug>/production/", release_api.TargetProduction.as_view(), name="target-production"),
    path("targets/<slug:slug>/nodes/", rollout.NodeList.as_view(), name="nodes"),
    path("targets/<slug:slug>/nodes/<path:name>/remove/", rollout.NodeRemove.as_view(), name="node-remove"),
    path("targets/<slug:slug>/probes/", rollout.ProbeList.as_view(), name="probes"),
    path("targets/<slug:slug>/lists/", lists.AddressLists.as_view(), name="lists"),
    path("targets/<slug:slug>/lists/<int:list_id>/put-back/", lists.AddressListPutBack.as_view(), name="list-put-back"),
    path("targets/<slug:slug>/drift/", rollout.DriftList.as_view(), name="drift"),
    path("drift/<int:drift_id>/adopt/", release_api.DriftAdopt.as_view(), name="drift-adopt"),
    path("targets/<slug:slug>/releases/", release_api.ReleaseList.as_view(), name="target-releases"),
    path("targets/<slug:slug>/safety/", release_api.TargetSafety.as_view(), name="target-safety"),
    path("drift/<int:drift_id>/put-back/", rollout.DriftPutBack.as_view(), name="drift-put-back"),
    path("outbox/", outbox.Outbox.as_view(), name="outbox"),
    path("outbox/<int:message_id>/retry/", outbox.OutboxRetry.as_view(), name="outbox-retry"),
    path("audit/", audit.EventList.as_view(), name="audit"),
    path("audit/verification/", audit.Verification.as_view(), name="audit-verification"),
    re_path("", Nowhere.as_view()),
]
