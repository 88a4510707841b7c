"""Pokes for the page of one request."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Value
from django.db.models.functions import Concat
from django.http import StreamingHttpResponse
from django.views.decorators.http import require_GET

from apps.access import refusals
from apps.access.models import AccessRequest
from apps.access.selectors.visibility import visible_requests
from apps.identity.pages import PageRequest
from apps.outbox import pokes


@require_GET
async def request_events(request: PageRequest, public_id: str) -> StreamingHttpResponse:
    rows = await sync_to_async(visible_requests)(request.subject)
    if not await rows.filter(public_id=public_id).aexists():
        raise refusals.UnknownRequest
    return pokes.answer(request, f"request:{public_id}", sync_to_async(lambda: mark(public_id)))


def mark(public_id: str) -> str:
    """Everything on the page that may move by itself: the answers, the grant and its doors."""
    doors = ArrayAgg(
        Concat("grant__doors__point", Value(" "), "grant__doors__state", Value(" "), "grant__doors__detail"),
        distinct=True,
        default=[],
    )
    row = (
        AccessRequest.objects.filter(public_id=public_id)
        .annotate(answers=Count("reviews", distinct=True), door_states=doors, grant_state=F("grant__state"))
        .values_list("state", "answers", "grant_state", "grant__error", "door_states")
        .first()
    )
    return pokes.mark_of(row)
