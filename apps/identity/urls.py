"""Addresses of signing in, of who there is, and of API tokens."""

from __future__ import annotations

from django.urls import path

from apps.identity.models import Kind
from apps.identity.views import directory, scim, sessions, tokens

urlpatterns = [
    path("sign-in/", sessions.sign_in, name="sign_in"),
    path("sign-out/", sessions.sign_out, name="sign_out"),
    path("demo/sign-in/<str:key>", sessions.demo_sign_in, name="demo_sign_in"),
    path("settings/people/", directory.list_kind, {"kind": Kind.PERSON}, name="people"),
    path("settings/teams/", directory.list_kind, {"kind": Kind.TEAM}, name="teams"),
    path("settings/workloads/", directory.list_kind, {"kind": Kind.WORKLOAD}, name="workloads"),
    path("settings/agents/", directory.list_kind, {"kind": Kind.AGENT}, name="agents"),
    path("settings/who/<path:key>/move", directory.move, name="subject_move"),
    path("settings/who/<path:key>/", directory.show, name="subject"),
    path("settings/directory/", scim.directories, name="directories"),
    path("settings/directory/<slug:slug>/", scim.directory, name="directory"),
    path("settings/directory/<slug:slug>/log/", scim.exchanges, name="scim_log"),
    path("settings/directory/log/<int:exchange_id>/", scim.exchange, name="scim_exchange"),
    path("settings/directory/tokens/<int:secret_id>/revoke", scim.revoke, name="directory_token_revoke"),
    path("settings/tokens/", tokens.tokens, name="tokens"),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke, name="token_revoke"),
]
