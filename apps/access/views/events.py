"""Pokes for the page of one request."""

from __future__ import annotations

from collections.abc import Iterable

from asgiref.sync import sync_to_async
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Q, TextField, Value
from django.db.models.functions import Concat
from django.http import StreamingHttpResponse
from django.views.decorators.http import require_GET

from apps.access import refusals, selectors
from apps.access.ids import channel_of
from apps.access.models import AccessRequest
from apps.identity.pages import PageRequest
from apps.outbox import pokes


@require_GET
async def request_events(request: PageRequest, public_id: str) -> StreamingHttpResponse:
    rows = await sync_to_async(selectors.visible_requests)(request.subject)
    if not await rows.filter(public_id=public_id).aexists():
        raise refusals.UnknownRequest
    return pokes.answer(request, channel_of(public_id), sync_to_async(lambda: mark_now(public_id)))


def mark_now(public_id: str) -> str:
    """The mark of what there is to see, in one query."""
    words = ("grant__doors__point", Value(" "), "grant__doors__state", Value(" "), "grant__doors__detail")
    door = Concat(*words, output_field=TextField())
    row = (
        AccessRequest.objects.filter(public_id=public_id)
        .annotate(
            answers=Count("reviews", distinct=True),
            grant_state=F("grant__state"),
            grant_error=F("grant__error"),
            doors=ArrayAgg(door, distinct=True, default=[], filter=Q(grant__doors__isnull=False)),
        )
        .values_list("state", "answers", "grant_state", "grant_error", "doors")
        .first()
    )
    return _mark(*row) if row else ""


def mark_shown(asked: AccessRequest) -> str:
    """The mark of what a page shows that was made from ``asked``."""
    grant = getattr(asked, "grant", None)
    doors = [f"{door.point} {door.state} {door.detail}" for door in grant.doors.all()] if grant else []
    state, error = (grant.state, grant.error) if grant else (None, None)
    return _mark(asked.state, len(asked.reviews.all()), state, error, doors)


def _mark(state: str, answers: int, grant: str | None, error: str | None, doors: Iterable[str]) -> str:
    """Everything on the page that may move by itself: the answers, the grant and its doors."""
    return pokes.mark_of(state, answers, grant, error, sorted(doors))
