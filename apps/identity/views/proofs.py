"""How a workload or agent proves itself, and how much it may do: on its page, by whoever answers for it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.identity import policies, selectors
from apps.identity.errors import MayNotBind
from apps.identity.models import Kind, ProofKind, Subject
from apps.identity.pages import PageRequest, complaints_on
from apps.identity.proofs import bindings, conditions, limits
from apps.identity.proofs.forms import FORMS, LimitsForm, ProofForm

BOUND = (Kind.WORKLOAD, Kind.AGENT)


def shown_proofs(subject: Subject, viewer: Subject) -> dict[str, object]:
    """What the subject's page says about it, to those it concerns."""
    if subject.kind not in BOUND or not policies.may_see_bindings(viewer, subject):
        return {"proofs_shown": False}
    rows = bindings.list_bindings(subject)
    found = limits.limits_of(subject) if subject.kind == Kind.AGENT else None
    spent = limits.calls_today(subject.key, at=timezone.now()) if found else 0
    return {
        "proofs_shown": True,
        "may_bind": policies.may_bind(viewer, subject),
        "bindings": [{"row": row, "conditions": conditions.shown(row.conditions)} for row in rows],
        "limits": found,
        "calls_today": spent,
        "budget": limits.standing_of(found, spent),
    }


@require_http_methods(["GET", "POST"])
def bind(request: PageRequest, key: str) -> HttpResponse:
    """One form for each kind of proof; which one is in the address, so that it needs no script."""
    subject = selectors.get_subject(key)
    if subject.kind not in BOUND or not policies.may_bind(request.subject, subject):
        raise MayNotBind
    kind = request.GET.get("kind", ProofKind.AWS_ROLE)
    kind = kind if kind in FORMS else ProofKind.AWS_ROLE
    form = FORMS[kind](request.POST or None)
    if request.method == "POST" and form.is_valid() and _bind(request, subject, form):
        return redirect("subject", key=key)
    context = {"one": subject, "form": form, "kind": kind, "kinds": ProofKind.choices}
    return TemplateResponse(request, "identity/proofs.html", context, status=422 if form.errors else 200)


def _bind(request: PageRequest, subject: Subject, form: ProofForm) -> bool:
    with complaints_on(form):
        made = bindings.bind(
            subject_key=subject.key, outside=form.outside(), actor=request.subject.actor, at=timezone.now()
        )
        messages.success(request, f"{made.outside} is {subject.name} from now on.")
    return form.is_valid()


@require_POST
def end(request: PageRequest, key: str, binding_id: int) -> HttpResponse:
    why = request.POST.get("why", "").replace("\x00", "")[:200]
    ended = bindings.end_binding(
        binding_id=binding_id, subject_key=key, actor=request.subject.actor, at=timezone.now(), why=why
    )
    messages.success(request, f"{ended.outside} proves nothing any more. Tokens it has live at most five minutes.")
    return redirect("subject", key=key)


@require_POST
def limit(request: PageRequest, key: str) -> HttpResponse:
    form = LimitsForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Limits are whole numbers from 1, or nothing.")
        return redirect("subject", key=key)
    limits.set_limits(subject_key=key, actor=request.subject.actor, at=timezone.now(), **form.cleaned_data)
    messages.success(request, "The limits are as you gave them.")
    return redirect("subject", key=key)
