"""Addresses of the token endpoint; well-known ones, so they hang at the root."""

from __future__ import annotations

from django.urls import path

from apps.trust import token_api

urlpatterns = [
    path("oauth/token", token_api.token, name="oauth-token"),
    path(".well-known/jwks.json", token_api.jwks, name="jwks"),
    path(".well-known/oauth-authorization-server", token_api.metadata, name="oauth-metadata"),
]
