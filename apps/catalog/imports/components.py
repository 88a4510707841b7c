"""Components and APIs: services, what they do, where they answer, whom they call."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from apps.catalog.imports.entities import ANNOTATION, Entity, Ref
from apps.catalog.imports.estate import Dependency, Estate, Exposure, Route, Service, Workload
from apps.catalog.imports.openapi import read_operations
from apps.catalog.models import (
    BASE_PATH,
    DEFAULT_MAX_DURATION,
    HOST,
    LONGEST_MAX_DURATION,
    MOST_VARIANT,
    SLUG,
    SPIFFE_ID,
    VARIANT,
    Sensitivity,
    Spoken,
)
from apps.compiler.connections import CONNECT, METHOD, connect_route
from apps.compiler.graph import Protocol

DEFAULT_ENVIRONMENT = "production"
SERVICE_TYPES = ("service", "website")

_DURATION = re.compile(r"([0-9]{1,6}) ?(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ALL_THREE = "a workload, a mesh port and an upstream port"
_NOT_OF_TCP = {
    "edge-host": "Plain TCP does not pass the edge: leave the host out.",
    "mesh-port": "No sidecar stands before plain TCP: the upstream port is all there is.",
    "variants": "Calls are sent to versions, and plain TCP has no calls.",
}
_CALL = re.compile(r"(?P<callee>[^:]+):(?P<routes>.+)")
_NAMESPACE_OF = re.compile(r"/ns/([A-Za-z0-9._-]{1,63})/")

Entities = Mapping[Ref, Entity]


def slug_of(ref: Ref) -> str:
    return ref.joined.replace(".", "-")


def is_service(entity: Entity) -> bool:
    """Services and websites are; anything else is when it says where it answers."""
    doors = ("edge-host", "workload", "mesh-port")
    return entity.text("spec", "type").lower() in SERVICE_TYPES or any(entity.annotation(name) for name in doors)


def read_service(entity: Entity, estate: Estate, entities: Entities) -> None:
    slug, team = slug_of(entity.ref), _owner(entity, estate)
    if not re.fullmatch(SLUG, slug):
        entity.blame("With its namespace the name is longer than 63 characters.", "metadata", "name")
        return
    if team is None:
        return
    system = entity.text("spec", "system")
    service = Service(
        slug=slug,
        title=entity.title,
        description=entity.text("metadata", "description", limit=5000),
        upstream_name=entity.annotation("upstream-name", limit=100),
        team=team,
        sensitivity=_sensitivity(entity),
        danger_note=entity.annotation("danger", limit=500),
        max_duration=_duration(entity),
        system=system,
        domain=_domain(entity, system, entities),
        lifecycle=entity.text("spec", "lifecycle", limit=50),
    )
    if not estate.add(service, entity.place()):
        entity.blame(f"Another component becomes the service {slug} too.", "metadata", "name")
        return
    _read_edge(entity, estate, slug)
    _read_mesh(entity, estate, service)


def _owner(entity: Entity, estate: Estate) -> str | None:
    written = entity.text("spec", "owner", required=True)
    ref = entity.refer(written, "spec", "owner", kind="group", kinds=("group",)) if written else None
    if ref is None:
        return None
    key = f"team:{ref.joined}"
    estate.need(key, entity.place("spec", "owner"))
    return key


def _sensitivity(entity: Entity) -> str:
    written = entity.annotation("sensitivity").lower() or Sensitivity.INTERNAL.value
    if written not in Sensitivity.values:
        entity.blame_annotation(f"'{written}' is none of {', '.join(Sensitivity.values)}.", "sensitivity")
    return written


def _duration(entity: Entity) -> int:
    written = entity.annotation("max-duration")
    if not written:
        return DEFAULT_MAX_DURATION
    found = _DURATION.fullmatch(written)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 60 <= seconds <= LONGEST_MAX_DURATION:
        entity.blame_annotation(f"'{written[:40]}' should be like 30m, 8h or 7d, up to 366d.", "max-duration")
    return seconds


def _domain(entity: Entity, system: str, entities: Entities) -> str:
    """The domain of the service's system, where the file says it."""
    if not system:
        return ""
    ref = entity.refer(system, "spec", "system", kind="system", kinds=("system",))
    found = entities.get(ref) if ref else None
    if found is None:
        entity.note(f"its system {system} is not in the file; only its name is kept.")
        return ""
    return found.text("spec", "domain")


def _environment(entity: Entity) -> str:
    written = entity.annotation("environment").lower() or DEFAULT_ENVIRONMENT
    if not re.fullmatch(SLUG, written):
        entity.blame_annotation("An environment has lower-case letters, digits, - and _.", "environment")
    return written


def _read_edge(entity: Entity, estate: Estate, slug: str) -> None:
    host, base_path = entity.annotation("edge-host").lower(), entity.annotation("edge-base-path")
    base_path = "" if base_path == "/" else base_path
    if not host:
        if base_path:
            entity.blame_annotation("A base path needs an edge host.", "edge-base-path")
        return
    good = len(entity.findings.problems)
    if not re.fullmatch(HOST, host):
        entity.blame_annotation(f"'{host[:80]}' is not a host name (without a port).", "edge-host")
    if not re.fullmatch(BASE_PATH, base_path) or len(base_path) > 200:
        entity.blame_annotation("A base path is like /payments, without a slash at its end.", "edge-base-path")
    if len(entity.findings.problems) == good:
        edge = Exposure(slug, _environment(entity), "edge", host=host, base_path=base_path)
        estate.add(edge, entity.place("metadata", "annotations", ANNOTATION + "edge-host"))


def _read_mesh(entity: Entity, estate: Estate, service: Service) -> None:
    protocol = _protocol(entity)
    names = ("workload", "upstream-port") if protocol is Protocol.TCP else ("workload", "mesh-port", "upstream-port")
    if not any(entity.annotation(name) for name in (*names, "mesh-namespace", "variants", "protocol")):
        return
    missing = [name for name in names if not entity.annotation(name)]
    for name in missing:
        needed = "a workload and an upstream port" if protocol is Protocol.TCP else _ALL_THREE
        entity.blame_annotation(f"In the mesh a service needs {needed}.", name)
    spiffe_id = entity.annotation("workload")
    port, upstream_port = _port(entity, "mesh-port"), _port(entity, "upstream-port")
    if spiffe_id and (not re.fullmatch(SPIFFE_ID, spiffe_id) or len(spiffe_id) > 255):
        entity.blame_annotation("This is not a SPIFFE id like spiffe://shop.test/ns/shop/sa/cart.", "workload")
    elif not missing and (port or protocol is Protocol.TCP) and upstream_port:
        inferred = _NAMESPACE_OF.search(spiffe_id)
        mesh = Exposure(
            service.slug,
            _environment(entity),
            "mesh",
            namespace=entity.annotation("mesh-namespace", limit=63) or (inferred[1] if inferred else ""),
            workload=f"workload:{spiffe_id}",
            port=port,
            upstream_port=upstream_port,
            variants=_variants(entity),
            protocol=protocol.value,
        )
        place = entity.place("metadata", "annotations", ANNOTATION + "workload")
        estate.add(Workload(f"workload:{spiffe_id}", service.title, service.team), place)
        estate.add(mesh, place)
        if protocol is Protocol.TCP:
            only = connect_route(upstream_port)
            estate.add(Route(service.slug, only.id, (METHOD,), only.template, "Open a TCP connection."), place)


def _protocol(entity: Entity) -> Protocol:
    """Plain TCP has one port and nothing else: what a service of HTTP may have beside it is a mistake there."""
    written = entity.annotation("protocol").lower() or Protocol.HTTP.value
    if written not in Spoken.values:
        entity.blame_annotation(f"'{written[:20]}' is neither http nor tcp.", "protocol")
        return Protocol.HTTP
    if written == Protocol.TCP:
        for name, why in _NOT_OF_TCP.items():
            if entity.annotation(name):
                entity.blame_annotation(why, name)
    return Protocol(written)


def _variants(entity: Entity) -> tuple[str, ...]:
    """``v2:9212 v3:9222@blue``: other versions, each behind the same sidecar at a port of its own.

    Behind the at sign stands the origin where the edge finds it, when that is another than the usual one.
    """
    found: dict[str, str] = {}
    for part in entity.annotation("variants", limit=1000).replace(",", " ").split():
        name = part.partition(":")[0]
        if not _is_variant(part):
            should = "a version and its port; or v2:9212@blue, with an origin of the edge's property"
            entity.blame_annotation(f"'{part[:60]}' should be like v2:9212, {should}.", "variants")
        elif name in found:
            entity.blame_annotation(f"{name} is there twice.", "variants")
        found[name] = part
    return tuple(found[name] for name in sorted(found))


def _is_variant(part: str) -> bool:
    """Its length is what the catalogue keeps."""
    name, _, where = part.partition(":")
    port, at, origin = where.partition("@")
    return (
        re.fullmatch(VARIANT, name) is not None
        and re.fullmatch(r"[0-9]{1,5}", port) is not None
        and 1 <= int(port) <= 65535
        and (at == "" or re.fullmatch(r"[A-Za-z0-9_-]+", origin) is not None)
        and len(part) <= MOST_VARIANT
    )


def _port(entity: Entity, name: str) -> int | None:
    written = entity.annotation(name)
    if not written:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", written) or not 1 <= int(written) <= 65535:
        entity.blame_annotation(f"'{written[:20]}' is not a port.", name)
        return None
    return int(written)


def provided_apis(entity: Entity) -> list[Ref]:
    found = []
    for number, text in entity.texts("spec", "providesApis"):
        ref = entity.refer(text, "spec", "providesApis", number, kind="api", kinds=("api",))
        if ref is not None:
            found.append(ref)
    return found


def read_api(entity: Entity, estate: Estate, providers: list[Ref]) -> None:
    """The operations of an API become routes of each component that provides it."""
    definition = entity.value("spec", "definition")
    if entity.text("spec", "type").lower() != "openapi":
        entity.note("only APIs of the type openapi become routes.")
    elif isinstance(definition, dict):
        entity.note("its definition is elsewhere ($text), and nothing is fetched; no routes come from it.")
    elif not isinstance(definition, str):
        entity.blame("This must be an OpenAPI document as text.", "spec", "definition")
    elif not providers:
        entity.note("no component here provides it; its routes are left aside.")
    else:
        _read_routes(entity, estate, definition, [slug_of(ref) for ref in providers])


def _read_routes(entity: Entity, estate: Estate, definition: str, slugs: list[str]) -> None:
    found = read_operations(definition)
    for line, field, message in found.faults:
        entity.blame_inside(message, line, field)
    for slug in slugs:
        if _only_connects(estate, slug):
            entity.blame(f"{slug} is plain TCP, so it has no routes of HTTP.", "spec", "definition")
            continue
        for operation in found.operations:
            route = Route(slug, operation.key, (operation.method,), operation.template, operation.summary)
            if not estate.add(route, entity.place("spec", "definition")):
                entity.blame_inside(
                    f"{slug} has a route '{operation.key}' from another API already.", operation.line, ""
                )


def _only_connects(estate: Estate, slug: str) -> bool:
    found = estate.items.get(f"route:{slug}/{CONNECT}")
    return isinstance(found, Route) and METHOD in found.methods


def read_dependencies(
    entity: Entity, estate: Estate, providers: Mapping[Ref, list[Ref]], left_aside: Collection[Ref]
) -> None:
    """``dependsOn`` and ``consumesApis`` say whom the service calls; ``sallyport.dev/calls`` may say which routes."""
    caller, needed = slug_of(entity.ref), _read_calls(entity)
    callees = _depended_on(entity) + _consumed(entity, providers)
    for ref in dict.fromkeys(callees):
        slug = slug_of(ref)
        if slug == caller or ref in left_aside:
            continue
        routes = tuple(sorted(needed.pop(slug, ())))
        estate.add(Dependency(caller, slug, routes), entity.place("spec", "dependsOn"))
        estate.need(f"service:{slug}", entity.place("spec", "dependsOn"))
        for key in routes:
            estate.need(f"route:{slug}/{key}", entity.place("metadata", "annotations", ANNOTATION + "calls"))
    for slug in needed:
        entity.blame_annotation(f"{slug} is not among what this depends on.", "calls")


def _depended_on(entity: Entity) -> list[Ref]:
    found = []
    for number, text in entity.texts("spec", "dependsOn"):
        ref = entity.refer(text, "spec", "dependsOn", number, kind="component", kinds=("component", "resource"))
        if ref is not None and ref.kind == "component":
            found.append(ref)
    return found


def _consumed(entity: Entity, providers: Mapping[Ref, list[Ref]]) -> list[Ref]:
    found = []
    for number, text in entity.texts("spec", "consumesApis"):
        ref = entity.refer(text, "spec", "consumesApis", number, kind="api", kinds=("api",))
        if ref is not None and ref not in providers:
            entity.note(f"nobody in the file provides {ref}, so it says nothing about whom this calls.")
        elif ref is not None:
            found.extend(providers[ref])
    return found


def _read_calls(entity: Entity) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in entity.annotation("calls", limit=2000).split(";"):
        if not part.strip():
            continue
        match = _CALL.fullmatch(part.strip())
        if match is None:
            entity.blame_annotation(f"'{part.strip()[:80]}' should be like payments: createCharge getCharge.", "calls")
            continue
        found.setdefault(match["callee"].strip().lower(), set()).update(match["routes"].replace(",", " ").split())
    return found
