"""Reading what is asked for: names in, known things out, every impossible input refused by the field it came in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.access import carriers, refusals
from apps.access.wishes import Wish, read_wish
from apps.catalog import selectors as catalog
from apps.compiler import graph
from apps.compiler.graph import Point, SubjectKind
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.access.models import AccessRequest
    from apps.catalog.models import Environment, Route, Service
    from apps.identity.models import Subject

SHORTEST, LONGEST = 60, 366 * 24 * 3600
DEFAULT_DURATION = 8 * 3600
CONNECTING = (SubjectKind.WORKLOAD.value, SubjectKind.TEAM.value)
"""Kinds that may be asked for where all one can do is to connect; of a team it is the workloads."""
REASON_LENGTH, TICKET_LENGTH = 2000, 200
OVERRIDES = "\u202d\u202e"
"""They make what follows read backwards: an approver would decide on words that nobody wrote."""


@dataclass(frozen=True, slots=True)
class Target:
    """What access is wanted to. ``shape`` is the compiler's view of ``service`` in ``environment``.

    With a ``wish`` no access is wanted, but that calls are treated so.
    """

    service: Service
    environment: Environment
    shape: graph.Service
    routes: tuple[Route, ...]
    points: tuple[str, ...]
    wish: Wish | None = None

    @property
    def route_keys(self) -> frozenset[str]:
        return frozenset(route.key for route in self.routes)

    @property
    def graph_routes(self) -> tuple[graph.Route, ...]:
        return tuple(route for route in self.shape.routes if route.id in self.route_keys)

    @property
    def graph_points(self) -> frozenset[Point]:
        return frozenset(Point(point) for point in self.points)

    @property
    def methods(self) -> frozenset[str]:
        return frozenset[str]().union(*(route.methods for route in self.routes))


def read_subject(subject_key: str, service_slug: str, treatment: Mapping[str, Any] | None) -> Subject:
    """Whom the ask is about. A rule for everybody is its service's owners' to answer for."""
    if treatment is not None and treatment.get("everybody"):
        return identity.get_subject(catalog.get_service(service_slug).team.key)
    return identity.get_subject(subject_key)


def read_target(
    *,
    subject: Subject,
    service_slug: str,
    route_keys: Collection[str],
    points: Collection[str],
    environment: str | None,
    treatment: Mapping[str, Any] | None = None,
) -> Target:
    """Raises UnknownService, UnknownEnvironment, UnknownRoute, ServiceRetired, BadRoutes, BadPoints or BadTreatment."""
    service = catalog.get_service(service_slug)
    where = catalog.get_environment(environment)
    shape = _living(service, catalog.graph_services([service_slug], where.slug).get(service_slug))
    doors = _doors(route_keys, points, shape, SubjectKind(subject.kind))
    routes = tuple(catalog.get_routes(service, route_keys))
    return _target(subject, service, where, shape, routes, doors, treatment)


def target_of(request: AccessRequest, shape: graph.Service | None) -> Target:
    """As ``read_target``, of a request that came with its rows and the shape of its service: no query."""
    shape = _living(request.service, shape)
    asked = request.routes.all()
    doors = _doors([one.key for one in asked], request.points, shape, SubjectKind(request.subject.kind))
    routes = tuple(catalog.require_routes(request.service, asked))
    return _target(request.subject, request.service, request.environment, shape, routes, doors, request.treatment)


def _living(service: Service, shape: graph.Service | None) -> graph.Service:
    if shape is None:
        raise refusals.ServiceRetired(f"{service.title} is retired; nothing on it can be opened.")
    return shape


def _doors(
    route_keys: Collection[str], points: Collection[str], shape: graph.Service, kind: SubjectKind
) -> tuple[str, ...]:
    if not route_keys:
        raise refusals.BadRoutes("Choose at least one route.", fields={"routes": ["Choose at least one route."]})
    return _points(points, shape, kind)


def _target(
    subject: Subject,
    service: Service,
    where: Environment,
    shape: graph.Service,
    routes: tuple[Route, ...],
    doors: tuple[str, ...],
    treatment: Mapping[str, Any] | None,
) -> Target:
    if shape.is_tcp:
        _require_connecting(subject, shape, routes, where.slug)
    wish = None if treatment is None else read_wish(treatment, shape, doors)
    return Target(service=service, environment=where, shape=shape, routes=routes, points=doors, wish=wish)


def _require_connecting(subject: Subject, shape: graph.Service, routes: Collection[Route], environment: str) -> None:
    """Plain TCP knows workloads alone, by the certificate or the pod they connect from; and something must carry it."""
    known = {route.id for route in shape.routes}
    if not known.issuperset(route.key for route in routes):
        complaint = f"{shape.name} is plain TCP: all there is to ask for is to connect."
        raise refusals.BadRoutes(complaint, fields={"routes": [complaint]})
    if subject.kind not in CONNECTING:
        complaint = f"{shape.name} is plain TCP, which shows which workload connects and never which {subject.kind}."
        raise refusals.NotCarried(complaint, fields={"subject": [complaint]})
    if shape.mesh is None or not carriers.carries_tcp(environment, shape.mesh.namespace):
        place = shape.mesh.namespace if shape.mesh is not None else ""
        complaint = (
            f"Nothing carries plain TCP to {shape.name} here: the edge and our own nodes speak HTTP. Connect the "
            f"cluster of the namespace {place or '-'}, with NetworkPolicy or NGINX Service Mesh."
        )
        raise refusals.NotCarried(complaint, fields={"points": [complaint]})


def default_points(shape: graph.Service, kind: SubjectKind) -> tuple[str, ...]:
    """A workload calls from inside; everybody else comes from outside and passes both doors, where there are two."""
    exposed = _exposed(shape)
    if kind is SubjectKind.WORKLOAD and Point.MESH in exposed:
        return (Point.MESH.value,)
    return exposed


def _exposed(shape: graph.Service) -> tuple[str, ...]:
    doors = ((Point.EDGE, shape.edge), (Point.MESH, shape.mesh))
    return tuple(point.value for point, exposure in doors if exposure is not None)


def _points(wanted: Collection[str], shape: graph.Service, kind: SubjectKind) -> tuple[str, ...]:
    chosen = tuple(sorted(set(wanted))) or default_points(shape, kind)
    closed = [point for point in chosen if point not in _exposed(shape)]
    if closed and shape.is_tcp:
        complaint = f"{shape.name} is plain TCP: only the mesh lets it through, not the {' and the '.join(closed)}."
        raise refusals.BadPoints(complaint, fields={"points": [complaint]})
    if closed or not chosen:
        complaint = f"{shape.name} has no {' and no '.join(closed) or 'edge and no mesh'} door here."
        raise refusals.BadPoints(complaint, fields={"points": [complaint]})
    return chosen


def read_duration(duration: int) -> int:
    if not SHORTEST <= duration <= LONGEST:
        complaint = "Choose between one minute and a year."
        raise refusals.BadDuration(complaint, fields={"duration": [complaint]})
    return duration


def read_text(field: str, text: str, *, longest: int, required: bool = False) -> str:
    """Text as people write it, without what a database or a terminal would choke on."""
    clean = text.strip()
    complaint = None
    if required and not clean:
        complaint = "Say why, in a few words."
    elif len(clean) > longest:
        complaint = f"At most {longest} characters, please."
    elif any((ord(char) < 32 and char not in "\t\n\r") or char in OVERRIDES for char in clean):
        complaint = "Control characters cannot be kept."
    if complaint:
        raise refusals.BadReason(complaint, fields={field: [complaint]})
    return clean


def fingerprint(subject: Subject, target: Target) -> str:
    """What is asked for, as one name: whom for, what, and where. How long and why do not make it another ask."""
    what: list[object] = [subject.key, target.service.slug, target.environment.slug, sorted(target.route_keys)]
    if target.wish is not None:
        what.append(target.wish.as_json())
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
