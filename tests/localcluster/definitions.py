"""Definitions of a few custom kinds, as small as they may be: the shapes that tests need, under the real names."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_NAMED = {
    "type": "object",
    "required": ["kind", "name"],
    "properties": {"kind": _TEXT, "name": _TEXT, "namespace": _TEXT, "port": {"type": "integer"}},
}
_RULE = {
    "type": "object",
    "required": ["kind", "name"],
    "properties": {"kind": _TEXT, "name": _TEXT, "matches": {"type": "array", "items": _TEXT}},
}
_MATCH = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "pathRegex": _TEXT,
        "methods": {"type": "array", "items": _TEXT},
        "headers": {"type": "object", "additionalProperties": _TEXT},
    },
}


def definition(group: str, version: str, kind: str, plural: str, spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", **spec}}}
    schema["properties"]["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [{**served, "subresources": {"status": {}}}],
        },
    }


DEFINITIONS = [
    definition(
        "access.smi-spec.io",
        "v1alpha2",
        "TrafficTarget",
        "traffictargets",
        {
            "required": ["destination"],
            "properties": {
                "destination": _NAMED,
                "rules": {"type": "array", "items": _RULE},
                "sources": {"type": "array", "items": _NAMED},
            },
        },
    ),
    definition(
        "specs.smi-spec.io",
        "v1alpha3",
        "HTTPRouteGroup",
        "httproutegroups",
        {"properties": {"matches": {"type": "array", "items": _MATCH}}},
    ),
    definition(
        "specs.smi.nginx.com",
        "v1alpha2",
        "RateLimit",
        "ratelimits",
        {
            "required": ["name", "destination", "rate"],
            "properties": {
                "name": _TEXT,
                "destination": _NAMED,
                "rate": {"type": "string", "pattern": "^[0-9]+r/[sm]$"},
                "burst": {"type": "integer", "minimum": 0},
                "delay": {"x-kubernetes-int-or-string": True},
                "mode": {"type": "string", "enum": ["on", "off"]},
                "sources": {"type": "array", "items": _NAMED},
            },
        },
    ),
    definition(
        "k8s.nginx.org",
        "v1",
        "Policy",
        "policies",
        {
            "properties": {
                "accessControl": {"type": "object", "properties": {"allow": {"type": "array", "items": _TEXT}}},
                "steps": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": _TEXT, "value": _TEXT},
                    },
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": _TEXT},
                "pair": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"left": _TEXT, "right": _TEXT},
                },
            }
        },
    ),
]
