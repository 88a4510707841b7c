"""Addresses of signing in at a provider: each has its own, so that one cannot answer for another."""

from __future__ import annotations

from django.urls import path

from apps.identity.views import backchannel, client_keys, oidc

urlpatterns = [
    path("<slug:slug>/authenticate/", oidc.authenticate, name="oidc_authenticate"),
    path("<slug:slug>/callback/", oidc.callback, name="oidc_callback"),
    path("<slug:slug>/backchannel-logout/", backchannel.backchannel_logout, name="oidc_backchannel_logout"),
    path("<slug:slug>/jwks.json", client_keys.jwks, name="oidc_jwks"),
]
