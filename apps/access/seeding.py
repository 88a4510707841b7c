"""What a fresh demo starts with: rules, two guardrails, and the standing access its services need of one another."""

from __future__ import annotations

from datetime import datetime

from apps.access import services
from apps.access.models import Grant, Guardrail
from apps.audit.actors import SYSTEM
from apps.catalog import selectors as catalog
from apps.compiler.graph import Point

GUARDRAILS = {
    "agents-never-delete": services.GuardrailValues(
        sentence="Agents never delete.", kinds=("agent",), methods=("DELETE",)
    ),
    "mail-leaves-from-inside": services.GuardrailValues(
        sentence="Nobody sends mail to customers from outside; only the shop itself does.",
        services=("email",),
        methods=("POST",),
        points=("edge",),
    ),
}


def seed_demo_access(*, at: datetime) -> None:
    """Add what is missing. What somebody changed or ended stays as they left it, so this can run at every start."""
    services.ensure_default_rules(at=at)
    for slug, values in GUARDRAILS.items():
        if not Guardrail.objects.filter(slug=slug).exists():
            services.set_guardrail(slug=slug, values=values, actor=SYSTEM, at=at)
    _standing_grants(at)


def _standing_grants(at: datetime) -> None:
    """One for each declared call between services that both stand in the mesh."""
    there = catalog.graph_services(None)
    standing = set(Grant.objects.filter(duration=None).values_list("subject__key", "service__slug"))
    for call in catalog.list_dependencies():
        callee = there.get(call.callee)
        wanted = callee is not None and callee.mesh is not None and call.routes
        if call.workload and wanted and (call.workload, call.callee) not in standing:
            services.create_standing_grant(
                actor=SYSTEM,
                subject_key=call.workload,
                service_slug=call.callee,
                route_keys=call.routes,
                points=(Point.MESH.value,),
                at=at,
            )
