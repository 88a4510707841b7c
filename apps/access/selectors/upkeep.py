"""What an examination of grants says, and the lists of what was found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Min, Q, QuerySet

from apps.access.guardrails import list_guardrail_rows
from apps.access.models import Examined, Grant, GrantUse, StandingPolicy, UpkeepFinding
from apps.access.selectors.graph import assemble, graph_denials, seconds
from apps.access.selectors.pages import PAGE, Page, page_of
from apps.access.selectors.visibility import sight_of
from apps.access.states import LIVE_GRANTS
from apps.catalog import selectors as catalog
from apps.compiler import hygiene
from apps.compiler.graph import AccessGraph, SubjectKind
from apps.compiler.lint import Code, Finding, Severity

if TYPE_CHECKING:
    from apps.identity.models import Subject

UNUSED_DAYS = 90


@dataclass(frozen=True, slots=True)
class Examination:
    """``services`` are ids by slug."""

    findings: tuple[Finding, ...]
    services: Mapping[str, int]


def examine(*, service_ids: Collection[int] | None, environment_id: int, at: datetime) -> Examination:
    """Of these services, or of all. A handful of queries."""
    where = catalog.get_environment_by_id(environment_id)
    grants = _held(environment_id, service_ids)
    services = dict(grants.order_by().values_list("service__slug", "service_id").distinct())
    graph = _graph(services, grants, where.slug, at)
    found = hygiene.examine(graph, seconds(at), usage_of(grants, at))
    return Examination((*found, *_on_retired(grants, graph.services)), services)


def _held(environment_id: int, service_ids: Collection[int] | None) -> QuerySet[Grant]:
    rows = Grant.objects.filter(environment=environment_id, state__in=LIVE_GRANTS, treatment__isnull=True)
    rows = rows.exclude(subject__kind=SubjectKind.PARTY)
    return rows if service_ids is None else rows.filter(service__in=service_ids)


def _graph(services: Collection[str], grants: QuerySet[Grant], environment: str, at: datetime) -> AccessGraph:
    return assemble(
        services=catalog.graph_services(services, environment),
        grants=grants,
        guardrails=list_guardrail_rows(services),
        at=at,
        denials=graph_denials(services, environment, at),
    )


def _on_retired(grants: QuerySet[Grant], living: Collection[str]) -> Iterable[Finding]:
    rows = grants.exclude(service__slug__in=living).order_by("public_id")
    for public_id, slug, title, name in rows.values_list(
        "public_id", "service__slug", "service__title", "subject__name"
    ):
        sentence = f"{title} is retired, but {name} still holds access to it."
        yield Finding(Code.ORPHANED, Severity.ERROR, sentence, (public_id,), slug)


def usage_of(grants: QuerySet[Grant], at: datetime) -> hygiene.Usage:
    policy = StandingPolicy.objects.first()
    idle = timedelta(days=(policy.unused_days if policy else 0) or UNUSED_DAYS)
    rows = GrantUse.objects.filter(grant__in=grants.values("pk"))
    last: dict[str, int] = {}
    routes: dict[str, set[str]] = defaultdict(set)
    for grant, route, used_at in rows.values_list("grant__public_id", "route", "last_at"):
        last[grant] = max(last.get(grant, 0), seconds(used_at))
        if used_at > at - idle:
            routes[grant].add(route)
    return hygiene.Usage(
        since=seconds(policy.watched_since if policy else at),
        idle=int(idle.total_seconds()),
        last=last,
        routes={grant: frozenset(used) for grant, used in routes.items()},
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open by a grant, as far as its use matters."""

    public_id: str
    starts_at: datetime | None
    routes: frozenset[str]


def routes_used(opened: Collection[Opened], at: datetime) -> dict[str, frozenset[str]]:
    """By public id, the routes calls took lately by each of these that are open and were watched for as long as makes a
    grant unused; nothing for the others. Two queries."""
    usage = usage_of(Grant.objects.filter(public_id__in=[one.public_id for one in opened]), at)
    since = at - timedelta(seconds=usage.idle)
    if usage.since > seconds(since):
        return {}
    return {
        one.public_id: usage.routes.get(one.public_id, frozenset()) & one.routes
        for one in opened
        if one.starts_at is not None and one.starts_at <= since
    }


def routes_worth_keeping(grants: Collection[Grant], at: datetime) -> dict[str, tuple[str, ...]]:
    """By public id, to which routes each can be narrowed: those used, where there are any and they are not all."""
    opened = [
        Opened(grant.public_id, grant.starts_at, frozenset(route.key for route in grant.routes.all()))
        for grant in grants
    ]
    used = routes_used(opened, at)
    return {
        one.public_id: tuple(sorted(used[one.public_id]))
        for one in opened
        if 0 < len(used.get(one.public_id, ())) < len(one.routes)
    }


def visible_findings(viewer: Subject) -> QuerySet[UpkeepFinding]:
    """To those who watch over all, and to the teams that own the services."""
    sight = sight_of(viewer)
    rows = UpkeepFinding.objects.all()
    return rows if sight.sees_all else rows.filter(service__team__in=sight.owners)


def list_findings(
    *,
    viewer: Subject,
    service: str = "",
    code: str = "",
    severity: str = "",
    safe: bool = False,
    after: int | None = None,
    limit: int = PAGE,
) -> Page[UpkeepFinding]:
    rows = _filtered(visible_findings(viewer), service=service, code=code, severity=severity, safe=safe)
    return page_of(rows.select_related("service__team", "environment"), after=after, limit=limit)


def _filtered(
    rows: QuerySet[UpkeepFinding], *, service: str, code: str, severity: str, safe: bool
) -> QuerySet[UpkeepFinding]:
    wanted = {"service__slug": service, "code": code, "severity": severity}
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    return rows.filter(removable=True) if safe else rows


def count_findings(*, viewer: Subject, service: str = "") -> dict[str, int]:
    """By code, most of them first; ``safe`` is how many of all could go without a change for anybody."""
    rows = _filtered(visible_findings(viewer), service=service, code="", severity="", safe=False)
    counted = rows.order_by().values_list("code").annotate(many=Count("pk"), safe=Count("pk", filter=Q(removable=True)))
    found = sorted(counted, key=lambda row: (-row[1], row[0]))
    return {"safe": sum(safe for _, _, safe in found), **{code: many for code, many, _ in found}}


def examined_since() -> datetime | None:
    """The oldest examination that the lists rest on."""
    oldest: datetime | None = Examined.objects.aggregate(oldest=Min("at"))["oldest"]
    return oldest
