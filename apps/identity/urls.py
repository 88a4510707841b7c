"""Addresses of signing in, of who there is, and of API tokens."""

from __future__ import annotations

from django.urls import path

from apps.identity.models import Kind
from apps.identity.views import aws, directory, issuers, linking, proofs, providers, scim, sessions, signals, tokens

urlpatterns = [
    path("sign-in/", sessions.sign_in, name="sign_in"),
    path("sign-out/", sessions.sign_out, name="sign_out"),
    path("demo/sign-in/<str:key>", sessions.demo_sign_in, name="demo_sign_in"),
    path("settings/people/", directory.list_kind, {"kind": Kind.PERSON}, name="people"),
    path("settings/teams/", directory.list_kind, {"kind": Kind.TEAM}, name="teams"),
    path("settings/workloads/", directory.list_kind, {"kind": Kind.WORKLOAD}, name="workloads"),
    path("settings/agents/", directory.list_kind, {"kind": Kind.AGENT}, name="agents"),
    path("settings/who/<path:key>/link", linking.link, name="login_link"),
    path("settings/logins/<int:login_id>/unlink", linking.unlink, name="login_unlink"),
    path("settings/logins/link/<slug:slug>", linking.link_own, name="login_link_own"),
    path("settings/providers/", providers.providers, name="providers"),
    path("settings/providers/new/", providers.add, name="provider_add"),
    path("settings/providers/<slug:slug>/", providers.show, name="provider"),
    path("settings/providers/<slug:slug>/edit/", providers.edit, name="provider_edit"),
    path("settings/providers/<slug:slug>/test/", providers.test, name="provider_test"),
    path("settings/providers/<slug:slug>/switch", providers.switch, name="provider_switch"),
    path("settings/issuers/", issuers.issuers, name="issuers"),
    path("settings/issuers/<slug:slug>/switch", issuers.switch, name="issuer_switch"),
    path("settings/aws/", aws.principals, name="aws"),
    path("settings/aws/sync", aws.sync, name="aws_sync"),
    path("settings/aws/<slug:stable_id>/", aws.principal, name="aws_principal"),
    path("settings/aws/<slug:stable_id>/bind", aws.bind, name="aws_bind"),
    path("settings/who/<path:key>/proofs/<int:binding_id>/end", proofs.end, name="proof_end"),
    path("settings/who/<path:key>/proofs", proofs.bind, name="proofs"),
    path("settings/who/<path:key>/limits", proofs.limit, name="limits"),
    path("settings/who/<path:key>/move", directory.move, name="subject_move"),
    path("settings/signals/<slug:slug>/", signals.sender, name="signal_sender"),
    path("settings/signals/<slug:slug>/secrets", signals.make_secret, name="signal_secret"),
    path("settings/signals/<slug:slug>/secrets/<int:secret_id>", signals.revoke_secret, name="signal_secret_revoke"),
    path("settings/signals/<slug:slug>/source", signals.source, name="signal_source"),
    path("settings/directory/", scim.directories, name="directories"),
    path("settings/directory/<slug:slug>/", scim.directory, name="directory"),
    path("settings/directory/<slug:slug>/log/", scim.exchanges, name="scim_log"),
    path("settings/directory/log/<int:exchange_id>/", scim.exchange, name="scim_exchange"),
    path("settings/directory/tokens/<int:secret_id>/revoke", scim.revoke, name="directory_token_revoke"),
    path("settings/tokens/", tokens.tokens, name="tokens"),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke, name="token_revoke"),
]
