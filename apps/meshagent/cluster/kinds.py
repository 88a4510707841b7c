"""The kinds of objects that may be brought to a cluster, in the order in which they are applied; deleted in reverse."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

CORE, SUFFIX = "core", ".json"
TRAFFIC_TARGETS = "traffictargets.access.smi-spec.io"
SECRETS = "secrets.core"

Obj = dict[str, Any]


class Kind(NamedTuple):
    """``opens``: an object of the kind gives access, so that deleting it takes some away. ``data``: a program reads it
    as a whole and decides by it alone."""

    version: str
    rank: int
    opens: bool = False
    data: bool = False


KINDS: dict[str, Kind] = {
    "httproutegroups.specs.smi-spec.io": Kind("v1alpha3", 10, opens=True),
    "tcproutes.specs.smi-spec.io": Kind("v1alpha3", 10, opens=True),
    TRAFFIC_TARGETS: Kind("v1alpha2", 20, opens=True),
    "ratelimits.specs.smi.nginx.com": Kind("v1alpha2", 30),
    "circuitbreakers.specs.smi.nginx.com": Kind("v1alpha1", 30),
    "trafficsplits.split.smi-spec.io": Kind("v1alpha3", 30),
    "configmaps.core": Kind("v1", 35, data=True),
    SECRETS: Kind("v1", 35, data=True),
    "services.core": Kind("v1", 36),
    "deployments.apps": Kind("v1", 37),
    "policies.k8s.nginx.org": Kind("v1", 40),
    "virtualserverroutes.k8s.nginx.org": Kind("v1", 50, opens=True),
    "virtualservers.k8s.nginx.org": Kind("v1", 51, opens=True),
    "gateways.gateway.networking.k8s.io": Kind("v1", 60, opens=True),
    "referencegrants.gateway.networking.k8s.io": Kind("v1beta1", 61, opens=True),
    "authenticationfilters.gateway.nginx.org": Kind("v1alpha1", 62),
    "snippetsfilters.gateway.nginx.org": Kind("v1alpha1", 62),
    "httproutes.gateway.networking.k8s.io": Kind("v1", 63, opens=True),
    "backendtlspolicies.gateway.networking.k8s.io": Kind("v1", 64),
    "ratelimitpolicies.gateway.nginx.org": Kind("v1alpha1", 64),
    "snippetspolicies.gateway.nginx.org": Kind("v1alpha1", 64),
    "networkpolicies.networking.k8s.io": Kind("v1", 70),
}


class BadObject(Exception):
    """What was signed is nothing that may be brought to a cluster; the message says why."""


class Ref(NamedTuple):
    """One object; ``key`` is one of ``KINDS``."""

    namespace: str
    key: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.key}/{self.name}{SUFFIX}"

    @property
    def kind(self) -> Kind:
        return KINDS[self.key]

    @property
    def url(self) -> str:
        return f"{base_url(self.namespace, self.key)}/{self.name}"


def base_url(namespace: str, key: str) -> str:
    return f"{group_url(key)}/namespaces/{namespace}/{key.partition('.')[0]}"


def group_url(key: str) -> str:
    group = key.partition(".")[2]
    return f"/api/{KINDS[key].version}" if group == CORE else f"/apis/{group}/{KINDS[key].version}"


def spoken(key: str) -> str:
    """The ``apiVersion`` of a kind."""
    group = key.partition(".")[2]
    return KINDS[key].version if group == CORE else f"{group}/{KINDS[key].version}"


def ref_of(path: str) -> Ref:
    """Raises BadObject for what is no object of a kind we know."""
    parts = path.removesuffix(SUFFIX).split("/")
    if len(parts) != 3 or parts[1] not in KINDS or not path.endswith(SUFFIX):
        raise BadObject(f"{path} is no object that is brought to a cluster.")
    return Ref(*parts)


def parsed(ref: Ref, content: bytes) -> Obj:
    """The object of an artifact, as the server keeps it. Raises BadObject unless it is what its path says."""
    try:
        found: Obj = json.loads(content)
        meta = found["metadata"]
        said = (found.get("apiVersion"), meta["namespace"], meta["name"])
        texts = found.pop("stringData", None) or {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadObject(f"{ref.path} cannot be read: {error!r}") from error
    if said != (spoken(ref.key), ref.namespace, ref.name):
        raise BadObject(f"{ref.path} holds something else than it is called.")
    if texts:
        coded = {name: base64.b64encode(str(text).encode()).decode() for name, text in texts.items()}
        found["data"] = {**(found.get("data") or {}), **coded}
    return found
