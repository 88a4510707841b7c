"""Code on its way: the releases of an edge target, how careful it is with them, and the buttons that decide."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.identity.selectors import has_role
from apps.outbox import pokes
from apps.rollout import tasks
from apps.rollout.akamai.views import akamai_target
from apps.rollout.models import Release
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import releases as rows
from apps.rollout.services import releasing
from apps.rollout.services.safety import MOST_MINUTES, Safety, safety_of, set_safety
from apps.rollout.views import follow


class SafetyForm(forms.Form):
    staging_entry = forms.CharField(
        label="Way into Akamai's staging network",
        max_length=253,
        required=False,
        help_text="The staging name of the edge host, such as api.example.com.edgekey-staging.net. Without it code is"
        " not tried on staging.",
    )
    take_back = forms.BooleanField(label="Take code back by itself when it is not good", required=False)
    error_share = forms.IntegerField(
        label="Errors may rise by, in per cent of the calls", min_value=1, max_value=100, initial=5
    )
    watch_minutes = forms.IntegerField(
        label="Minutes to watch it on production", min_value=1, max_value=MOST_MINUTES, initial=10
    )

    @property
    def wish(self) -> Safety:
        given = self.cleaned_data
        return Safety(
            given["staging_entry"].strip().lower(), given["take_back"], given["error_share"], given["watch_minutes"]
        )


@require_http_methods(["GET", "POST"])
def releases(request: PageRequest, slug: str) -> HttpResponse:
    """What became of each version; posting says how careful the target is from now on."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target = akamai_target(slug)
    safety = safety_of(target)
    known = {name: getattr(safety, name) for name in SafetyForm.base_fields}
    form = SafetyForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid() and _kept(request, form, slug):
        messages.success(request, "Kept. It holds from the next release on.")
        return redirect("target_releases", slug)
    found = rows.latest(target)
    context = {
        "target": target,
        "form": form,
        "safety": safety,
        "releases": found,
        "current": found[0] if found else None,
        "keeper": has_role(request.subject, *KEEPERS),
        "seen": _mark(found),
    }
    return TemplateResponse(request, "rollout/releases.html", context, status=422 if form.errors else 200)


def _kept(request: PageRequest, form: SafetyForm, slug: str) -> bool:
    with complaints_on(form):
        set_safety(slug=slug, wish=form.wish, actor=request.subject.actor, at=timezone.now())
    return form.is_valid()


def _mark(found: Sequence[Release]) -> str:
    return pokes.mark_of(*((one.pk, one.state, one.tries, one.counts) for one in found[:2]))


@require_GET
async def events(request: PageRequest, slug: str) -> StreamingHttpResponse:
    return await follow(request, slug, akamai_target, lambda target: _mark(rows.latest(target)))


@require_POST
def approve(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    version = request.POST.get("version", "")
    releasing.approve(slug=slug, version=version, actor=request.subject.actor, at=timezone.now())
    return _done(request, slug, f"Version {version} goes to production now.")


@require_POST
def stop(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    releasing.stop(slug=slug, actor=request.subject.actor, at=timezone.now())
    return _done(request, slug, "It is stopped. The code before stays until you press Try now.")


@require_POST
def try_again(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    releasing.try_again(slug=slug, actor=request.subject.actor, at=timezone.now())
    return _done(request, slug, "It is tried again now.")


@require_POST
def production(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    wanted = request.POST.get("production", "")
    releasing.set_production(slug=slug, production=wanted, actor=request.subject.actor, at=timezone.now())
    asks = wanted == "approved"
    return _done(request, slug, "An operator is asked each time." if asks else "Code goes to production by itself.")


def _done(request: PageRequest, slug: str, said: str) -> HttpResponse:
    tasks.poke([slug])
    messages.success(request, said)
    return redirect("target", slug)
