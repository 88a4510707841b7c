"""An edge target as files: to look at, to download, and to have a team apply them instead of the console."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.audit.errors import Refusal
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.identity.selectors import has_role
from apps.rollout import tasks
from apps.rollout.exports.archive import zipped
from apps.rollout.exports.tree import Export
from apps.rollout.models import Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import delivering, exporting

ZIP = "application/zip"
MOST_FILES = 60


class DeliveryForm(forms.Form):
    delivery = forms.ChoiceField(
        label="Who brings it to Akamai",
        choices=[(one.value, one.label) for one in delivering.BROUGHT_BY],
        widget=forms.RadioSelect,
    )
    kv_token_ref = forms.CharField(
        label="Reference of the EdgeKV token",
        required=False,
        max_length=64,
        help_text="Needed when a team applies the export: the code reads EdgeKV with this token. It is not the token.",
    )
    edgeworker_id = forms.IntegerField(
        label="EdgeWorker id",
        required=False,
        min_value=1,
        max_value=delivering.LARGEST_ID,
        help_text="As soon as there is one. Then Terraform takes it over instead of making another.",
    )


@require_http_methods(["GET", "POST"])
def export(request: PageRequest, slug: str) -> HttpResponse:
    """What there is to export, and who brings it to Akamai; posting changes the latter."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target = exporting.exportable(slug)
    known = {
        "delivery": target.delivery,
        "kv_token_ref": target.facts.get("kv_token_ref", ""),
        "edgeworker_id": target.facts.get("edgeworker_id"),
    }
    form = DeliveryForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid() and _set(request, form, slug):
        tasks.poke([slug])
        if target.is_removed:
            messages.success(request, "It is set up again now. The property, the log and the certificate come after.")
            return redirect("target", slug)
        messages.success(request, "It is so now.")
        return redirect("target_export", slug)
    made, why_not = _made(target)
    context = {
        "target": target,
        "form": form,
        "keeper": has_role(request.subject, *KEEPERS),
        "export": made,
        "why_not": why_not,
        "files": [(path, len(content)) for path, content in made.files.items()][:MOST_FILES] if made else [],
    }
    return TemplateResponse(request, "rollout/export.html", context, status=422 if form.errors else 200)


def _made(target: Target) -> tuple[Export | None, str]:
    try:
        return exporting.export_at(target, at=timezone.now()), ""
    except Refusal as refusal:
        return None, refusal.message


def _set(request: PageRequest, form: DeliveryForm, slug: str) -> bool:
    with complaints_on(form):
        delivering.set_delivery(slug=slug, actor=request.subject.actor, at=timezone.now(), **form.cleaned_data)
    return form.is_valid()


@require_GET
def download(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *WATCHERS)
    return zip_answer(exporting.export_of(slug=slug, at=timezone.now()))


@require_GET
def download_revision(request: PageRequest, slug: str, number: int) -> HttpResponse:
    require_role(request, *WATCHERS)
    return zip_answer(exporting.export_of(slug=slug, at=timezone.now(), number=number))


def zip_answer(export: Export) -> HttpResponse:
    name = f"{export.target}-{export.revision}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(zipped(export), content_type=ZIP, headers=headers)
