"""Messages in Django's admin, to look at."""

from __future__ import annotations

from django.contrib import admin

from apps.audit.admin import ReadOnlyAdmin
from apps.outbox.models import Message


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ("id", "topic", "key", "state", "attempts", "available_at", "last_error")
    list_filter = ("state", "topic")
    search_fields = ("key__exact",)
    ordering = ("-id",)
