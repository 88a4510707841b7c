"""Identities in Django's admin, to look at. Hashes and passwords are not shown even there."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group

from apps.audit.admin import ReadOnlyAdmin
from apps.identity.models import ApiToken, Login, Subject, User

# What people may do hangs on teams and console roles; Django's groups would be a second truth.
admin.site.unregister(Group)


@admin.register(Subject)
class SubjectAdmin(ReadOnlyAdmin):
    list_display = ("key", "kind", "name", "state", "owner", "team", "created_at")
    list_filter = ("kind", "state")
    list_select_related = ("owner", "team")
    search_fields = ("key", "name")
    ordering = ("key",)


@admin.register(Login)
class LoginAdmin(ReadOnlyAdmin):
    list_display = ("issuer", "sub", "subject", "created_at", "last_used_at")
    list_select_related = ("subject",)
    search_fields = ("sub__exact", "subject__key")
    ordering = ("-id",)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    exclude = ("hash",)
    list_display = ("prefix", "subject", "name", "scopes", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("subject",)
    search_fields = ("prefix__exact", "subject__key")
    ordering = ("-id",)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    fields = ("username", "subject", "last_login")
    list_display = ("username", "last_login")
    search_fields = ("username",)
    ordering = ("username",)
