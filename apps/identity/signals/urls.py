"""Addresses at which other systems tell us that somebody left."""

from __future__ import annotations

from django.urls import path

from apps.identity.signals import hooks, revocation, ssf

urlpatterns = [
    path("signals/<slug:slug>/okta-events", hooks.okta_events, name="signals-okta-events"),
    path(
        "signals/<slug:slug>/global-token-revocation",
        revocation.global_token_revocation,
        name="signals-global-token-revocation",
    ),
    path("ssf/events/<slug:slug>", ssf.events, name="ssf-events"),
]
