"""The lists of addresses in front of guarded hosts, and putting back what somebody else did to one."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.access import selectors as access
from apps.identity.pages import PageRequest, asked_text, require_role
from apps.identity.selectors import has_role
from apps.rollout import tasks
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import listing
from apps.rollout.views import PAGE, get_target


@require_GET
def lists(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *WATCHERS)
    target = get_target(slug)
    page = Paginator(listing.of_target(target), PAGE).get_page(asked_text(request, "page") or 1)
    guarded = access.list_guarded_hosts(target.environment.slug).values_list("host", flat=True)
    context = {
        "target": target,
        "page": page,
        "guarded": frozenset(guarded),
        "keeper": has_role(request.subject, *KEEPERS),
    }
    return TemplateResponse(request, "rollout/lists.html", context)


@require_POST
def put_back(request: PageRequest, slug: str, list_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    at = timezone.now()
    listing.put_back(slug=slug, list_id=list_id, actor=request.subject.actor, at=at)
    tasks.wake_lists(at)
    messages.success(request, "The list is being put back to what was approved.")
    return redirect("target_lists", slug)
