"""Giving one service the access of another: a firewall request whose lines are the grants there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.compiler.graph import SubjectKind
from apps.firewall import refusals
from apps.firewall.models import FirewallRequest, Origin
from apps.firewall.services.drafting import Head, Written, draft_request

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.catalog.models import Service
    from apps.identity.models import Subject

CALLER, CALLEE = "caller", "callee"
SIDES = (CALLER, CALLEE)


def clone_access(
    *, actor: Subject, source: str, to: str, sides: Iterable[str], head: Head, origin: str = Origin.WEB, at: datetime
) -> FirewallRequest:
    """A request for what ``source`` may call (``caller``), for who may call it (``callee``), or both, in ``to``'s name.

    Nothing is granted by it: each line is resolved, weighed and approved like any other. Raises BadFirewallRequest when
    there is nothing to copy.
    """
    model, copy = catalog.get_service(source), catalog.get_service(to)
    wanted = [side for side in SIDES if side in set(sides)]
    if model.pk == copy.pk or not wanted:
        complaint = "Choose two services, and what of the first the second should get."
        raise refusals.BadFirewallRequest(complaint, fields={"to": [complaint]})
    environment = catalog.get_environment(head.environment).slug
    lines = [line for side in wanted for line in _lines(side, model, copy, environment, at)]
    if not lines:
        complaint = f"{model.title} has no access of that kind, so there is nothing to copy."
        raise refusals.BadFirewallRequest(complaint, fields={"from": [complaint]})
    return draft_request(actor=actor, head=head, lines=_once(lines), origin=origin, at=at)


def _lines(side: str, model: Service, copy: Service, environment: str, at: datetime) -> Iterator[Written]:
    if side == CALLEE:
        rows = access.list_open_at(service_slug=model.slug, environment_slug=environment, at=at)
        grants = rows.filter(treatment__isnull=True).select_related("subject", "service").prefetch_related("routes")
        return _of_grants(grants.order_by("pk"), {model.slug: copy.slug}, "")
    keys = [one.workload for one in catalog.list_placed(environment) if one.slug == model.slug and one.workload]
    held = access.list_running_of(keys=keys, at=at).filter(environment__slug=environment)
    return _of_grants(held.prefetch_related("routes"), {}, _caller_of(copy, environment))


def _caller_of(copy: Service, environment: str) -> str:
    """The workload the copy runs as; its short name where it runs nowhere yet, which the line then says."""
    placed = (one for one in catalog.list_placed(environment) if one.slug == copy.slug and one.workload)
    return next((one.workload for one in placed), copy.slug)


def _of_grants(grants: Iterable[Grant], renamed: dict[str, str], caller: str) -> Iterator[Written]:
    """A line for each method set and route, without those of outside parties: addresses are asked for anew."""
    for grant in grants:
        if grant.subject.kind == SubjectKind.PARTY:
            continue
        for route in sorted(grant.routes.all(), key=lambda one: (one.template, one.key)):
            yield Written(
                source=caller or grant.subject.key,
                destination=renamed.get(grant.service.slug, grant.service.slug),
                method=min(route.methods),  # one of them names the route; without any it would name its neighbours too
                path=route.template,
                text=f"as {grant.public_id} opens {grant.service.slug} to {grant.subject.key}",
            )


def _once(lines: Iterable[Written]) -> list[Written]:
    """Two grants may open the same."""
    found: dict[tuple[str, ...], Written] = {}
    for line in lines:
        found.setdefault((line.source, line.destination, line.method, line.path), line)
    return list(found.values())
