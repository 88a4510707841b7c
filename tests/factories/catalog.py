"""Services as an import would leave them, and the text of small catalogue files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from apps.audit.actors import SYSTEM
from apps.catalog import services
from apps.catalog.models import Environment, Exposure, Route, Service
from apps.catalog.services import ImportResult
from apps.identity.models import Subject
from tests.factories import identity

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ESTATE = Path(__file__).resolve().parents[2] / "deploy/demo/estate.yaml"
ROUTES = {"createRefund": ("POST", "/refunds"), "getCharge": ("GET", "/charges/{id}")}


def environment(slug: str = "production", *, is_default: bool = True) -> Environment:
    found, _ = Environment.objects.get_or_create(slug=slug, defaults={"name": slug.title(), "is_default": is_default})
    return found


def service(
    slug: str = "payments", *, team: Subject | None = None, routes: dict[str, tuple[str, str]] | None = None
) -> Service:
    """A living service with routes and no doors."""
    made = Service.objects.create(slug=slug, title=slug.title(), team=team or identity.team("payments"), created_at=AT)
    for key, (method, template) in (ROUTES if routes is None else routes).items():
        Route.objects.create(service=made, key=key, methods=[method], template=template)
    return made


def edge(service: Service, *, host: str = "api.shop.localhost", base_path: str | None = None) -> Exposure:
    path = f"/{service.slug}" if base_path is None else base_path
    return Exposure.objects.create(service=service, environment=environment(), point="edge", host=host, base_path=path)


def mesh(service: Service, *, port: int = 9105) -> Exposure:
    return Exposure.objects.create(
        service=service,
        environment=environment(),
        point="mesh",
        namespace="shop",
        workload=identity.workload(service.slug, team=service.team),
        port=port,
        upstream_port=port + 100,
    )


def load_estate(at: datetime = AT) -> ImportResult:
    """The demo's sample estate."""
    return services.import_catalog(text=ESTATE.read_text(encoding="utf-8"), source=ESTATE.name, actor=SYSTEM, at=at)


def load(text: str, *, source: str = "shop.yaml", at: datetime = AT, **options: bool) -> ImportResult:
    return services.import_catalog(text=text, source=source, actor=SYSTEM, at=at, **options)


TEAM = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments}
spec: {type: team, members: [ben]}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata:
  name: ben
  annotations: {sallyport.dev/team-role: owner}
spec:
  profile: {displayName: Ben, email: ben@shop.test}
  memberOf: [payments]
"""


def component(
    name: str = "payments", *, annotations: dict[str, str] | None = None, spec: str = "", owner: str = "payments"
) -> str:
    """The text of one Component document."""
    noted = "".join(f'    sallyport.dev/{key}: "{value}"\n' for key, value in (annotations or {}).items())
    return (
        "---\napiVersion: backstage.io/v1alpha1\nkind: Component\n"
        f"metadata:\n  name: {name}\n  annotations:\n    backstage.io/source: here\n{noted}"
        f"spec:\n  type: service\n  owner: {owner}\n{spec}"
    )


def api(name: str = "payments", *, paths: str = "  /refunds: {post: {operationId: createRefund}}") -> str:
    """The text of one API document with an OpenAPI definition."""
    lines = f"openapi: 3.1.0\npaths:\n{paths}".replace("\n", "\n    ")
    return (
        "---\napiVersion: backstage.io/v1alpha1\nkind: API\n"
        f"metadata: {{name: {name}}}\nspec:\n  type: openapi\n  owner: payments\n  definition: |\n    {lines}\n"
    )
