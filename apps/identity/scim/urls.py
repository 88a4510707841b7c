"""The address a directory is given."""

from __future__ import annotations

from django.urls import path

from apps.identity.scim.views import scim

urlpatterns = [
    path("scim/v2", scim, name="scim"),
    path("scim/v2/<path:path>", scim, name="scim-resource"),
    path("scim/v2/", scim),
]
