"""What administrators look at: directories, their tokens, their groups, the last exchanges."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet

from apps.audit.errors import NotFound
from apps.identity.models import Channel, DirectoryAlert, Group, Provider, ProviderSecret, ScimExchange

SHOWN_ALERTS = timedelta(days=7)


def get_provider(slug: str) -> Provider:
    provider = Provider.objects.filter(slug=slug).first()
    if provider is None:
        raise NotFound
    return provider


def list_directories() -> QuerySet[Provider]:
    """With how many users and groups each has sent, and whether something waits for a decision."""
    return Provider.objects.annotate(
        users=Count("directory_users", distinct=True),
        pushed=Count("groups", distinct=True),
        waiting=Count("pending_mappings", filter=Q(pending_mappings__decided_at=None), distinct=True),
    ).order_by("name", "slug")


def list_secrets(provider: Provider, at: datetime) -> QuerySet[ProviderSecret]:
    live = ProviderSecret.objects.filter(provider=provider, channel=Channel.SCIM, revoked_at=None, expires_at__gt=at)
    return live.order_by("-created_at", "-pk")


def list_groups(provider: Provider) -> QuerySet[Group]:
    return Group.objects.filter(provider=provider).annotate(people=Count("members")).order_by("name", "pk")


def list_alerts(provider: Provider, at: datetime) -> QuerySet[DirectoryAlert]:
    return DirectoryAlert.objects.filter(provider=provider, raised_at__gt=at - SHOWN_ALERTS).order_by("-raised_at")


def list_exchanges(provider: Provider, *, before: int | None, failed: bool) -> QuerySet[ScimExchange]:
    """Newest first, without the bodies."""
    rows = ScimExchange.objects.filter(provider=provider).defer("request_body", "response_body")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    if failed:
        rows = rows.filter(status__gte=400)
    return rows.order_by("-pk")


def get_exchange(exchange_id: int) -> ScimExchange:
    found = ScimExchange.objects.select_related("provider").filter(pk=exchange_id).first()
    if found is None:
        raise NotFound
    return found
