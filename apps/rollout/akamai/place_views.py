"""The page on which a person says which EdgeWorker and which EdgeKV namespace a target uses."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.rollout import tasks
from apps.rollout.akamai.forms import PlaceForm
from apps.rollout.akamai.views import akamai_target
from apps.rollout.policies import KEEPERS
from apps.rollout.services.akamai import edge_tokens
from apps.rollout.services.akamai.placing import place, place_of


@require_http_methods(["GET", "POST"])
def choose(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    target = akamai_target(slug)
    now = place_of(target)
    form = PlaceForm(request.POST or None, initial={name: getattr(now, name) for name in PlaceForm.base_fields})
    if request.method == "POST" and form.is_valid() and _placed(request, form, slug):
        tasks.poke([slug])
        messages.success(request, "From now on that is used. What was used before stays at Akamai as it is.")
        return redirect("target", slug)
    at = timezone.now()
    tokens = [(one, edge_tokens.is_ending(one.expires_on, at)) for one in edge_tokens.list_tokens(target)]
    context = {"target": target, "form": form, "worker": target.facts.get("edgeworker_id"), "tokens": tokens}
    return TemplateResponse(request, "rollout/place.html", context, status=422 if form.errors else 200)


def _placed(request: PageRequest, form: PlaceForm, slug: str) -> bool:
    with complaints_on(form):
        wish, at = form.place, timezone.now()
        place(slug=slug, wish=wish, actor=request.subject.actor, at=at)
    return form.is_valid()
