"""What still has to happen, and what was given up: for operators."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.identity.pages import PAGE_SIZE, PageRequest, require_role
from apps.outbox import selectors, services

KEEPERS = ("operator", "administrator")


@require_GET
def outbox(request: PageRequest) -> HttpResponse:
    require_role(request, *KEEPERS)
    context = {
        "health": selectors.get_health(at=timezone.now()),
        "dead": list(selectors.list_dead()[:PAGE_SIZE]),
        "failing": list(selectors.list_failing()[:PAGE_SIZE]),
    }
    return TemplateResponse(request, "outbox/outbox.html", context)


@require_POST
def retry(request: PageRequest, message_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    message = services.retry(message_id=message_id, actor=request.subject.actor, at=timezone.now())
    messages.success(request, f"{message.topic} for {message.key} is tried again now.")
    return redirect("outbox")
