"""Every address of the console."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("console.page_urls")),
    path("", include("console.machine_urls")),
    path("oidc/", include("apps.identity.oidc_urls")),
    path("django-admin/", admin.site.urls),
]

handler400 = "console.errors.bad_request"
handler403 = "console.errors.permission_denied"
handler404 = "console.errors.not_found"
handler500 = "console.errors.server_error"
