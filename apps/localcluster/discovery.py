"""What the server says it serves: ``/version``, ``/api``, ``/apis`` and the resources of one group and version."""

from __future__ import annotations

from apps.localcluster.http import Obj
from apps.localcluster.kinds import Registry, Resource

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
REVIEWS = ("authorization.k8s.io", "v1", "selfsubjectaccessreviews")


def answered(registry: Registry, path: str, version: str) -> Obj | None:
    """None for a path that is no discovery, or of something that is not served."""
    parts = path.strip("/").split("/")
    if parts == ["version"]:
        return _version(version)
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if parts == ["apis"]:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(registry)}
    if parts[0] == "apis" and len(parts) == 2:
        return next((one for one in _groups(registry) if one["name"] == parts[1]), None)
    if parts[0] == "apis" and len(parts) == 3:
        return _resources(registry, parts[1], parts[2])
    return _resources(registry, "", "v1") if parts == ["api", "v1"] else None


def _version(version: str) -> Obj:
    major, minor = version.removeprefix("v").split(".")[:2]
    return {"major": major, "minor": minor, "gitVersion": version, "platform": "linux/amd64"}


def _groups(registry: Registry) -> list[Obj]:
    versions: dict[str, list[str]] = {REVIEWS[0]: [REVIEWS[1]]}
    for resource in registry.served():
        known = versions.setdefault(resource.group, [])
        if resource.group and resource.version not in known:
            known.append(resource.version)
    found = []
    for group, names in sorted(versions.items()):
        listed = [{"groupVersion": f"{group}/{name}", "version": name} for name in names]
        if group:
            found.append({"name": group, "versions": listed, "preferredVersion": listed[0]})
    return found


def _resources(registry: Registry, group: str, version: str) -> Obj | None:
    rows = [row for one in registry.served() if (one.group, one.version) == (group, version) for row in _rows(one)]
    if (group, version) == REVIEWS[:2]:
        rows = [{"name": REVIEWS[2], "namespaced": False, "kind": "SelfSubjectAccessReview", "verbs": ["create"]}]
    if not rows:
        return None
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": rows}


def _rows(resource: Resource) -> list[Obj]:
    row: Obj = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": VERBS,
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    status = {**row, "name": f"{resource.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]}
    return [row, status] if resource.has_status else [row]
