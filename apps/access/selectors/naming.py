"""What names a service: everything of this app that would have to go with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q

from apps.access.models import AccessRequest, ApprovalRule, Grant, GuardedHost, Guardrail
from apps.access.selectors.together import part, read_together, routes_of
from apps.access.states import LIVE_GRANTS, RequestState


@dataclass(frozen=True, slots=True)
class NamedGrant:
    """By names; ``routes`` are templates. ``is_rule``: a traffic rule, which opens nothing."""

    public_id: str
    subject: str
    subject_kind: str
    service: str
    routes: tuple[str, ...]
    is_rule: bool


@dataclass(frozen=True, slots=True)
class NamedRequest:
    public_id: str
    requester: str
    subject: str
    service: str


@dataclass(frozen=True, slots=True)
class NamedRule:
    """An approval rule, or a guardrail, with all that it names."""

    slug: str
    sentence: str
    services: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Naming:
    """``grants`` hold traffic rules and openings to addresses too. Guardrails name it or one of its workloads."""

    grants: tuple[NamedGrant, ...]
    requests: tuple[NamedRequest, ...]
    rules: tuple[NamedRule, ...]
    guardrails: tuple[NamedRule, ...]
    hosts: tuple[str, ...]


_GRANT = {
    "pk": F("pk"),
    "public_id": "public_id",
    "subject": "subject__name",
    "subject_kind": "subject__kind",
    "service": "service__title",
    "routes": routes_of(Grant.routes.through, "grant", "template"),
    "treatment": "treatment",
}
_REQUEST = {
    "pk": F("pk"),
    "public_id": "public_id",
    "requester": "requester__name",
    "subject": "subject__name",
    "service": "service__title",
}


def list_naming(*, service_slug: str, workload_keys: Collection[str], hosts: Mapping[str, str]) -> Naming:
    """Of a service and the workloads it runs as: as what is reached, and as who reaches. One query.

    ``hosts`` are where it answers at the edge, each with the environment.
    """
    concerned = Q(service__slug=service_slug) | Q(subject__key__in=workload_keys)
    waiting = AccessRequest.objects.filter(concerned, state=RequestState.PENDING)
    walls = Guardrail.objects.filter(Q(services__contains=[service_slug]) | Q(subjects__overlap=list(workload_keys)))
    guarded = Q(pk__in=[])
    for host, environment in hosts.items():
        guarded |= Q(host=host, environment__slug=environment)
    named = {name: name for name in ("slug", "sentence", "services")}
    found = read_together(
        part("grant", Grant.objects.filter(concerned, state__in=LIVE_GRANTS), **_GRANT),
        part("request", waiting, **_REQUEST),
        part("rule", ApprovalRule.objects.filter(services__contains=[service_slug]), **named),
        part("guardrail", walls, **named, subjects="subjects", kinds="kinds"),
        part("host", GuardedHost.objects.filter(guarded), host="host"),
    )
    return Naming(
        grants=tuple(_grant(row) for row in sorted(found["grant"], key=_by_pk)),
        requests=tuple(_request(row) for row in sorted(found["request"], key=_by_pk)),
        rules=tuple(_rule(row) for row in sorted(found["rule"], key=_by_slug)),
        guardrails=tuple(_rule(row) for row in sorted(found["guardrail"], key=_by_slug)),
        hosts=tuple(sorted(row["host"] for row in found["host"])),
    )


def _by_pk(row: Mapping[str, Any]) -> int:
    return int(row["pk"])


def _by_slug(row: Mapping[str, Any]) -> str:
    return str(row["slug"])


def _grant(row: Mapping[str, Any]) -> NamedGrant:
    return NamedGrant(
        public_id=row["public_id"],
        subject=row["subject"],
        subject_kind=row["subject_kind"],
        service=row["service"],
        routes=tuple(row["routes"]),
        is_rule=row["treatment"] is not None,
    )


def _request(row: Mapping[str, Any]) -> NamedRequest:
    return NamedRequest(*(row[name] for name in ("public_id", "requester", "subject", "service")))


def _rule(row: Mapping[str, Any]) -> NamedRule:
    services, subjects, kinds = (tuple(row.get(name, ())) for name in ("services", "subjects", "kinds"))
    return NamedRule(row["slug"], row["sentence"], services, subjects, kinds)
