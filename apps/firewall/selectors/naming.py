"""Everything that names a service, wherever it is kept: what would have to go if the service went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Value
from django.db.models.functions import Cast, Concat

from apps.access import selectors as access
from apps.catalog.shapes import DoorAt, Ties, get_ties
from apps.compiler.graph import SubjectKind
from apps.compiler.words import listed
from apps.firewall.models import Decommission, FirewallLine, Zone

if TYPE_CHECKING:
    from apps.catalog.models import Service

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
    """In the order of HEADINGS. Three queries."""
    ties = get_ties(service)
    workloads = sorted({one.workload for one in ties.doors if one.workload})
    hosts = {one.host: one.environment for one in ties.doors if one.host}
    found = access.list_naming(service_slug=service.slug, workload_keys=workloads, hosts=hosts)
    named = [
        *(_grant(one) for one in found.grants),
        *(_request(one) for one in found.requests),
        *(_rule(one, service) for one in found.rules),
        *(_guardrail(one, service.slug, workloads) for one in found.guardrails),
        *_ours(service),
        *(_door(one) for one in ties.doors),
        *_dependencies(ties),
        *(_host(one) for one in found.hosts),
    ]
    order = list(HEADINGS)
    return sorted(named, key=lambda one: (order.index(one.kind), one.id))


def workloads_of(service: Service) -> list[str]:
    return sorted({one.workload for one in get_ties(service).doors if one.workload})


def find_decommission(service: Service) -> Decommission | None:
    """The newest, answered or not."""
    rows = Decommission.objects.filter(service=service).select_related("asker", "decided_by", "service")
    return rows.order_by("-pk").first()


def _grant(grant: access.NamedGrant) -> Named:
    kind = "traffic" if grant.is_rule else "grant"
    kind = "address" if grant.subject_kind == SubjectKind.PARTY else kind
    said = f"{grant.subject} to {grant.service}: {listed(grant.routes[:5])}"
    return Named(kind, grant.public_id, said, "Revoked now; its doors close.")


def _request(request: access.NamedRequest) -> Named:
    said = f"{request.requester} asked for {request.subject} to {request.service}"
    return Named("request", request.public_id, said, "Withdrawn.")


def _rule(rule: access.NamedRule, service: Service) -> Named:
    alone = rule.services == (service.slug,)
    return Named("rule", rule.slug, rule.sentence, "Switched off." if alone else "No longer names it.")


def _guardrail(wall: access.NamedRule, slug: str, workloads: list[str]) -> Named:
    only_it = wall.services == (slug,)
    only_its = bool(wall.subjects) and not wall.kinds and set(wall.subjects) <= set(workloads)
    alone = only_it or only_its
    return Named("guardrail", wall.slug, wall.sentence, "Switched off." if alone else "No longer names it.")


def _ours(service: Service) -> Iterator[Named]:
    """Lines and zones, in one query."""
    lines = FirewallLine.objects.filter(meaning__service=service, access_request=None, dropped=False).order_by()
    zones = Zone.objects.filter(services__contains=[service.slug]).order_by()
    nothing, text = Value(""), models.TextField()
    rows = lines.annotate(
        kind=Value("line"), where=Concat("request__public_id", Value("/"), "number", output_field=text),
        one=Cast("source", text), other=Cast("destination", text),
    ).values_list("kind", "pk", "where", "one", "other")  # fmt: skip
    more = zones.annotate(
        kind=Value("zone"), where=Cast("slug", text), one=Cast("name", text), other=nothing
    ).values_list("kind", "pk", "where", "one", "other")  # fmt: skip
    for kind, _, where, one, other in sorted(rows.union(more, all=True)):
        if kind == "line":
            yield Named(kind, where, f"{one} to {other}", "Left out.")
        else:
            yield Named(kind, where, f"The zone {one} holds it", "Stays; it holds nothing by that name.")


def _door(one: DoorAt) -> Named:
    where = f"{one.host}{one.base_path}" if one.host else f"{one.namespace}, port {one.port}"
    return Named("exposure", f"{one.environment}/{one.point}", f"The {one.point} at {where}", "Taken away.")


def _dependencies(ties: Ties) -> Iterator[Named]:
    for slug, title in ties.callers:
        yield Named("dependency", f"from {slug}", f"{title} says it calls it", "Taken away.")
    for slug, title in ties.callees:
        yield Named("dependency", f"to {slug}", f"It says it calls {title}", "Taken away.")


def _host(host: str) -> Named:
    """A guarded host stays guarded: other services may be behind it, and a closed list harms nobody."""
    return Named("host", host, f"A list guards {host}", "Stays guarded.")
