"""What is done about a service as a whole: copying its access to another, and giving it up."""

from __future__ import annotations

from itertools import groupby

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.access.views.asking import DURATIONS
from apps.audit.errors import NotFound, Refusal
from apps.catalog import selectors as catalog
from apps.firewall import policies, selectors, services
from apps.firewall.models import Outcome
from apps.firewall.views.writing import USUAL
from apps.identity.pages import PageRequest

MOST_SHOWN = 200


@require_http_methods(["GET", "POST"])
def firewall_copy(request: PageRequest) -> HttpResponse:
    """Write a firewall request that gives one service what another has."""
    given = request.POST if request.method == "POST" else request.GET
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            made = _copy(request)
        except Refusal as refusal:
            errors = refusal.fields or {"": [refusal.message]}
        else:
            messages.success(request, "Written, with a line for each. Look at them; nothing is sent yet.")
            return redirect("firewall_request", made)
    context = {
        "errors": errors,
        "whole": [one for name, many in errors.items() if name not in ("from", "to", "reason") for one in many],
        "given": {name: given.get(name, "")[:2000] for name in ("from", "to", "reason", "duration")},
        "sides": given.getlist("sides") or list(services.SIDES),
        "durations": DURATIONS,
        "usual": USUAL,
        "services": catalog.list_living_services()[:MOST_SHOWN],
    }
    return TemplateResponse(request, "firewall/copy.html", context, status=422 if errors else 200)


def _copy(request: PageRequest) -> str:
    given = request.POST
    text = given.get("duration", "")
    duration = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else USUAL
    source, to = (given.get(name, "").replace("\x00", "").strip()[:63] for name in ("from", "to"))
    head = services.Head(title=f"{to} like {source}", reason=given.get("reason", "")[:5000], duration=duration)
    made = services.clone_access(
        actor=request.subject, source=source, to=to, sides=given.getlist("sides"), head=head, at=timezone.now()
    )
    return made.public_id


@require_http_methods(["GET", "POST"])
def decommission(request: PageRequest, slug: str) -> HttpResponse:
    """Everything that names a service, and the proposal to end all of it."""
    service = catalog.get_service(slug)
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            services.propose_end(
                slug=slug, reason=request.POST.get("reason", ""), actor=request.subject, at=timezone.now()
            )
        except NotFound:
            raise
        except Refusal as refusal:
            errors = refusal.fields or {"": [refusal.message]}
        else:
            messages.success(request, "Proposed. Somebody of security or an administrator decides.")
            return redirect("decommission", slug)
    policies.require_can_see_end(request.subject, service)
    row = selectors.find_decommission(service)
    found = [] if service.retired_at else selectors.list_named(service)
    waits = row is not None and not row.outcome
    context = {
        "service": service,
        "row": row,
        "waits": waits,
        "moved": waits and row is not None and _moved(row.found, found),
        "total": len(found),
        "groups": [_group(kind, list(rows)) for kind, rows in groupby(found, key=lambda one: one.kind)],
        "may_propose": policies.can_propose_end(request.subject, service) and not service.retired_at,
        "may_decide": waits and row is not None and policies.can_end_all(request.subject, row.asker_id),
        "reason": request.POST.get("reason", "")[:2000],
        "errors": [one for many in errors.values() for one in many],
    }
    return TemplateResponse(request, "firewall/decommission.html", context, status=422 if errors else 200)


def _group(kind: str, rows: list[selectors.Named]) -> tuple[str, list[selectors.Named], str]:
    """Its heading, its rows, and what becomes of them where that is the same for all."""
    fates = {one.becomes for one in rows}
    return selectors.HEADINGS[kind], rows, fates.pop() if len(fates) == 1 else ""


def _moved(shown: list[dict[str, str]], found: list[selectors.Named]) -> bool:
    return sorted((one["kind"], one["id"]) for one in shown) != sorted((one.kind, one.id) for one in found)


@require_POST
def decommission_decide(request: PageRequest, slug: str) -> HttpResponse:
    outcome = Outcome.APPROVED if request.POST.get("outcome") == Outcome.APPROVED else Outcome.DENIED
    services.decide_end(slug=slug, outcome=outcome, actor=request.subject, at=timezone.now())
    if outcome == Outcome.APPROVED:
        messages.success(request, "Given up. Its doors close now; each is read back.")
    else:
        messages.success(request, "Denied. Nothing was changed.")
    return redirect("decommission", slug)
