"""What administrators look at: directories, their tokens, their groups, the last exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject

from apps.audit.errors import NotFound
from apps.identity.models import (
    Channel,
    DirectoryAlert,
    DirectoryUser,
    Group,
    PendingMapping,
    Provider,
    ProviderSecret,
    ScimExchange,
)

SHOWN_ALERTS = timedelta(days=7)


def get_provider(slug: str) -> Provider:
    provider = Provider.objects.filter(slug=slug).first()
    if provider is None:
        raise NotFound
    return provider


def list_directories() -> QuerySet[Provider]:
    """With how many users and groups each has sent, and whether something waits for a decision."""
    waiting = PendingMapping.objects.filter(decided_at=None)
    return Provider.objects.annotate(
        users=_count(DirectoryUser.objects.all()), pushed=_count(Group.objects.all()), waiting=_count(waiting)
    ).order_by("name", "slug")


def _count(rows: QuerySet[Any]) -> Coalesce:
    """Of one provider. Counted on its own: joined, users would be counted once for each group."""
    mine = rows.filter(provider=OuterRef("pk")).order_by().values("provider")
    counted = Subquery(mine.annotate(number=Count("pk")).values("number"), output_field=IntegerField())
    return Coalesce(counted, 0)


def list_secrets(provider: Provider, at: datetime) -> QuerySet[ProviderSecret]:
    live = ProviderSecret.objects.filter(provider=provider, channel=Channel.SCIM, revoked_at=None, expires_at__gt=at)
    return live.order_by("-created_at", "-pk")


@dataclass(frozen=True, slots=True)
class Paused:
    """How many of those who hold something would lose it, if what waits were confirmed."""

    people: int
    out_of: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """How much a directory has sent, and what of it waits for a decision."""

    users: int
    groups: int
    paused: Paused | None


def get_pushed(slug: str) -> tuple[Provider, Pushed]:
    """The provider with what it has sent; raises NotFound. One statement."""
    waiting = PendingMapping.objects.filter(provider=OuterRef("pk"), decided_at=None)
    pauses = ArraySubquery(waiting.values(json=JSONObject(people="people", out_of="out_of"))[:1])
    found: Any = list_directories().annotate(pauses=pauses).filter(slug=slug).first()
    if found is None:
        raise NotFound
    return found, Pushed(found.users, found.pushed, Paused(**found.pauses[0]) if found.pauses else None)


def list_users(provider: Provider, *, text: str = "") -> QuerySet[DirectoryUser]:
    rows = DirectoryUser.objects.filter(provider=provider).select_related("subject")
    if text:
        rows = rows.filter(Q(user_name__icontains=text) | Q(external_id__icontains=text))
    return rows.order_by("user_name_key")


def list_groups(provider: Provider, *, text: str = "") -> QuerySet[Group]:
    rows = Group.objects.filter(provider=provider, name__icontains=text)
    return rows.annotate(people=Count("members")).order_by("name", "pk")


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
