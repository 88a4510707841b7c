"""OpenAPI v3: an index, and a document for each group and version, as ``kubectl`` reads them before it sends an object.

A document says of every kind its schema and what a patch of it takes; nothing else of the real ones is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from apps.localcluster.http import Obj
from apps.localcluster.kinds import Registry, Resource

ROOT = "openapi/v3"
_TAKEN = ("dryRun", "fieldManager", "fieldValidation", "force")


def answered(registry: Registry, path: str, version: str) -> Obj | None:
    """None for a path that is no such document, or is of something that is not served."""
    asked = path.strip("/")
    if asked != ROOT and not asked.startswith(f"{ROOT}/"):
        return None
    served: dict[str, list[Resource]] = {}
    for resource in registry.served():
        served.setdefault(_home(resource), []).append(resource)
    if asked == ROOT:
        return {"paths": {home: {"serverRelativeURL": _address(home, found)} for home, found in served.items()}}
    found = served.get(asked.removeprefix(f"{ROOT}/"))
    return None if found is None else _document(found, version)


def _home(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.api_version}"


def _address(home: str, resources: Iterable[Resource]) -> str:
    """With a mark of what the document says, by which a client knows whether its copy is still good."""
    said = orjson.dumps([[one.kind, one.schema] for one in resources])
    return f"/{ROOT}/{home}?hash={hashlib.sha256(said).hexdigest()[:32].upper()}"


def _document(resources: Iterable[Resource], version: str) -> Obj:
    listed = list(resources)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": {_path(one): _operations(one) for one in listed},
        "components": {"schemas": {_name(one): {**one.schema, **_meant(one, listed=True)} for one in listed}},
    }


def _path(resource: Resource) -> str:
    inside = "namespaces/{namespace}/" if resource.namespaced else ""
    return f"/{_home(resource)}/{inside}{resource.plural}/{{name}}"


def _operations(resource: Resource) -> Obj:
    schema = {"$ref": f"#/components/schemas/{_name(resource)}"}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}
    taken = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _TAKEN]
    return {"patch": {"parameters": taken, "responses": answer, "x-kubernetes-action": "patch", **_meant(resource)}}


def _name(resource: Resource) -> str:
    """Group backwards, as ``io.k8s.networking.v1.NetworkPolicy``"""
    group = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{group}.{resource.version}.{resource.kind}"


def _meant(resource: Resource, *, listed: bool = False) -> Obj:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {"x-kubernetes-group-version-kind": [kind] if listed else kind}
