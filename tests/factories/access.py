"""A small shop in which somebody asks, somebody decides and somebody watches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.access import services
from apps.access.models import AccessRequest, Grant
from apps.catalog.models import Dependency, Environment, Exposure, Route, Service
from apps.compiler.connections import CONNECT, METHOD
from apps.identity.freshness import Freshness
from apps.identity.models import Subject
from tests.factories import identity
from tests.factories.remembered import remembered

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = 3600
ROUTES = {
    "list": (["GET"], "/payments"),
    "read": (["GET"], "/payments/{id}"),
    "refund": (["POST"], "/refunds"),
    "purge": (["DELETE"], "/payments/{id}"),
}


@dataclass(frozen=True)
class Shop:
    """Ada engineers, Ben and Bea own payments, Cyd is security, Dan owns the bot, Eve administers, Flo audits."""

    ada: Subject
    ben: Subject
    bea: Subject
    cyd: Subject
    dan: Subject
    eve: Subject
    flo: Subject
    bot: Subject
    storefront: Subject
    payments_team: Subject
    cart: Subject
    service: Service


def environment(slug: str = "demo") -> Environment:
    found, _ = Environment.objects.get_or_create(slug=slug, defaults={"name": slug.title(), "is_default": True})
    return found


def service(
    slug: str = "payments",
    *,
    team: Subject,
    sensitivity: str = "internal",
    doors: Collection[str] = ("edge", "mesh"),
    routes: dict[str, tuple[list[str], str]] | None = None,
    max_duration: int = 24 * HOUR,
    danger_note: str = "",
) -> Service:
    made = Service.objects.create(
        slug=slug,
        title=slug.title(),
        team=team,
        sensitivity=sensitivity,
        max_duration=max_duration,
        danger_note=danger_note,
        created_at=AT,
    )
    for key, (methods, template) in (routes or ROUTES).items():
        Route.objects.create(service=made, key=key, methods=methods, template=template)
    _expose(made, doors)
    return made


def _expose(made: Service, doors: Collection[str]) -> None:
    where = environment()
    if "edge" in doors:
        Exposure.objects.create(
            service=made, environment=where, point="edge", host="api.shop.localhost", base_path=f"/{made.slug}"
        )
    if "mesh" in doors:
        port = 9101 + Exposure.objects.filter(point="mesh").count()
        Exposure.objects.create(
            service=made,
            environment=where,
            point="mesh",
            namespace="shop",
            workload=identity.workload(made.slug, team=made.team),
            port=port,
            upstream_port=port + 100,
        )


def database(team: Subject, *, slug: str = "orders-db", port: int = 5432) -> Service:
    """A service of plain TCP in the namespace of the others."""
    made = service(slug, team=team, doors=(), routes={CONNECT: ([METHOD], f"/{port}")})
    Exposure.objects.create(
        service=made,
        environment=environment(),
        point="mesh",
        namespace="shop",
        workload=identity.workload(slug, team=team),
        upstream_port=port,
        protocol="tcp",
    )
    return made


def depends(caller: Service, callee: Service, routes: Collection[str] = ()) -> Dependency:
    return Dependency.objects.create(caller=caller, callee=callee, routes=list(routes))


@remembered
def shop(*, sensitivity: str = "internal", rules: bool = True, max_duration: int = 24 * HOUR) -> Shop:
    """The usual cast and one service, ``payments``, with both doors."""
    ada, ben, bea = identity.person("ada"), identity.person("ben"), identity.person("bea")
    cyd, eve = identity.person("cyd", roles=("security",)), identity.person("eve", roles=("administrator",))
    dan, flo = identity.person("dan"), identity.person("flo", roles=("auditor",))
    storefront = identity.team("storefront", members=(ada,))
    payments_team = identity.team("payments", owners=(ben, bea))
    made = Shop(
        ada=ada,
        ben=ben,
        bea=bea,
        cyd=cyd,
        dan=dan,
        eve=eve,
        flo=flo,
        bot=identity.agent("release-bot", owner=dan),
        storefront=storefront,
        payments_team=payments_team,
        cart=identity.workload("cart", team=storefront),
        service=service(team=payments_team, sensitivity=sensitivity, max_duration=max_duration),
    )
    if rules:
        services.ensure_default_rules(at=AT)
    return made


def ask(
    actor: Subject,
    *,
    subject: Subject | None = None,
    to: str = "payments",
    routes: Collection[str] = ("refund",),
    points: Collection[str] = (),
    duration: int = HOUR,
    reason: str = "A customer waits for the money.",
    at: datetime = AT,
) -> AccessRequest:
    return services.open_request(
        actor=actor,
        subject_key=(subject or actor).key,
        service_slug=to,
        route_keys=routes,
        points=points,
        duration=duration,
        reason=reason,
        at=at,
    )


def approve(request: AccessRequest, *reviewers: Subject, at: datetime = AT) -> AccessRequest:
    """In a browser session that came from no provider, which always counts as fresh."""
    for reviewer in reviewers:
        request = services.review(
            public_id=request.public_id, actor=reviewer, verdict="approve", freshness=Freshness(None), at=at
        )
    return request


def pending_grant(actor: Subject, *reviewers: Subject, at: datetime = AT, **asked: object) -> Grant:
    """A grant that is approved and waits for its doors."""
    request = approve(ask(actor, at=at, **asked), *reviewers, at=at)  # type: ignore[arg-type]  # passed through
    return Grant.objects.get(request=request)


def active_grant(actor: Subject, *reviewers: Subject, at: datetime = AT, **asked: object) -> Grant:
    grant = pending_grant(actor, *reviewers, at=at, **asked)
    return services.activate(grant_id=grant.public_id, at=at)
