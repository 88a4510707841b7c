"""A cluster as a target: how it is reached, what it takes, what it grants, and objects that somebody else manages."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from apps.audit.errors import NotFound
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.rollout import tasks
from apps.rollout.cluster.facts import manifest_of
from apps.rollout.cluster.forms import NewClusterForm, SettingsForm, WayForm, told
from apps.rollout.cluster.settings import END_OF_SALE, SMI, settings_of, what_ends
from apps.rollout.models import DriverName, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.cluster import connecting as cluster_connecting
from apps.rollout.services.cluster import objects as cluster_objects
from apps.rollout.services.targets import TargetSpec
from apps.rollout.views import get_target

SECRETS = ("kubeconfig", "token")


def cluster_target(slug: str) -> Target:
    target = get_target(slug)
    if target.driver != DriverName.KUBERNETES:
        raise NotFound
    return target


@require_http_methods(["GET", "POST"])
@sensitive_variables()
@sensitive_post_parameters(*SECRETS)
def new(request: PageRequest) -> HttpResponse:
    """A cluster becomes a target. It is tried before anything is written."""
    require_role(request, *KEEPERS)
    form = NewClusterForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid() and _add(request, form):
        slug = form.cleaned_data["slug"]
        tasks.poke([slug])
        messages.success(request, "The cluster is known. Now see what it grants.")
        return redirect("target_preflight", slug)
    context = {"form": form, "named": ("name", "slug", "environment"), "reading": tuple(SettingsForm.base_fields)}
    return TemplateResponse(request, "rollout/cluster_new.html", context, status=422 if form.errors else 200)


@sensitive_variables()
def _add(request: PageRequest, form: NewClusterForm) -> bool:
    given = form.cleaned_data
    with complaints_on(form):
        spec = TargetSpec(
            slug=given["slug"],
            name=given["name"],
            driver=DriverName.KUBERNETES,
            config=form.settings().config,
            environment=given["environment"].strip() or None,
        )
        cluster_connecting.add(spec=spec, way=form.way(), actor=request.subject.actor, at=timezone.now())
    return form.is_valid()


@sensitive_variables()
def connect(request: PageRequest, target: Target) -> HttpResponse:
    """The page of a cluster's credential; the address is shared with other targets, which checks the role."""
    form = WayForm(request.POST or None, request.FILES or None, initial={"by": target.config.get("reached")})
    if request.method == "POST" and form.is_valid() and _connect(request, form, target.slug):
        tasks.poke([target.slug])
        messages.success(request, "It is kept. Now see what the cluster grants.")
        return redirect("target_preflight", target.slug)
    reached = cluster_connecting.REACHED.get(str(target.config.get("reached", "")), "")
    since = target.facts.get("connected_at")
    context = {
        "target": target,
        "form": form,
        "reached": reached,
        "since": datetime.fromisoformat(since) if since else None,
        "rbac": manifest_of(target),
    }
    return TemplateResponse(request, "rollout/cluster_connect.html", context, status=422 if form.errors else 200)


@sensitive_variables()
def _connect(request: PageRequest, form: WayForm, slug: str) -> bool:
    with complaints_on(form):
        cluster_connecting.connect(slug=slug, way=form.way(), actor=request.subject.actor, at=timezone.now())
    return form.is_valid()


@require_http_methods(["GET", "POST"])
def settings(request: PageRequest, slug: str) -> HttpResponse:
    """What is compiled for the cluster. What guards calls there is taken off by who has read what that does."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target = cluster_target(slug)
    chosen = settings_of(target.config)
    form = SettingsForm(request.POST or None, initial=told(chosen))
    if request.method == "POST" and form.is_valid() and _change(request, form, target):
        tasks.poke([slug])
        messages.success(request, "Kept. Everything is compiled again.")
        return redirect("target", slug)
    context = {
        "target": target,
        "form": form,
        "end_of_sale": END_OF_SALE if SMI in chosen.emitters else "",
        "asks": form.is_bound and form.is_valid() and what_ends(chosen, form.settings(kept=chosen)),
    }
    return TemplateResponse(request, "rollout/cluster_settings.html", context, status=422 if form.is_bound else 200)


def _change(request: PageRequest, form: SettingsForm, target: Target) -> bool:
    kept = settings_of(target.config)
    wanted = form.settings(kept=kept)
    if what_ends(kept, wanted) and request.POST.get("sure") != "on":
        return False
    with complaints_on(form):
        cluster_connecting.change_settings(
            slug=target.slug, chosen=wanted, actor=request.subject.actor, at=timezone.now()
        )
    return form.is_valid()


@require_POST
def take_over(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    cluster_target(slug)
    path, managers = request.POST.get("path", ""), request.POST.get("managers", "")
    cluster_objects.take_over(slug=slug, path=path, managers=managers, actor=request.subject.actor, at=timezone.now())
    tasks.poke([slug])
    messages.success(request, "Our fields of this object are set now, once. It is on the record.")
    return redirect("target", slug)
