"""A target's account at Akamai: its credential, and what it lets us do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods

from apps.audit.errors import NotFound
from apps.catalog import selectors as catalog
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.outbox import pokes
from apps.rollout import tasks
from apps.rollout.akamai.forms import ConnectForm, NewEdgeForm
from apps.rollout.cluster import facts as cluster_facts
from apps.rollout.cluster import views as cluster_views
from apps.rollout.models import DriverName, Preflight, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import connecting, preflights
from apps.rollout.services.akamai import adding
from apps.rollout.services.akamai.placing import Place
from apps.rollout.services.driving import has_live_agent
from apps.rollout.services.targets import TargetSpec
from apps.rollout.views import follow, get_target


def akamai_target(slug: str) -> Target:
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise NotFound
    return target


def called_target(slug: str) -> Target:
    """One whose vendor the console itself may call."""
    target = get_target(slug)
    if target.driver not in (DriverName.AKAMAI, DriverName.KUBERNETES):
        raise NotFound
    return target


def press(request: PageRequest, slug: str, do: Callable[..., object], said: str, page: str) -> HttpResponse:
    """One button of ``page``, about a target at Akamai."""
    require_role(request, *KEEPERS)
    akamai_target(slug)
    do(slug=slug, actor=request.subject.actor, at=timezone.now())
    messages.success(request, said)
    return redirect(page, slug)


@require_http_methods(["GET", "POST"])
@sensitive_variables()
@sensitive_post_parameters("edgerc", *cluster_views.SECRETS)
def connect(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    target = called_target(slug)
    if target.driver == DriverName.KUBERNETES:
        return cluster_views.connect(request, target)
    known = {"account_switch_key": target.config.get("account_switch_key", "")}
    form = ConnectForm(request.POST or None, request.FILES or None, initial=known)
    if request.method == "POST" and form.is_valid() and _connect(request, form, slug):
        tasks.poke([slug])
        messages.success(request, "Akamai knows this credential. It is kept. Now see what it lets us do.")
        return redirect("target_preflight", slug)
    context = {"target": target, "form": form}
    return TemplateResponse(request, "rollout/connect.html", context, status=422 if form.errors else 200)


@sensitive_variables()
def _connect(request: PageRequest, form: ConnectForm, slug: str) -> bool:
    with complaints_on(form):
        connecting.connect(
            slug=slug,
            credential=form.credential(os.environ),
            account_switch_key=form.cleaned_data["account_switch_key"],
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return form.is_valid()


@require_http_methods(["GET", "POST"])
@sensitive_variables()
@sensitive_post_parameters("edgerc")
def new(request: PageRequest) -> HttpResponse:
    """An account at Akamai becomes the edge of an environment. It is tried before anything is written."""
    require_role(request, *KEEPERS)
    environments = [(one.slug, one.name) for one in catalog.list_environments()]
    form = NewEdgeForm(request.POST or None, request.FILES or None, initial=asdict(Place()), environments=environments)
    if request.method == "POST" and form.is_valid() and _add(request, form):
        slug = form.cleaned_data["slug"]
        tasks.poke([slug])
        messages.success(request, "Akamai knows this credential, and the edge is being set up. See what it lets us do.")
        return redirect("target_preflight", slug)
    context = {"form": form, "environments": environments}
    return TemplateResponse(request, "rollout/edge_new.html", context, status=422 if form.errors else 200)


@sensitive_variables()
def _add(request: PageRequest, form: NewEdgeForm) -> bool:
    given = form.cleaned_data
    with complaints_on(form):
        spec = TargetSpec(
            slug=given["slug"],
            name=given["name"],
            driver=DriverName.AKAMAI,
            config=form.config,
            environment=given["environment"],
        )
        adding.add(
            spec=spec,
            credential=form.credential(os.environ),
            account_switch_key=given["account_switch_key"],
            wish=form.place,
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return form.is_valid()


@require_http_methods(["GET", "POST"])
def preflight(request: PageRequest, slug: str) -> HttpResponse:
    """What the account lets us do, as it was last seen; posting has it looked at again."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target = called_target(slug)
    if request.method == "POST":
        preflights.ask(slug=slug, actor=request.subject.actor, at=timezone.now())
        return redirect("target_preflight", slug)
    last = preflights.latest(target)
    findings = last.findings if last else []
    cluster = target.driver == DriverName.KUBERNETES
    context = {
        "target": target,
        "preflight": last,
        "areas": [(area, list(rows)) for area, rows in groupby(findings, itemgetter("area"))],
        "stoppers": preflights.stoppers(last) if last else 0,
        "seen": _mark(last),
        "who": "the cluster" if cluster else "Akamai",
        "rbac": cluster_facts.manifest_of(target) if cluster else "",
        "cluster": cluster_facts.facts_of(target) if cluster else None,
        "silent": target.is_pulled and not has_live_agent(target, timezone.now()),
    }
    return TemplateResponse(request, "rollout/preflight.html", context)


def _mark(last: Preflight | None) -> str:
    return pokes.mark_of(*((last.pk, last.answered, last.finished_at) if last else ()))


@require_GET
async def preflight_events(request: PageRequest, slug: str) -> StreamingHttpResponse:
    return await follow(request, slug, called_target, lambda target: _mark(preflights.latest(target)))
