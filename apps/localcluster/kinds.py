"""The resources that are served: those built in, and those of CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.localcluster.http import Cause, Obj
from apps.localcluster.schema import OPEN, Schema, rooted

Store = tuple[str, str]
"""Group and plural: versions of a resource are views of the same objects."""

_LABELS: Schema = {"x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": True, "type": "object"}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_PORTS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "protocol": {"type": "string", "enum": ["TCP", "UDP", "SCTP"]},
            "port": {"x-kubernetes-int-or-string": True},
            "endPort": {"type": "integer"},
        },
    },
}
_PEERS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "podSelector": _LABELS,
            "namespaceSelector": _LABELS,
            "ipBlock": {
                "type": "object",
                "required": ["cidr"],
                "properties": {"cidr": {"type": "string"}, "except": _TEXTS},
            },
        },
    },
}
NETWORK_POLICY: Schema = {
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "podSelector": _LABELS,
                "policyTypes": {"type": "array", "items": {"type": "string", "enum": ["Ingress", "Egress"]}},
                "ingress": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"from": _PEERS, "ports": _PORTS}},
                },
                "egress": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"to": _PEERS, "ports": _PORTS}},
                },
            },
        }
    }
}


def _by(keys: list[str], *path: str) -> Schema:
    """An open schema in which the list at ``path`` has entries with keys."""
    listed: dict[str, Any] = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
    schema: Schema = {**listed, "items": OPEN}
    for name in reversed(path):
        schema = {**OPEN, "properties": {name: schema}}
    return schema


@dataclass(frozen=True, slots=True)
class Resource:
    """``schema`` is that of the whole object. ``custom``: of a definition, whose objects name their kind in lists."""

    group: str
    version: str
    kind: str
    plural: str
    schema: Schema
    namespaced: bool = True
    custom: bool = False
    has_status: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()

    @property
    def store(self) -> Store:
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def _built_in(group: str, kind: str, plural: str, schema: Schema = OPEN, *, namespaced: bool = True) -> Resource:
    return Resource(group, "v1", kind, plural, rooted(schema), namespaced)


APPROVED, _PROTECTED = "api-approved.kubernetes.io", (".k8s.io", ".kubernetes.io")
_RBAC, DEFINITIONS = "rbac.authorization.k8s.io", ("apiextensions.k8s.io", "customresourcedefinitions")
NAMESPACES: Store = ("", "namespaces")
BUILT_IN = (
    _built_in("", "Namespace", "namespaces", namespaced=False),
    _built_in("", "Service", "services", _by(["port", "protocol"], "spec", "ports")),
    _built_in("", "ServiceAccount", "serviceaccounts"),
    _built_in("", "Secret", "secrets"),
    _built_in("", "ConfigMap", "configmaps"),
    _built_in("", "Pod", "pods", _by(["name"], "spec", "containers")),
    _built_in("", "Event", "events"),
    _built_in("apps", "Deployment", "deployments", _by(["name"], "spec", "template", "spec", "containers")),
    _built_in("networking.k8s.io", "NetworkPolicy", "networkpolicies", NETWORK_POLICY),
    _built_in(_RBAC, "Role", "roles"),
    _built_in(_RBAC, "RoleBinding", "rolebindings"),
    _built_in(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
    _built_in(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _built_in(DEFINITIONS[0], "CustomResourceDefinition", DEFINITIONS[1], namespaced=False),
)


class Registry:
    """Which resources there are now."""

    def __init__(self) -> None:
        self._by_address = {(one.group, one.version, one.plural): one for one in BUILT_IN}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_address.get((group, version, plural))

    def of_store(self, store: Store) -> Resource | None:
        """In any of its versions."""
        return next((one for one in self._by_address.values() if one.store == store), None)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        found = (one for one in self._by_address.values() if (one.api_version, one.kind) == (api_version, kind))
        return next(found, None)

    def served(self) -> Iterator[Resource]:
        yield from self._by_address.values()

    def define(self, definition: Obj) -> None:
        """What a CustomResourceDefinition adds; what an older state of it had is gone."""
        spec = definition["spec"]
        self.forget(definition)
        for version in spec["versions"]:
            if version.get("served"):
                found = _defined(spec, version)
                self._by_address[(found.group, found.version, found.plural)] = found

    def forget(self, definition: Obj) -> None:
        spec = definition["spec"]
        store = (spec["group"], spec["names"]["plural"])
        self._by_address = {key: one for key, one in self._by_address.items() if one.store != store}


def _defined(spec: Obj, version: Obj) -> Resource:
    names = spec["names"]
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or OPEN
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        schema=rooted(schema),
        namespaced=spec.get("scope") == "Namespaced",
        custom=True,
        has_status="status" in (version.get("subresources") or {}),
        singular=names.get("singular", names["kind"].lower()),
        short_names=tuple(names.get("shortNames") or ()),
    )


def definition_faults(definition: Obj) -> list[Cause]:
    """Why a CustomResourceDefinition cannot be served, as far as it is looked at here."""
    spec: Mapping[str, Any] = definition.get("spec") or {}
    names = spec.get("names") or {}
    found = [
        Cause("FieldValueRequired", "Required value", f"spec.{path}")
        for path, value in (
            ("group", spec.get("group")),
            ("names.plural", names.get("plural")),
            ("names.kind", names.get("kind")),
            ("scope", spec.get("scope")),
            ("versions", spec.get("versions")),
        )
        if not value
    ]
    wanted = f"{names.get('plural')}.{spec.get('group')}"
    if not found and definition["metadata"].get("name") != wanted:
        message = f'Invalid value: "{definition["metadata"].get("name")}": must be spec.names.plural+"."+spec.group'
        found.append(Cause("FieldValueInvalid", message, "metadata.name"))
    if not found and "." not in spec["group"]:
        message = f'Invalid value: "{spec["group"]}": should be a domain with at least one dot'
        found.append(Cause("FieldValueInvalid", message, "spec.group"))
    notes = definition["metadata"].get("annotations") or {}
    if str(spec.get("group")).endswith(_PROTECTED) and APPROVED not in notes:
        message = f'Required value: protected groups must have approval annotation "{APPROVED}"'
        found.append(Cause("FieldValueRequired", message, f"metadata.annotations[{APPROVED}]"))
    for version in () if found else spec["versions"]:
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        found.extend(_loose_keys(schema, "spec.validation.openAPIV3Schema"))
    return found


def _loose_keys(schema: Schema, path: str) -> Iterator[Cause]:
    """Fields that tell the entries of a list apart, and may be missing."""
    entry: Schema = schema.get("items") or {}
    for name in schema.get("x-kubernetes-list-map-keys") or ():
        held = (entry.get("properties") or {}).get(name) or {}
        if name not in (entry.get("required") or ()) and "default" not in held:
            said = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield Cause("FieldValueRequired", f"Required value: {said}", f"{path}.items.properties[{name}].default")
    for name, inner in (schema.get("properties") or {}).items():
        yield from _loose_keys(inner, f"{path}.properties[{name}]")
    if entry:
        yield from _loose_keys(entry, f"{path}.items")


def established(definition: Obj) -> Obj:
    """With the status a definition has once it is served."""
    names = definition["spec"]["names"]
    conditions = [
        {"type": name, "status": "True", "reason": reason, "message": message}
        for name, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [one["name"] for one in definition["spec"]["versions"] if one.get("storage")]
    return {**definition, "status": {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}}
