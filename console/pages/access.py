"""My access: what is open to me, behind which doors, for how long, and the command to use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from apps.access import selectors
from apps.access.selectors.standing import asked_about
from apps.catalog import selectors as catalog
from apps.identity.pages import PageRequest
from apps.trust import services as trust
from console.curl import command, token_command

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.identity.models import Subject


MOST = 30


@dataclass(frozen=True, slots=True)
class Held:
    """A grant as its holder sees it. ``edge`` and ``mesh`` are door states, empty where no door was asked for.

    ``asked_until`` is until when somebody else is asked whether it stays.
    """

    grant: Grant
    edge: str
    mesh: str
    mine: bool
    curl: str = ""
    asked_until: datetime | None = None


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
    grants = list(selectors.list_held(subject=request.subject, at=at)[: MOST + 1])
    asked = asked_about([grant.pk for grant in grants])
    shown = [replace(one, asked_until=asked.get(one.grant.pk)) for one in present(grants[:MOST], request.subject)]
    context = {
        "rows": with_commands(shown, token),
        "more": len(grants) > MOST,
        "token": token,
        "ends": ends,
        "token_command": token_command(),
    }
    return TemplateResponse(request, "access/access.html", context)


def present(grants: Iterable[Grant], viewer: Subject) -> list[Held]:
    return [held(grant, viewer, {door.point: door.state for door in grant.doors.all()}) for grant in grants]


def held(grant: Grant, viewer: Subject, doors: Mapping[str, str]) -> Held:
    """``doors`` are the states of its doors, by point."""
    asker = grant.request.requester_id if grant.request else None
    return Held(
        grant=grant,
        edge=doors.get("edge", ""),
        mesh=doors.get("mesh", ""),
        mine=viewer.pk in {grant.subject_id, asker, grant.subject.owner_id},
    )


def with_commands(rows: list[Held], token: str) -> list[Held]:
    """Each with the command to try it, where it has a route through the edge."""
    services = {row.grant.service.slug for row in rows}
    addresses = {one.service: one for one in catalog.list_edge_addresses(services)}
    return [replace(row, curl=_command(row.grant, addresses.get(row.grant.service.slug), token)) for row in rows]


def _command(grant: Grant, address: catalog.EdgeAddress | None, token: str) -> str:
    if address is None or "edge" not in grant.points:
        return ""
    return command(address.host, address.base_path, grant.routes.all(), token)
