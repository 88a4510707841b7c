"""Keeping the grants tidy: what was found, what somebody proposed to end, and the decision about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.access import policies
from apps.access.models import CleanUp, Grant
from apps.access.selectors import cleaning, upkeep
from apps.access.services import cleaning as services
from apps.access.states import CleanUpState
from apps.audit.errors import Refusal
from apps.compiler.lint import Code, Severity
from apps.compiler.words import listed
from apps.identity.pages import PageRequest, asked_text, complaints_on

if TYPE_CHECKING:
    from apps.identity.models import Subject

ROWS = 25
NARROW = "narrow"
LABELS = {
    Code.DUPLICATE: "Said twice",
    Code.SHADOWED: "Inside another",
    Code.REDUNDANT: "Covered by others",
    Code.EXPIRED: "Over",
    Code.NEVER_HIT: "Never used",
    Code.WIDER_THAN_USED: "Wider than used",
    Code.TOO_WIDE: "Too wide",
    Code.NEVER_EFFECTIVE: "Cannot work",
    Code.ORPHANED: "About something gone",
    Code.EDGE_WITHOUT_MESH: "Edge only",
    Code.MESH_WITHOUT_EDGE: "Mesh only",
}

CODES = frozenset(code.value for code in Code)
SEVERITIES = frozenset(severity.value for severity in Severity)


@require_GET
def findings(request: PageRequest) -> HttpResponse:
    asked = {name: asked_text(request, name) for name in ("service", "code", "severity")}
    after, safe = asked_text(request, "after"), bool(request.GET.get("safe"))
    page = upkeep.list_findings(viewer=request.subject, safe=safe, after=number(after), limit=ROWS, **known(asked))
    counts = upkeep.count_findings(viewer=request.subject, service=asked["service"])
    many_safe = counts.pop("safe")
    context = {
        "rows": [(one, LABELS[Code(one.code)]) for one in page.items],
        "after": page.after,
        "asked": asked,
        "safe": safe,
        "counts": [(code, LABELS[Code(code)], many) for code, many in counts.items()],
        "many": sum(counts.values()),
        "many_safe": many_safe,
        "as_of": upkeep.examined_since(),
    }
    return TemplateResponse(request, "access/upkeep.html", context)


def known(asked: dict[str, str]) -> dict[str, str]:
    """Filters as they can be: one that names nothing we know is none."""
    code = asked["code"] if asked["code"] in CODES else ""
    severity = asked["severity"] if asked["severity"] in SEVERITIES else ""
    return {"service": asked["service"], "code": code, "severity": severity}


def number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@require_GET
def clean_ups(request: PageRequest) -> HttpResponse:
    state = asked_text(request, "state")
    states = [state] if state in CleanUpState.values else []
    after = number(asked_text(request, "after"))
    page = cleaning.list_clean_ups(viewer=request.subject, states=states, after=after, limit=ROWS)
    context = {"rows": page.items, "after": page.after, "state": state, "states": CleanUpState}
    return TemplateResponse(request, "access/clean_ups.html", context)


class CleanUpForm(forms.Form):
    """Two steps: the first shows what would happen, the second, with a reason, proposes it."""

    reason = forms.CharField(label="Why", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))


@require_POST
def propose(request: PageRequest) -> HttpResponse:
    """Weighing it asks the database more than a page should, so it is done for whoever presses the button only."""
    given = request.POST
    chosen = [text[:32] for text in given.getlist("grant") if text][: services.MOST]
    if not chosen:
        messages.warning(request, "Tick what should end first.")
        return redirect("upkeep")
    grants = cleaning.list_proposable(viewer=request.subject, public_ids=chosen)
    keep = upkeep.routes_worth_keeping(grants, timezone.now()) if given.get("how") == NARROW else {}
    form = CleanUpForm(given if given.get("sure") else None)
    if form.is_bound and form.is_valid():
        made = _proposed(request, chosen, keep, form)
        if made is not None:
            messages.success(request, "Proposed. Nothing has ended yet: somebody else decides.")
            return redirect("clean_up", made.public_id)
    return _show(request, grants, keep, form)


def _proposed(
    request: PageRequest, chosen: list[str], keep: Mapping[str, Collection[str]], form: CleanUpForm
) -> CleanUp | None:
    with complaints_on(form):
        return services.propose_clean_up(
            grant_ids=chosen,
            actor=request.subject,
            reason=form.cleaned_data["reason"],
            must_be_safe=bool(request.POST.get("safe")),
            keep=keep,
            at=timezone.now(),
        )
    return None


def _show(
    request: PageRequest, grants: list[Grant], keep: Mapping[str, Collection[str]], form: CleanUpForm
) -> HttpResponse:
    refusal, weighed = "", None
    narrows = request.POST.get("how") == NARROW
    places = {(one.service_id, one.environment_id) for one in grants}
    if len(places) > 1:
        refusal = "These are of several services. Propose them one service at a time: its owners decide."
    elif not grants:
        refusal = "Nothing of that is open any more, or you may not see it."
    elif narrows and len(keep) < len(grants):
        left = listed(one.public_id for one in grants if one.public_id not in keep)
        refusal = f"Cannot be narrowed to what was used: {left}. No call used it lately, or calls used all of it."
    else:
        weighed = cleaning.weigh_removal(grants, timezone.now(), keep)
    context = {
        "form": form,
        "grants": [(one, keep.get(one.public_id, ())) for one in grants],
        "weighed": weighed,
        "refusal": refusal,
        "narrows": narrows,
    }
    return TemplateResponse(request, "access/clean_up_new.html", context, status=422 if form.errors else 200)


@require_GET
def clean_up(request: PageRequest, public_id: str) -> HttpResponse:
    row = cleaning.get_clean_up(viewer=request.subject, public_id=public_id)
    context = {
        "row": row,
        "grants": [(one, row.kept.get(one.public_id, ())) for one in sorted(row.grants.all(), key=lambda one: one.pk)],
        "narrows": bool(row.kept),
        "may_decide": _allows(policies.require_may_clean_up, request, row) == "",
        "why_not": _allows(policies.require_may_clean_up, request, row),
        "may_withdraw": _allows(policies.require_may_withdraw, request, row) == "",
    }
    return TemplateResponse(request, "access/clean_up.html", context)


def _allows(policy: Callable[[Subject, CleanUp], None], request: PageRequest, row: CleanUp) -> str:
    """Why ``policy`` says no; empty when it does not."""
    try:
        policy(request.subject, row)
    except Refusal as refusal:
        return refusal.message
    return ""


@require_POST
def decide(request: PageRequest, public_id: str) -> HttpResponse:
    agree = request.POST.get("verdict") == "approve"
    services.decide_clean_up(
        public_id=public_id,
        actor=request.subject,
        agree=agree,
        comment=request.POST.get("comment", ""),
        at=timezone.now(),
    )
    messages.success(request, "Done. The doors are told now." if agree else "Declined. Nothing has ended.")
    return redirect("clean_up", public_id)


@require_POST
def withdraw(request: PageRequest, public_id: str) -> HttpResponse:
    services.withdraw_clean_up(public_id=public_id, actor=request.subject, at=timezone.now())
    messages.success(request, "Withdrawn. Nothing has ended.")
    return redirect("clean_up", public_id)
