"""The client certificate the edge shows to the mesh: how far it is, and when it is renewed."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.outbox import pokes
from apps.rollout.akamai.views import akamai_target, press
from apps.rollout.models import OriginCertificate
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import origin_certificates
from apps.rollout.services.akamai.origin_certificates import CertificateInput
from apps.rollout.states import OPEN_PROPERTIES, PropertyState
from apps.rollout.views import follow


class CertificateForm(forms.Form):
    hostname = forms.CharField(
        label="Host name", max_length=253, help_text="The property that serves it is found by this name."
    )
    email = forms.CharField(
        label="Whom Akamai tells", max_length=254, help_text="Of certificates that run out, and of activations."
    )
    agree_to_renewals = forms.BooleanField(
        label="I agree to renewals now: every 20 days or so our rule names the newer version, and nothing else changes",
        required=False,
    )


@require_http_methods(["GET", "POST"])
def certificate(request: PageRequest, slug: str) -> HttpResponse:
    """How far it is; posting has it made, or changed."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target = akamai_target(slug)
    row = origin_certificates.get_origin_certificate(target)
    form = CertificateForm(request.POST or None, initial=_initial(row))
    if request.method == "POST" and form.is_valid() and _ask(request, form, slug):
        return redirect("target_certificate", slug)
    change, at = origin_certificates.last_change(row) if row else None, timezone.now()
    context = {
        "target": target,
        "form": form,
        "row": row,
        "ready": "edgeworker_id" in target.facts,
        "versions": origin_certificates.version_rows(row) if row else [],
        "outlook": origin_certificates.outlook(row, at=at) if row else None,
        "shown_until": origin_certificates.shown_until(row) if row else None,
        "ends_soon": row is not None and origin_certificates.ends_soon(row, at=at),
        "activations": origin_certificates.ACTIVATIONS,
        "change": change,
        "change_failed": change is not None and change.state == PropertyState.FAILED,
        "change_open": change is not None and change.state in OPEN_PROPERTIES,
        "in_use": row is not None and row.bound_guid != "" and row.bound_guid == row.deployed_guid,
        "seen": _mark(row),
    }
    return TemplateResponse(request, "rollout/certificate.html", context, status=422 if form.errors else 200)


def _initial(row: OriginCertificate | None) -> dict[str, object]:
    if row is None:
        return {}
    return {"hostname": row.hostname, "email": row.email, "agree_to_renewals": bool(row.agreed_by)}


def _ask(request: PageRequest, form: CertificateForm, slug: str) -> bool:
    with complaints_on(form):
        origin_certificates.ask(
            slug=slug,
            given=CertificateInput(**form.cleaned_data),
            actor=request.subject.actor,
            at=timezone.now(),
        )
    return form.is_valid()


def _mark(row: OriginCertificate | None) -> str:
    told = (row.versions, row.bound_guid, row.planned_guid, row.error, row.waiting_for) if row else ()
    return pokes.mark_of(*told)


@require_POST
def renew(request: PageRequest, slug: str) -> HttpResponse:
    said = "A new version is being made. The present one stays until the property names the new one."
    return press(request, slug, origin_certificates.renew, said, "target_certificate")


@require_POST
def plan_again(request: PageRequest, slug: str) -> HttpResponse:
    said = "The property is being compared again."
    return press(request, slug, origin_certificates.plan_again, said, "target_certificate")


@require_GET
async def events(request: PageRequest, slug: str) -> StreamingHttpResponse:
    look = origin_certificates.get_origin_certificate
    return await follow(request, slug, akamai_target, lambda target: _mark(look(target)))
