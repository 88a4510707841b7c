"""The log of an edge: its stream at Akamai, what the stream brought, and what it did not."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.outbox import pokes
from apps.rollout.akamai.views import akamai_target, press
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import adopting_streams, streaming
from apps.rollout.services.akamai.streaming import StreamInput
from apps.rollout.views import follow
from apps.telemetry import edge_gaps
from apps.telemetry.edge_gaps import Brought

if TYPE_CHECKING:
    from apps.rollout.models import EdgeStream, Target


class StreamForm(forms.Form):
    hostname = forms.CharField(
        label="Host name", max_length=253, help_text="The property that serves it is found by this name."
    )
    email = forms.CharField(
        label="Whom Akamai tells", max_length=254, help_text="Of activations, and when it cannot deliver."
    )
    address = forms.CharField(
        label="Where Akamai reaches this console",
        max_length=300,
        help_text="https:// and a host name. Lines are delivered below it, and proven by a secret made here.",
    )
    stream_id = forms.IntegerField(
        label="Number of a stream to adopt",
        required=False,
        min_value=1,
        max_value=2**31,
        help_text="Leave it empty, and the stream of our name is found or made. You see it before it is changed.",
    )


@require_http_methods(["GET", "POST"])
def stream(request: PageRequest, slug: str) -> HttpResponse:
    """How the stream is; posting has it made, adopted or changed."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target, at = akamai_target(slug), timezone.now()
    found = streaming.get_stream(target)
    form = StreamForm(request.POST or None, initial=_initial(found))
    if request.method == "POST" and form.is_valid() and _ask(request, form, slug):
        return redirect("target_stream", slug)
    brought = _brought(found, at) if found else None
    context = {
        "target": target,
        "form": form,
        "stream": found,
        "door": _door(found, brought),
        "endpoint": streaming.endpoint_of(found) if found else "",
        "keys": streaming.believed(found) if found else [],
        "brought": brought,
        "seen": _mark(found, brought.last if brought else None),
    }
    return TemplateResponse(request, "rollout/stream.html", context, status=422 if form.errors else 200)


def _brought(found: EdgeStream, at: datetime) -> Brought:
    return edge_gaps.brought(found.pk, at=at, delivering=streaming.delivering_of(found))


def _initial(found: EdgeStream | None) -> dict[str, str]:
    if found is None:
        return {"address": settings.SALLYPORT_URL}
    return {"hostname": found.hostname, "email": found.email, "address": found.address}


def _door(found: EdgeStream | None, brought: Brought | None) -> str:
    """The state in the words of the page's components. Akamai's word alone delivers nothing: a line has to come."""
    if found is None or brought is None or not found.wanted:
        return "retired"
    if found.error:
        return "failed"
    if found.status != "ACTIVATED":
        return "applying"
    return "active" if brought.came else "pending"


def _ask(request: PageRequest, form: StreamForm, slug: str) -> bool:
    with complaints_on(form):
        streaming.ask(
            slug=slug,
            given=StreamInput(**form.cleaned_data),
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return form.is_valid()


def _mark(found: EdgeStream | None, newest: datetime | None) -> str:
    if found is None:
        return pokes.mark_of()
    waiting = (found.adopting, found.candidate.get("version"), found.agreed_version)
    return pokes.mark_of(found.status, found.wanted, found.error, found.sent_key, newest, *waiting)


def _look(target: Target) -> str:
    found = streaming.get_stream(target)
    return _mark(found, edge_gaps.newest(found.pk) if found else None)


@require_POST
def adopt(request: PageRequest, slug: str) -> HttpResponse:
    """Agree to what was found under the number."""
    require_role(request, *KEEPERS)
    akamai_target(slug)
    version = asked_number(request.POST.get("version", ""))
    adopting_streams.agree(slug=slug, version=version, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "The stream is being taken over.")
    return redirect("target_stream", slug)


def asked_number(text: str) -> int:
    """Zero for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@require_POST
def renew_secret(request: PageRequest, slug: str) -> HttpResponse:
    said = "Akamai is being given another secret. The one before is believed until then."
    return press(request, slug, streaming.renew_secret, said, "target_stream")


@require_POST
def end_secret(request: PageRequest, slug: str) -> HttpResponse:
    said = "The older secret opens nothing any more."
    return press(request, slug, streaming.end_older_secret, said, "target_stream")


@require_POST
def stop(request: PageRequest, slug: str) -> HttpResponse:
    said = "Akamai is told to deliver no more."
    return press(request, slug, streaming.stop, said, "target_stream")


@require_GET
async def events(request: PageRequest, slug: str) -> StreamingHttpResponse:
    return await follow(request, slug, akamai_target, _look)
