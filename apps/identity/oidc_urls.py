"""Addresses of signing in at an OpenID provider, by the names its library looks up."""

from __future__ import annotations

from django.urls import path

from apps.identity.views.oidc import CallbackView, SignInView

urlpatterns = [
    path("callback/", CallbackView.as_view(), name="oidc_authentication_callback"),
    path("authenticate/", SignInView.as_view(), name="oidc_authentication_init"),
]
