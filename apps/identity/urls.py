"""Addresses of signing in, of who there is, and of API tokens."""

from __future__ import annotations

from django.urls import path

from apps.identity.models import Kind
from apps.identity.views import (
    client_keys,
    directory,
    identity_center,
    issuers,
    linking,
    proofs,
    providers,
    scim,
    sessions,
    signals,
    tokens,
)

urlpatterns = [
    path("sign-in/", sessions.sign_in, name="sign_in"),
    path("sign-out/", sessions.sign_out, name="sign_out"),
    path("demo/sign-in/<str:key>", sessions.demo_sign_in, name="demo_sign_in"),
    path("settings/people/", directory.list_kind, {"kind": Kind.PERSON}, name="people"),
    path("settings/teams/", directory.list_kind, {"kind": Kind.TEAM}, name="teams"),
    path("settings/workloads/", directory.list_kind, {"kind": Kind.WORKLOAD}, name="workloads"),
    path("settings/agents/", directory.list_kind, {"kind": Kind.AGENT}, name="agents"),
    path("settings/who/<path:key>/link", linking.link, name="login_link"),
    path("settings/who/<path:key>/sign-out-everywhere", linking.end_all, name="sessions_end"),
    path("settings/logins/<int:login_id>/unlink", linking.unlink, name="login_unlink"),
    path("settings/logins/link/<slug:slug>", linking.link_own, name="login_link_own"),
    path("settings/providers/", providers.providers, name="providers"),
    path("settings/providers/new/", providers.add, name="provider_add"),
    path("settings/providers/<slug:slug>/", providers.show, name="provider"),
    path("settings/providers/<slug:slug>/edit/", providers.edit, name="provider_edit"),
    path("settings/providers/<slug:slug>/test/", providers.test, name="provider_test"),
    path("settings/providers/<slug:slug>/switch", providers.switch, name="provider_switch"),
    path("settings/providers/<slug:slug>/keys", client_keys.make, name="client_key_make"),
    path("settings/providers/<slug:slug>/keys/<int:key_id>", client_keys.take_away, name="client_key_take_away"),
    path("settings/issuers/", issuers.issuers, name="issuers"),
    path("settings/issuers/<slug:slug>/switch", issuers.switch, name="issuer_switch"),
    path("settings/who/<path:key>/proofs/<int:binding_id>/end", proofs.end, name="proof_end"),
    path("settings/who/<path:key>/proofs", proofs.bind, name="proofs"),
    path("settings/who/<path:key>/limits", proofs.limit, name="limits"),
    path("settings/who/<path:key>/move", directory.move, name="subject_move"),
    path("settings/who/<path:key>/", directory.show, name="subject"),
    path("settings/signals/<slug:slug>/", signals.sender, name="signal_sender"),
    path("settings/signals/<slug:slug>/secrets", signals.make_secret, name="signal_secret"),
    path("settings/signals/<slug:slug>/secrets/<int:secret_id>", signals.revoke_secret, name="signal_secret_revoke"),
    path("settings/signals/<slug:slug>/source", signals.source, name="signal_source"),
    path("settings/directory/", scim.directories, name="directories"),
    path("settings/directory/<slug:slug>/", scim.directory, name="directory"),
    path("settings/directory/<slug:slug>/log/", scim.exchanges, name="scim_log"),
    path("settings/directory/log/<int:exchange_id>/", scim.exchange, name="scim_exchange"),
    path("settings/directory/tokens/<int:secret_id>/revoke", scim.revoke, name="directory_token_revoke"),
    path("settings/identity-center/new/", identity_center.add, name="identity_center_add"),
    path("settings/identity-center/<slug:slug>/read", identity_center.read, name="identity_center_read"),
    path("settings/tokens/", tokens.tokens, name="tokens"),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke, name="token_revoke"),
]
