"""The record in Django's admin, and what every admin page of ours has in common: it cannot write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from apps.audit.models import Event

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at. Nothing in Django's admin writes: a write that goes around the services leaves no record."""

    actions = None
    list_per_page = 50
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _may_look(request)

    def has_view_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return _may_look(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


def _may_look(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("seq", "at", "actor_id", "action", "target_id")
    search_fields = ("actor_id__exact", "action__startswith", "target_id__exact")
    ordering = ("-seq",)
