"""The roles and users of the AWS accounts that are copied: find one, bind it, copy again."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import NotFound, Refusal
from apps.identity import policies, selectors
from apps.identity.models import AwsPrincipal, Kind, Role, Subject
from apps.identity.pages import PAGE_SIZE, PageRequest, asked_text, require_role
from apps.identity.proofs import aws_directory, aws_reading, aws_syncing, bindings
from apps.identity.proofs.aws_reading import Asked
from apps.identity.proofs.bindings import Outside

WATCHERS = (Role.ADMINISTRATOR, Role.SECURITY, Role.AUDITOR, Role.OPERATOR)
MOST_CHOICES = 200


@require_GET
def principals(request: PageRequest) -> HttpResponse:
    require_role(request, *WATCHERS)
    asked = Asked(*(asked_text(request, name) for name in ("q", "account", "kind", "show")))
    found = aws_reading.after(aws_reading.list_principals(asked), asked_text(request, "after"))
    rows = list(found[: PAGE_SIZE + 1])
    syncs = aws_reading.list_syncs()
    context = {
        "rows": [(one, aws_reading.bound_of(one)) for one in rows[:PAGE_SIZE]],
        "after": rows[PAGE_SIZE - 1].stable_id if len(rows) > PAGE_SIZE else "",
        "asked": asked,
        "is_filtered": asked != Asked(),
        "kinds": aws_reading.KINDS,
        "shows": aws_reading.SHOWS,
        "syncs": [(one, aws_reading.is_wanted(one)) for one in syncs],
        "accounts": sorted({one.account for one in syncs if one.account}),
        "seen": sum(one.seen for one in syncs),
        "is_busy": any(one.asked_at for one in syncs),
        "may_sync": selectors.has_role(request.subject, Role.ADMINISTRATOR),
        "policy": aws_directory.policy(),
    }
    return TemplateResponse(request, "identity/aws.html", context)


@require_POST
def sync(request: PageRequest) -> HttpResponse:
    """Copy an account now; with ``may_lose`` also though that many would vanish, as whoever asks was shown."""
    require_role(request, Role.ADMINISTRATOR)
    shown = request.POST.get("may_lose", "0")
    may_lose = int(shown) if shown.isdecimal() and len(shown) < 8 else 0
    actor, at = request.subject.actor, timezone.now()
    aws_syncing.ask_sync(role=request.POST.get("role", ""), may_lose=may_lose, actor=actor, at=at)
    messages.success(request, "Asked. It takes seconds for a small account, a minute or two for a large one.")
    return redirect("aws")


@require_GET
def principal(request: PageRequest, stable_id: str) -> HttpResponse:
    return _page(request, _seen(request, stable_id))


def _seen(request: PageRequest, stable_id: str) -> AwsPrincipal:
    """Others are not told which roles there are."""
    if not selectors.has_role(request.subject, *WATCHERS):
        raise NotFound
    return aws_reading.get_principal(stable_id)


def _page(request: PageRequest, one: AwsPrincipal, *, typed: str = "", refusal: Refusal | None = None) -> HttpResponse:
    context = {
        "one": one,
        "bound": aws_reading.bound_of(one),
        "bindings": aws_reading.list_bindings_of(one),
        "choices": _choices(request.subject),
        "typed": typed,
        "refusal": refusal,
    }
    return TemplateResponse(request, "identity/aws_principal.html", context, status=refusal.status if refusal else 200)


def _choices(viewer: Subject) -> list[Subject]:
    """The workloads and agents the viewer may bind something to."""
    if selectors.has_role(viewer, Role.ADMINISTRATOR):
        return list(selectors.list_subjects().filter(kind__in=[Kind.WORKLOAD, Kind.AGENT])[:MOST_CHOICES])
    near = selectors.acting_for(viewer)
    return [one for one in near if one.kind in {Kind.WORKLOAD, Kind.AGENT} and policies.may_bind(viewer, one)]


@require_POST
def bind(request: PageRequest, stable_id: str) -> HttpResponse:
    """What is bound is pinned to AWS's own id, so that a role made again is another one."""
    one, key = _seen(request, stable_id), asked_subject(request)
    outside = outside_of(one)
    try:
        made = bindings.bind(subject_key=key, outside=outside, actor=request.subject.actor, at=timezone.now())
    except Refusal as refusal:
        return _page(request, one, typed=key, refusal=refusal)
    messages.success(request, f"{one.name} is {made.subject.name} from now on.")
    return redirect("aws_principal", stable_id=stable_id)


def asked_subject(request: PageRequest) -> str:
    return request.POST.get("subject", "").replace("\x00", "").strip()[:300]


def outside_of(one: AwsPrincipal) -> Outside:
    return Outside(kind=one.kind, account=one.account, name=one.name, partition=one.partition, stable_id=one.stable_id)
