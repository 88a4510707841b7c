"""Putting our rule into a property, and taking it out: what would change is shown, and a person says yes."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.audit.errors import NotFound
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.outbox import pokes
from apps.rollout.akamai.views import akamai_target
from apps.rollout.models import PropertyChange, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import attaching, budgets
from apps.rollout.states import OPEN_PROPERTIES, PropertyState
from apps.rollout.views import follow

MOST = 10


class PropertyForm(forms.Form):
    hostname = forms.CharField(
        label="Host name", max_length=253, help_text="The property that serves it is found by this name."
    )
    email = forms.CharField(
        label="Whom Akamai tells", max_length=254, help_text="Akamai wants an e-mail address for each activation."
    )
    removal = forms.BooleanField(label="Take our rule out instead of putting it in", required=False)


@require_http_methods(["GET", "POST"])
def properties(request: PageRequest, slug: str) -> HttpResponse:
    """The change that is under way and those before it; posting has another one compared."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target = akamai_target(slug)
    form = PropertyForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _ask(request, form, slug):
        return redirect("target_property", slug)
    changes = attaching.newest(target, MOST)
    under_way = changes[0] if changes and changes[0].state in OPEN_PROPERTIES else None
    context = {
        "target": target,
        "form": form,
        "change": changes[0] if changes else None,
        "under_way": under_way,
        "droppable": under_way is not None and _is_droppable(under_way),
        "past": changes[1:],
        "ready": "edgeworker_id" in target.facts,
        "activations_left": budgets.room(target, budgets.PROPERTY_ACTIVATIONS, timezone.now()),
        "seen": _mark(changes),
    }
    return TemplateResponse(request, "rollout/property.html", context, status=422 if form.errors else 200)


def _is_droppable(change: PropertyChange) -> bool:
    """While a person is asked; and before anything goes live, when only errors came."""
    asks = change.state in (PropertyState.PLANNED, PropertyState.WARNED)
    return asks or (change.state in (PropertyState.ASKED, PropertyState.WRITING) and change.error != "")


def _ask(request: PageRequest, form: PropertyForm, slug: str) -> bool:
    given = form.cleaned_data
    with complaints_on(form):
        attaching.ask(
            slug=slug,
            hostname=given["hostname"],
            removal=given["removal"],
            email=given["email"],
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return form.is_valid()


def _mark(changes: list[PropertyChange]) -> str:
    return pokes.mark_of(*((one.pk, one.state, len(one.events), one.error) for one in changes[:1]))


def _own(slug: str, change_id: int) -> tuple[Target, int]:
    """A change is reached by its own target only."""
    target = akamai_target(slug)
    if not PropertyChange.objects.filter(pk=change_id, target=target).exists():
        raise NotFound
    return target, change_id


@require_POST
def agree(request: PageRequest, slug: str, change_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    _own(slug, change_id)
    shown = request.POST.get("shown", "")
    attaching.agree(change_id=change_id, shown=shown, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "A new version is being made. Warnings of Akamai will be shown here first.")
    return redirect("target_property", slug)


@require_POST
def accept(request: PageRequest, slug: str, change_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    _own(slug, change_id)
    named = request.POST.getlist("warning")
    attaching.accept_warnings(change_id=change_id, named=named, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "It goes live on staging, then on production.")
    return redirect("target_property", slug)


@require_POST
def drop(request: PageRequest, slug: str, change_id: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    _own(slug, change_id)
    attaching.drop(change_id=change_id, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "Dropped. What is live stays as it is.")
    return redirect("target_property", slug)


@require_GET
async def events(request: PageRequest, slug: str) -> StreamingHttpResponse:
    return await follow(request, slug, akamai_target, lambda target: _mark(attaching.newest(target, 1)))
