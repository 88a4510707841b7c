"""One EdgeKV item per service: who may do what through the edge. Written in seconds, without a new code version.

Subjects appear as keyed hashes only, because EdgeKV must not hold personal data. The item is read with one
sub-request per call, whose body the EdgeWorkers runtime caps; an item that would not fit is refused here, not there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Protocol

from apps.compiler import denials
from apps.compiler.artifacts import Artifact
from apps.compiler.decide import stands
from apps.compiler.emitters.traffic_rows import item_rows
from apps.compiler.graph import AccessGraph, Grant, Guardrail, Point, Route, Service
from apps.compiler.paths import ranked
from apps.compiler.slices import guarded, holders, members

GROUP = "services"
FORMAT = 1
ITEM_LIMIT = 128 * 1024
"""Bytes that an EdgeWorker can read as text in one sub-request (an EdgeKV item itself may be twice as large)."""

MARK_LENGTH = 16

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")

Hasher = Callable[[str], str]


class ItemTooLargeError(ValueError):
    """The grants of one service do not fit into what the edge can read at once."""


def item_key(service_id: str) -> str:
    """The EdgeKV key of a service: its id where the alphabet allows, else a hash of it."""
    if _KEY.fullmatch(service_id):
        return service_id
    return "x-" + base64.urlsafe_b64encode(hashlib.sha256(service_id.encode()).digest()).decode()[:32]


def subject_hash(subject_id: str, salt: str) -> str:
    """The name under which a subject appears in EdgeKV: 96 bits, useless without the salt."""
    return base64.urlsafe_b64encode(hmac.digest(salt.encode(), subject_id.encode(), "sha256")[:12]).decode()


class Salted(Protocol):
    """What an item depends on besides the graph."""

    @property
    def salt(self) -> str: ...


def emit_item(graph: AccessGraph, service_id: str, surroundings: Salted) -> Artifact:
    """The item of one service; ``graph`` need only be the slice of that service."""
    service = graph.services[service_id]
    routes = [route for _, route in ranked(service.routes)]
    index = {route.id: place for place, route in enumerate(routes)}
    teams = members(graph.subjects)

    def hasher(subject_id: str) -> str:
        return subject_hash(subject_id, surroundings.salt)

    grants = [g for g in graph.grants if g.service == service_id and Point.EDGE in g.points]
    grants.sort(key=lambda grant: grant.id)
    item: dict[str, object] = {
        "v": FORMAT,
        "svc": service.id,
        "routes": [[route.id, sorted(route.methods), route.template] for route in routes],
        "guards": _guards(graph, service, routes, teams, hasher),
        "subjects": _subjects(graph, grants, teams, hasher),
        "grants": [[g.id, _places(g.routes, index), g.starts_at, g.ends_at] for g in grants],
    }
    denied = denials.by_subject(graph.denials, service_id)
    if denied:
        item["denied"] = dict(sorted((hasher(subject), denials.rows(found)) for subject, found in denied.items()))
    traffic = item_rows(graph, service, teams, hasher)
    if traffic:
        item["traffic"] = traffic
    item["mark"] = mark_made_of(_written(item))
    content = _written(item)
    if len(content) > ITEM_LIMIT:
        raise ItemTooLargeError(f"The edge item of {service_id} has {len(content)} bytes; {ITEM_LIMIT} can be read.")
    return Artifact.of(f"{GROUP}/{item_key(service_id)}", "application/json", content)


def _written(item: Mapping[str, object]) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode()


def mark_made_of(content: bytes) -> str:
    """Stands for content: the edge says it in answer to a probe, which shows what it really holds."""
    return hashlib.sha256(content).hexdigest()[:MARK_LENGTH]


def mark_in(content: bytes) -> str:
    """The mark an item carries; empty for one made before there were marks."""
    return str(json.loads(content).get("mark", ""))


def _places(route_ids: frozenset[str], index: Mapping[str, int]) -> list[int]:
    return sorted(index[route] for route in route_ids if route in index)


def _subjects(
    graph: AccessGraph, grants: list[Grant], teams: Mapping[str, tuple[str, ...]], hasher: Hasher
) -> dict[str, list[int]]:
    held: dict[str, list[int]] = defaultdict(list)
    for place, grant in enumerate(grants):
        for holder in holders(grant, graph.subjects, teams):
            held[holder].append(place)
    return dict(sorted((hasher(holder), places) for holder, places in held.items()))


def _guards(
    graph: AccessGraph, service: Service, routes: list[Route], teams: Mapping[str, tuple[str, ...]], hasher: Hasher
) -> list[list[object]]:
    """``[id, kinds, subject hashes, [[route, methods], ...]]`` of each guardrail that stands anywhere at this door."""
    found: list[list[object]] = []
    for guardrail in sorted(graph.guardrails, key=lambda guardrail: guardrail.id):
        across = _across(guardrail, service, routes)
        if across:
            hashes = sorted(map(hasher, guarded(guardrail, teams)))
            found.append([guardrail.id, sorted(guardrail.kinds), hashes, across])
    return found


def _across(guardrail: Guardrail, service: Service, routes: list[Route]) -> list[list[object]]:
    if guardrail.services and service.id not in guardrail.services:
        return []
    barred = [
        (place, sorted(m for m in r.methods if stands(guardrail, r, m, Point.EDGE))) for place, r in enumerate(routes)
    ]
    return [[place, methods] for place, methods in barred if methods]
