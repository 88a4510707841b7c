"""Which call shows what a cluster's objects do. It may come as far as the application, so it does no harm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from apps.compiler import graph as policy
from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.emitters.cluster.objects import service_name
from apps.compiler.graph import Service
from apps.compiler.lint import READING
from apps.rollout.cluster.settings import NETWORK, SMI, settings_of
from apps.rollout.models import Target

PARAMETER = "sallyport-probe"
CONNECT = "connect"
STAY = "stay"
"""A sidecar takes every connection and closes at once those it lets nowhere: does it stay open?"""


def example(template: str) -> str:
    """A path the template matches, with parameters that no application takes for its own."""
    return "/".join(PARAMETER if part.startswith("{") else part for part in template.split("/"))


def call_for(
    target: Target,
    service: Service,
    holder: str,
    pdp: Pdp,
    *,
    calls: Iterable[Mapping[str, object]],
    wanted: bool,
    at: datetime,
) -> dict[str, object] | None:
    """The first of ``calls`` that shows whether ``holder`` is let in, as ``wanted``; None where none would.

    A cluster does not say which grant let a call in: where another still does, being let in shows nothing.
    """
    emitters = settings_of(target.config).emitters
    if service.mesh is None or not {SMI, NETWORK} & set(emitters):
        return None
    where = {
        "workload": holder.partition(":")[2],
        "host": f"{service_name(service.id)}.{service.mesh.namespace}.svc",
        "port": service.mesh.upstream_port,
    }
    if service.is_tcp or SMI not in emitters:
        telling = _reaches(pdp, holder, service, at) == wanted
        how = STAY if SMI in emitters else CONNECT
        return next(({**where, **call, "how": how} for call in calls), None) if telling else None
    telling_calls = (
        call for call in calls if call["method"] in READING and _allows(pdp, holder, service, call, at) == wanted
    )
    found = next(telling_calls, None)
    control = _control(service, pdp, holder, at) if wanted else None
    return {**where, **found, **({"control": control} if control else {})} if found is not None else None


def _reaches(pdp: Pdp, holder: str, service: Service, at: datetime) -> bool:
    """Whether the holder may call anything there: a network sees connections, and no more."""
    rows = pdp.entitlements(service.id, int(at.timestamp()))
    return any(row.subject == holder and row.point is policy.Point.MESH for row in rows)


def _control(service: Service, pdp: Pdp, holder: str, at: datetime) -> dict[str, str] | None:
    """A call to the same service that has to stay denied."""
    calls = (
        {"method": method, "path": example(route.template)}
        for route in sorted(service.routes, key=lambda route: route.id)
        for method in sorted(route.methods & READING)
    )
    return next((call for call in calls if not _allows(pdp, holder, service, call, at)), None)


def _allows(pdp: Pdp, holder: str, service: Service, call: Mapping[str, object], at: datetime) -> bool:
    resource, moment = Resource(service.id, str(call["path"])), int(at.timestamp())
    return pdp.decide(holder, Action(str(call["method"])), resource, Context(policy.Point.MESH), moment).allowed
