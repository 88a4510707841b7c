"""My access: what is open to me, behind which doors, for how long, and the command to use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from apps.access import selectors
from apps.catalog import selectors as catalog
from apps.identity.pages import PAGE_SIZE, PageRequest
from apps.trust import services as trust
from console.curl import command, token_command

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Held:
    """A grant as its holder sees it. ``edge`` and ``mesh`` are door states, empty where no door was asked for."""

    grant: Grant
    edge: str
    mesh: str
    curl: str
    mine: bool


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables("token")
def access(request: PageRequest) -> HttpResponse:
    """A POST answers with a five-minute token on the page: it goes nowhere else."""
    at, token, ends = timezone.now(), "", None
    if request.method == "POST":
        issued = trust.sign_edge_token(subject=request.subject.key, client_id="console", at=at)
        trust.count_token(subject=request.subject.key, client_id="console", at=at)
        token, ends = issued.token, issued.expires_in
    grants = list(selectors.list_held(subject=request.subject, at=at)[:PAGE_SIZE])
    context = {
        "rows": present(grants, request.subject, token),
        "token": token,
        "ends": ends,
        "token_command": token_command(),
    }
    return TemplateResponse(request, "access/access.html", context)


def present(grants: list[Grant], viewer: Subject, token: str = "") -> list[Held]:
    addresses = {one.service: one for one in catalog.list_edge_addresses()} if grants else {}
    return [_held(grant, viewer, addresses.get(grant.service.slug), token) for grant in grants]


def _held(grant: Grant, viewer: Subject, address: catalog.EdgeAddress | None, token: str) -> Held:
    doors = {door.point: door.state for door in grant.doors.all()}
    route = min(grant.routes.all(), key=lambda one: (one.template, one.key), default=None)
    through_edge = address is not None and route is not None and "edge" in grant.points
    asker = grant.request.requester_id if grant.request else None
    return Held(
        grant=grant,
        edge=doors.get("edge", ""),
        mesh=doors.get("mesh", ""),
        curl=command(address.host, address.base_path, route, token) if through_edge and address and route else "",
        mine=viewer.pk in {grant.subject_id, asker, grant.subject.owner_id},
    )
