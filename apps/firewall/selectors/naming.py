"""Everything that names a service, wherever it is kept: what would have to go if the service went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.compiler.graph import SubjectKind
from apps.compiler.words import listed
from apps.firewall.models import Decommission, FirewallLine, Zone

if TYPE_CHECKING:
    from apps.access.models import AccessRequest, ApprovalRule, Grant, Guardrail
    from apps.catalog.models import Exposure, Service

HEADINGS = {
    "grant": "Access",
    "traffic": "Traffic rules",
    "address": "Openings for addresses",
    "request": "Requests that wait",
    "rule": "Approval rules",
    "guardrail": "Guardrails",
    "line": "Lines of firewall requests",
    "zone": "Zones",
    "exposure": "Doors",
    "dependency": "Dependencies",
    "host": "Guarded hosts",
}


@dataclass(frozen=True, slots=True)
class Named:
    """One thing that names the service. ``kind`` is a key of HEADINGS; ``becomes`` is what approving does to it."""

    kind: str
    id: str
    sentence: str
    becomes: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def list_named(service: Service) -> list[Named]:
    """In the order of HEADINGS."""
    exposures = list(catalog.list_exposures(service))
    workloads = _workloads(exposures)
    found = access.list_naming(service_slug=service.slug, workload_keys=workloads)
    named = [
        *(_grant(one) for one in found.grants),
        *(_request(one) for one in found.requests),
        *(_rule(one, service) for one in found.rules),
        *(_guardrail(one, service.slug, workloads) for one in found.guardrails),
        *_lines(service),
        *_zones(service),
        *_doors(exposures),
        *_dependencies(service),
        *_hosts(exposures, service),
    ]
    order = list(HEADINGS)
    return sorted(named, key=lambda one: (order.index(one.kind), one.id))


def workloads_of(service: Service) -> list[str]:
    return _workloads(list(catalog.list_exposures(service)))


def find_decommission(service: Service) -> Decommission | None:
    """The newest, answered or not."""
    rows = Decommission.objects.filter(service=service).select_related("asker", "decided_by", "service")
    return rows.order_by("-pk").first()


def _workloads(exposures: list[Exposure]) -> list[str]:
    return sorted({one.workload.key for one in exposures if one.workload is not None})


def _grant(grant: Grant) -> Named:
    kind = "traffic" if grant.treatment is not None else "grant"
    kind = "address" if grant.subject.kind == SubjectKind.PARTY else kind
    routes = listed(sorted(route.template for route in grant.routes.all())[:5])
    said = f"{grant.subject.name} to {grant.service.title}: {routes}"
    return Named(kind, grant.public_id, said, "Revoked now; its doors close.")


def _request(request: AccessRequest) -> Named:
    said = f"{request.requester.name} asked for {request.subject.name} to {request.service.title}"
    return Named("request", request.public_id, said, "Withdrawn.")


def _rule(rule: ApprovalRule, service: Service) -> Named:
    alone = rule.services == [service.slug]
    return Named("rule", rule.slug, rule.sentence, "Switched off." if alone else "No longer names it.")


def _guardrail(wall: Guardrail, slug: str, workloads: list[str]) -> Named:
    only_it = wall.services == [slug]
    only_its = bool(wall.subjects) and not wall.kinds and set(wall.subjects) <= set(workloads)
    alone = only_it or only_its
    return Named("guardrail", wall.slug, wall.sentence, "Switched off." if alone else "No longer names it.")


def _lines(service: Service) -> Iterator[Named]:
    rows = FirewallLine.objects.filter(meaning__service=service, access_request=None, dropped=False)
    for line in rows.select_related("request").order_by("pk"):
        where = f"{line.request.public_id}/{line.number}"
        yield Named("line", where, f"{line.source} to {line.destination}", "Left out.")


def _zones(service: Service) -> Iterator[Named]:
    for zone in Zone.objects.filter(services__contains=[service.slug]).order_by("slug"):
        yield Named("zone", zone.slug, f"The zone {zone.name} holds it", "Stays; it holds nothing by that name.")


def _doors(exposures: list[Exposure]) -> Iterator[Named]:
    for one in exposures:
        where = f"{one.host}{one.base_path}" if one.host else f"{one.namespace}, port {one.port}"
        yield Named("exposure", f"{one.environment.slug}/{one.point}", f"The {one.point} at {where}", "Taken away.")


def _dependencies(service: Service) -> Iterator[Named]:
    for pair in catalog.list_callers(service):
        yield Named("dependency", f"from {pair.caller.slug}", f"{pair.caller.title} says it calls it", "Taken away.")
    for pair in catalog.list_callees(service):
        yield Named("dependency", f"to {pair.callee.slug}", f"It says it calls {pair.callee.title}", "Taken away.")


def _hosts(exposures: list[Exposure], service: Service) -> Iterator[Named]:
    """A guarded host stays guarded: other services may be behind it, and a closed list harms nobody."""
    hosts = {one.host: one.environment.slug for one in exposures if one.host}
    for row in access.list_guarded_hosts().filter(host__in=hosts):
        if hosts[row.host] == row.environment.slug:
            yield Named("host", row.host, f"A list guards {row.host}", "Stays guarded.")
