"""Addresses of signing in, of who there is, and of API tokens."""

from __future__ import annotations

from django.urls import path

from apps.identity.models import Kind
from apps.identity.views import directory, issuers, proofs, sessions, tokens

urlpatterns = [
    path("sign-in/", sessions.sign_in, name="sign_in"),
    path("sign-out/", sessions.sign_out, name="sign_out"),
    path("demo/sign-in/<str:key>", sessions.demo_sign_in, name="demo_sign_in"),
    path("settings/people/", directory.list_kind, {"kind": Kind.PERSON}, name="people"),
    path("settings/teams/", directory.list_kind, {"kind": Kind.TEAM}, name="teams"),
    path("settings/workloads/", directory.list_kind, {"kind": Kind.WORKLOAD}, name="workloads"),
    path("settings/agents/", directory.list_kind, {"kind": Kind.AGENT}, name="agents"),
    path("settings/issuers/", issuers.issuers, name="issuers"),
    path("settings/issuers/<slug:slug>/switch", issuers.switch, name="issuer_switch"),
    path("settings/who/<path:key>/proofs/<int:binding_id>/end", proofs.end, name="proof_end"),
    path("settings/who/<path:key>/proofs", proofs.bind, name="proofs"),
    path("settings/who/<path:key>/limits", proofs.limit, name="limits"),
    path("settings/who/<path:key>/move", directory.move, name="subject_move"),
    path("settings/who/<path:key>/", directory.show, name="subject"),
    path("settings/tokens/", tokens.tokens, name="tokens"),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke, name="token_revoke"),
]
