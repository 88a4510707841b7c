"""Putting back what somebody else did to a list of addresses."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from apps.identity.pages import PageRequest, require_role
from apps.rollout import tasks
from apps.rollout.services import listing
from apps.rollout.views import KEEPERS


@require_POST
def put_back(request: PageRequest, slug: str, list_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    at = timezone.now()
    listing.put_back(slug=slug, list_id=list_id, actor=request.subject.actor, at=at)
    tasks.wake_lists(at)
    messages.success(request, "The list is being put back to what was approved.")
    return redirect("target", slug)
