"""Zones and their matrix: everybody may read it; security and administrators set it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.access.policies import GOVERNORS
from apps.access.views.governing import KINDS, Names, some
from apps.catalog.models import Sensitivity
from apps.firewall import policies, selectors, services
from apps.firewall.models import Verdict, Zone
from apps.firewall.refusals import UnknownZone
from apps.firewall.services import ZoneValues
from apps.firewall.zoning import Matrix, members_words
from apps.identity.pages import PageRequest, asked_text, complaints_on, require_role

NEW = "new"


class CellForm(forms.Form):
    source = forms.CharField(widget=forms.HiddenInput, max_length=40)
    destination = forms.CharField(widget=forms.HiddenInput, max_length=40)
    verdict = forms.ChoiceField(label="May it be opened?", choices=Verdict.choices)
    why = forms.CharField(label="Why", max_length=300, help_text="Everybody whose line meets this cell reads it.")


class ZoneForm(forms.Form):
    slug = forms.SlugField(label="Short name", max_length=40, help_text="For addresses and the record. It stays.")
    name = forms.CharField(label="Name", max_length=100)
    services = Names(label="Services", required=False, help_text="Their short names. The closest name wins.")
    namespaces = Names(label="Namespaces", required=False, help_text="Of the mesh: services that run there.")
    networks = Names(label="Networks", required=False, help_text="Blocks such as 203.0.113.0/24, for callers.")
    sensitivities = some("Services that are", list(Sensitivity.choices))
    kinds = some("Callers that are a", KINDS)

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slug == NEW:
            raise forms.ValidationError("Take another: this name stands for one that is not there yet.")
        return slug

    def values(self) -> ZoneValues:
        given: dict[str, Any] = dict(self.cleaned_data)
        lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list | tuple)}
        return ZoneValues(name=given["name"], **lists)


@require_http_methods(["GET", "POST"])
def zones(request: PageRequest) -> HttpResponse:
    """The matrix. A cell is a link to the form that sets it."""
    matrix = selectors.get_matrix()
    form = CellForm(request.POST or None)
    if request.method == "POST":
        require_role(request, *GOVERNORS)
        if form.is_valid() and _set_cell(request, form):
            return redirect("zones")
    source, destination = (form.data.get(n) or asked_text(request, n) for n in ("source", "destination"))
    context = _chosen(matrix, str(source), str(destination), form) | {
        "rows": [(zone, members_words(zone), cells) for zone, cells in matrix.rows()],
        "zones": matrix.zones,
        "may_change": policies.can_zone(request.subject),
    }
    return TemplateResponse(request, "firewall/zones.html", context, status=422 if form.errors else 200)


def _chosen(matrix: Matrix, source: str, destination: str, form: CellForm) -> dict[str, Any]:
    """The cell that a link or a refused form is about."""
    known = {zone.slug: zone for zone in matrix.zones}
    if source not in known or destination not in known:
        return {"cell": None, "form": None}
    cell = matrix.cell(known[source], known[destination])
    if form.is_bound:
        return {"cell": cell, "form": form}
    said = {"verdict": cell.verdict, "why": cell.why if cell.said else ""}
    return {"cell": cell, "form": CellForm(initial={"source": source, "destination": destination, **said})}


def _set_cell(request: PageRequest, form: CellForm) -> bool:
    with complaints_on(form):
        services.set_cell(**form.cleaned_data, actor=request.subject.actor, at=timezone.now())
        messages.success(request, "Kept. It counts for every line that is sent from now on.")
    return form.is_valid()


@require_http_methods(["GET", "POST"])
def zone(request: PageRequest, slug: str) -> HttpResponse:
    """Make a zone, or change what it holds."""
    require_role(request, *GOVERNORS)
    row = None if slug == NEW else selectors.find_zone(slug)
    if row is None and slug != NEW:
        raise UnknownZone
    form = ZoneForm(_given(request, row), initial=_initial(row))
    if request.method == "POST" and form.is_valid() and _set_zone(request, form):
        return redirect("zones")
    context = {
        "row": row,
        "form": form,
        "lines": [form[name] for name in ("name", "services", "namespaces", "networks")],
        "groups": [form["sensitivities"], form["kinds"]],
    }
    return TemplateResponse(request, "firewall/zone.html", context, status=422 if form.errors else 200)


def _given(request: PageRequest, row: Zone | None) -> Any:
    if request.method != "POST":
        return None
    given = request.POST.copy()
    if row is not None:
        given["slug"] = row.slug
    return given


def _initial(row: Zone | None) -> dict[str, Any]:
    names = ("slug", "name", "services", "namespaces", "networks", "sensitivities", "kinds")
    return {} if row is None else {name: getattr(row, name) for name in names}


def _set_zone(request: PageRequest, form: ZoneForm) -> bool:
    with complaints_on(form):
        services.set_zone(
            slug=form.cleaned_data["slug"], values=form.values(), actor=request.subject.actor, at=timezone.now()
        )
        messages.success(request, "Kept.")
    return form.is_valid()


@require_POST
def zone_remove(request: PageRequest, slug: str) -> HttpResponse:
    services.remove_zone(slug=slug, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "Removed, with its row and its column.")
    return redirect("zones")
