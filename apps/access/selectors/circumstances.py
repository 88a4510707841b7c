"""Everything of this app that bears on calls from some callers to a few services, in one query.

For pages about one way, which ask of it from several sides. What compiles reads ``graph_slice``; tests hold the two
against one another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from apps.access.guardrails import graph_guardrail, list_guardrail_rows
from apps.access.models import AccessRequest, AddressAsk, Grant, GuardedHost, Guardrail
from apps.access.selectors.addresses import longest
from apps.access.selectors.graph import (
    Row,
    denials_at,
    graph_grant,
    live_grants,
    named_in,
    seconds,
    without_subjects,
)
from apps.access.selectors.together import part, read_together, routes_of
from apps.access.selectors.visibility import Sight, requests_in
from apps.access.states import LIVE_GRANTS, GrantState, RequestState
from apps.catalog.shapes import list_around
from apps.compiler import address_lists as lists
from apps.compiler import graph
from apps.identity import selectors as identity

_GUARDRAIL = ("slug", "sentence", "kinds", "subjects", "services", "routes", "methods", "points")


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """What is open or opening. ``request`` is the id of the request it came from, empty for standing access."""

    public_id: str
    subject: str
    service: str
    routes: frozenset[str]
    points: frozenset[str]
    is_coming: bool
    starts_at: datetime | None
    ends_at: datetime | None
    request: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for and nobody answered."""

    public_id: str
    subject: str
    service: str
    routes: frozenset[str]
    points: frozenset[str]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """``grants`` are those of the services, whoever holds them, ``held`` the same and those to addresses, by id.

    What is approved and not proven yet is in ``held`` alone, and its addresses are on no list.
    """

    grants: tuple[graph.Grant, ...]
    held: Mapping[str, HeldGrant]
    guardrails: tuple[graph.Guardrail, ...]
    lists: lists.AddressGraph
    wishes: tuple[Wish, ...]


def read_circumstances(
    *,
    service_slugs: Collection[str],
    environment_slug: str,
    hosts: Collection[str],
    subject_keys: Collection[str],
    sight: Sight | None,
    at: datetime,
) -> Circumstances:
    """``hosts`` are those whose lists count. Wishes are of the subjects, and only what ``sight`` sees."""
    found = read_together(
        part("grant", _grants(service_slugs, environment_slug, at), **_GRANT),
        part("guardrail", list_guardrail_rows(service_slugs), **{name: name for name in _GUARDRAIL}),
        part("host", _hosts(environment_slug, hosts), host="host", always="always"),
        part("ask", _asks(environment_slug, hosts, at), **_ASK),
        part("wish", _wishes(service_slugs, subject_keys, sight), **_WISH),
    )
    rows = sorted(found["grant"], key=lambda row: str(row["public_id"]))
    held = {row["public_id"]: _held(row) for row in rows}
    return Circumstances(
        grants=tuple(graph_grant(_row(row), at) for row in rows if _counts(row)),
        held=held,
        guardrails=tuple(_wall(row) for row in sorted(found["guardrail"], key=lambda row: str(row["slug"]))),
        lists=_lists(found["host"], found["ask"], held),
        wishes=tuple(_wish(row) for row in sorted(found["wish"], key=lambda row: int(row["pk"]))),
    )


def openings_and_walls(
    grants: QuerySet[Grant], service_slugs: Collection[str]
) -> tuple[tuple[graph.Grant, ...], tuple[graph.Guardrail, ...]]:
    """What grants open, to whom and through which doors, and the guardrails there. One query.

    Without since when and until when: whoever asks for what is open now has chosen by them already.
    """
    found = read_together(
        part("grant", grants, **_OPENING),
        part("guardrail", list_guardrail_rows(service_slugs), **{name: name for name in _GUARDRAIL}),
    )
    walls = tuple(_wall(row) for row in sorted(found["guardrail"], key=lambda row: str(row["slug"])))
    rows = sorted(found["grant"], key=lambda row: str(row["public_id"]))
    return tuple(_open(row) for row in rows), walls


def _open(row: Mapping[str, Any]) -> graph.Grant:
    return graph.Grant(
        id=row["public_id"],
        subject=row["subject"],
        service=row["service"],
        routes=frozenset(row["routes"]),
        points=frozenset(map(graph.Point, row["points"])),
        starts_at=0,
    )


def slice_around(*, service_slug: str, environment_slug: str, subject_key: str, at: datetime) -> graph.AccessGraph:
    """As ``graph_slice`` of one service with one subject besides: three queries, and one more while anybody is turned
    away."""
    shapes = {slug: one.shape for slug, one in list_around([service_slug], environment_slug).items()}
    found = read_together(
        part("grant", live_grants(environment_slug, at).filter(service__slug=service_slug), **_GRANT, **_TREATMENT),
        part("guardrail", list_guardrail_rows([service_slug]), **{name: name for name in _GUARDRAIL}),
    )
    rows = sorted((_row(row) for row in found["grant"]), key=lambda row: row.public_id)
    walls = tuple(_wall(row) for row in sorted(found["guardrail"], key=lambda row: str(row["slug"])))
    bare = without_subjects(shapes, rows, walls, at)
    named = {*named_in(bare), subject_key}
    subjects, denied = identity.graph_subjects_and_denied(named, at=at)
    denials = denials_at(denied, [service_slug], environment_slug)
    named.update(denial.subject for denial in denials)
    known = {key: one for key, one in subjects.items() if key in named or one.teams & named}
    return replace(bare, subjects=known, denials=denials)


_TREATMENT = {"treatment": "treatment"}
_GRANT = {
    "public_id": "public_id",
    "subject": "subject__key",
    "kind": "subject__kind",
    "service": "service__slug",
    "points": "points",
    "state": "state",
    "duration": "duration",
    "approved_at": "approved_at",
    "starts_at": "starts_at",
    "ends_at": "ends_at",
    "ended_at": "ended_at",
    "request": "request__public_id",
    "routes": routes_of(Grant.routes.through, "grant"),
}
_OPENING = {name: _GRANT[name] for name in ("public_id", "subject", "service", "points", "routes")}
_ASK = {
    "grant": "request__grant__public_id",
    "host": "host",
    "blocks": "blocks",
    "duration": "request__grant__duration",
    "approved_at": "request__grant__approved_at",
    "starts_at": "request__grant__starts_at",
    "ends_at": "request__grant__ends_at",
}
_WISH = {
    "pk": F("pk"),
    "public_id": "public_id",
    "subject": "subject__key",
    "service": "service__slug",
    "points": "points",
    "routes": routes_of(AccessRequest.routes.through, "accessrequest"),
}


def _grants(services: Collection[str], environment: str, at: datetime) -> QuerySet[Grant]:
    rows = Grant.objects.filter(environment__slug=environment, service__slug__in=services, state__in=LIVE_GRANTS)
    return rows.filter(treatment__isnull=True).exclude(ends_at__lte=at)


def _hosts(environment: str, hosts: Collection[str]) -> QuerySet[GuardedHost]:
    return GuardedHost.objects.filter(environment__slug=environment, host__in=hosts)


def _asks(environment: str, hosts: Collection[str], at: datetime) -> QuerySet[AddressAsk]:
    rows = AddressAsk.objects.filter(
        host__in=hosts, request__grant__state__in=LIVE_GRANTS, request__grant__environment__slug=environment
    )
    return rows.exclude(request__grant__ends_at__lte=at).exclude(request__subject__state="suspended")


def _wishes(services: Collection[str], subjects: Collection[str], sight: Sight | None) -> QuerySet[AccessRequest]:
    seen = AccessRequest.objects.none() if sight is None else requests_in(sight)
    return seen.filter(
        subject__key__in=subjects, service__slug__in=services, state=RequestState.PENDING, treatment__isnull=True
    )


def _counts(row: Mapping[str, Any]) -> bool:
    return bool(row["state"] != GrantState.PENDING and row["kind"] != graph.SubjectKind.PARTY)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _held(row: Mapping[str, Any]) -> HeldGrant:
    return HeldGrant(
        public_id=row["public_id"],
        subject=row["subject"],
        service=row["service"],
        routes=frozenset(row["routes"]),
        points=frozenset(row["points"]),
        is_coming=row["state"] == GrantState.PENDING,
        starts_at=_moment(row["starts_at"]),
        ends_at=_moment(row["ends_at"]),
        request=row["request"] or "",
    )


def _row(row: Mapping[str, Any]) -> Row:
    return Row(
        public_id=row["public_id"],
        subject=row["subject"],
        service=row["service"],
        points=row["points"],
        state=row["state"],
        duration=row["duration"],
        approved_at=datetime.fromisoformat(row["approved_at"]),
        starts_at=_moment(row["starts_at"]),
        ends_at=_moment(row["ends_at"]),
        ended_at=_moment(row["ended_at"]),
        treatment=row.get("treatment"),
        routes=row["routes"],
    )


def _wall(row: Mapping[str, Any]) -> graph.Guardrail:
    return graph_guardrail(Guardrail(**row))


def _lists(
    hosts: list[dict[str, Any]], asks: list[dict[str, Any]], held: Mapping[str, HeldGrant]
) -> lists.AddressGraph:
    guarded = {row["host"]: lists.GuardedHost(row["host"], lists.blocks_of(row["always"])) for row in hosts}
    coming = {name for name, one in held.items() if one.is_coming}
    opened = [_opening(row) for row in asks if row["host"] in guarded and row["grant"] not in coming]
    return lists.AddressGraph(guarded, tuple(sorted(opened, key=lambda one: one.grant_id)))


def _opening(row: Mapping[str, Any]) -> lists.Opening:
    approved = datetime.fromisoformat(row["approved_at"])
    starts, ends = _moment(row["starts_at"]), _moment(row["ends_at"])
    until = seconds(ends) if ends else longest(approved, row["duration"])
    return lists.Opening(row["grant"], row["host"], lists.blocks_of(row["blocks"]), seconds(starts or approved), until)


def _wish(row: Mapping[str, Any]) -> Wish:
    return Wish(row["public_id"], row["subject"], row["service"], frozenset(row["routes"]), frozenset(row["points"]))
