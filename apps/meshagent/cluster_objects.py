"""The objects of one cluster, as an agent inside brings them there: server-side apply, and pruning by label.

Labels and the annotation are those the console itself uses, so either may take over from the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import requests

MANAGER = "sallyport"
MANAGED_BY, CLUSTER = "app.kubernetes.io/managed-by", "sallyport.dev/cluster"
REVISION, CONTENT, CLOSED = "sallyport.dev/revision", "sallyport.dev/content", "sallyport.dev/closed"
NOBODY = "sallyport-nobody"
TRAFFIC_TARGETS = "traffictargets.access.smi-spec.io"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CALL_SECONDS = 30
APPLY = "application/apply-patch+yaml"
CORE = "core"

VERSIONS = {
    "httproutegroups.specs.smi-spec.io": "v1alpha3",
    "tcproutes.specs.smi-spec.io": "v1alpha3",
    TRAFFIC_TARGETS: "v1alpha2",
    "ratelimits.specs.smi.nginx.com": "v1alpha2",
    "circuitbreakers.specs.smi.nginx.com": "v1alpha1",
    "trafficsplits.split.smi-spec.io": "v1alpha3",
    "configmaps.core": "v1",
    "secrets.core": "v1",
    "services.core": "v1",
    "deployments.apps": "v1",
    "policies.k8s.nginx.org": "v1",
    "virtualserverroutes.k8s.nginx.org": "v1",
    "virtualservers.k8s.nginx.org": "v1",
    "gateways.gateway.networking.k8s.io": "v1",
    "referencegrants.gateway.networking.k8s.io": "v1beta1",
    "authenticationfilters.gateway.nginx.org": "v1alpha1",
    "snippetsfilters.gateway.nginx.org": "v1alpha1",
    "httproutes.gateway.networking.k8s.io": "v1",
    "backendtlspolicies.gateway.networking.k8s.io": "v1",
    "ratelimitpolicies.gateway.nginx.org": "v1alpha1",
    "snippetspolicies.gateway.nginx.org": "v1alpha1",
    "networkpolicies.networking.k8s.io": "v1",
}
"""In the order in which kinds are applied; deleted in reverse."""
_RANK = {key: rank for rank, key in enumerate(VERSIONS)}

Obj = dict[str, Any]


class ClusterError(Exception):
    """What the API server answered instead; the message has its own words and never a token."""


class Ref(NamedTuple):
    namespace: str
    key: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.key}/{self.name}.json"

    @property
    def rank(self) -> int:
        return _RANK[self.key]


def ref_of(path: str) -> Ref:
    """Raises ClusterError for what is no object of a kind we know."""
    parts = path.removesuffix(".json").split("/")
    if len(parts) != 3 or parts[1] not in VERSIONS or not path.endswith(".json"):
        raise ClusterError(f"{path} is no object that is brought to a cluster.")
    return Ref(*parts)


def parsed(ref: Ref, content: bytes) -> Obj:
    """The object of an artifact. Raises ClusterError unless it is what its path says."""
    plural, _, group = ref.key.partition(".")
    try:
        found: Obj = json.loads(content)
        meta, version = found["metadata"], VERSIONS[ref.key]
        same = (meta["namespace"], meta["name"]) == (ref.namespace, ref.name)
        spoken = version if group == CORE else f"{group}/{version}"
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"{ref.path} cannot be read: {error!r}") from error
    if not same or found.get("apiVersion") != spoken:
        raise ClusterError(f"{ref.path} holds something else than {plural} it is called.")
    return found


@dataclass(frozen=True, slots=True)
class Server:
    """``url`` empty: the cluster this process runs in. Files are read anew for each call, since tokens turn over."""

    url: str = ""
    token_file: Path = ACCOUNT / "token"
    ca_file: Path | None = ACCOUNT / "ca.crt"


class Objects:
    """``namespaces`` are all that is ever read or written. ``access_control`` is the mode of a service mesh."""

    def __init__(self, server: Server, cluster: str, namespaces: Collection[str], access_control: str) -> None:
        self._server, self._cluster = server, cluster
        self._namespaces, self._keeps_closed = tuple(namespaces), access_control == "allow"
        self._session = requests.Session()
        self._session.trust_env = False

    def bring(self, contents: Mapping[str, bytes], hashes: Mapping[str, str], number: int) -> None:
        """Make the cluster hold these, and none of ours besides. Everything is tried, whatever fails on the way.

        Raises ClusterError with all that failed.
        """
        wanted = {ref_of(path): (parsed(ref_of(path), content), hashes[path]) for path, content in contents.items()}
        self._require_inside(wanted)
        failed: list[str] = []
        for ref in sorted(wanted, key=lambda ref: (ref.rank, ref)):
            _attempt(partial(self._apply, ref, *wanted[ref], number), failed)
        stale = [ref for ref in self._ours(failed) if ref not in wanted]
        for ref in sorted(stale, key=lambda ref: (-ref.rank, ref)):
            _attempt(partial(self._remove, ref, stale, number), failed)
        if failed:
            raise ClusterError("; ".join(failed))

    def _require_inside(self, wanted: Collection[Ref]) -> None:
        outside = sorted({ref.namespace for ref in wanted} - set(self._namespaces))
        if outside:
            raise ClusterError(f"This agent may not touch {', '.join(outside)}.")

    def _apply(self, ref: Ref, obj: Obj, sha256: str, number: int) -> None:
        meta = obj["metadata"]
        labels = {**meta.get("labels", {}), REVISION: str(number)}
        annotations = {**meta.get("annotations", {}), CONTENT: sha256}
        self._patch(ref, {**obj, "metadata": {**meta, "labels": labels, "annotations": annotations}})

    def _patch(self, ref: Ref, body: Obj) -> None:
        params = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        self._call("PATCH", _url(ref), params=params, data=json.dumps(body), headers={"Content-Type": APPLY})

    def _ours(self, failed: list[str]) -> Iterator[Ref]:
        """Everything that bears our labels, of the kinds the cluster serves. A closed door is none of it."""
        selector = f"{MANAGED_BY}={MANAGER},{CLUSTER}={self._cluster},!{CLOSED}"
        for namespace in self._namespaces:
            for key in VERSIONS:
                try:
                    found = self._listed(namespace, key, selector)
                except ClusterError as error:
                    failed.append(str(error))
                    continue
                yield from (Ref(namespace, key, one["metadata"]["name"]) for one in found)

    def _listed(self, namespace: str, key: str, selector: str = "") -> list[Obj]:
        """Nothing where the cluster has no such kind, or lets us see none of it."""
        answer = self._answer("GET", _base(namespace, key), params={"labelSelector": selector} if selector else {})
        if answer.status_code in (403, 404):
            return []
        found: list[Obj] = self._json(answer, f"list {key}").get("items") or []
        return found

    def _remove(self, ref: Ref, stale: Collection[Ref], number: int) -> None:
        """The last TrafficTarget of a destination would open it to everybody: one that lets in nobody stays."""
        if ref.key == TRAFFIC_TARGETS and self._keeps_closed and (live := self._last(ref, stale)) is not None:
            self._close(ref, live, number)
            return
        answer = self._answer("DELETE", _url(ref))
        if answer.status_code != 404:
            self._json(answer, f"delete {ref.path}")

    def _last(self, ref: Ref, stale: Collection[Ref]) -> Obj | None:
        """It, when no other one that stays names its destination."""
        there = {one["metadata"]["name"]: one for one in self._listed(ref.namespace, ref.key)}
        live = there.get(ref.name)
        if live is None:
            return None
        going = {one.name for one in stale if one[:2] == ref[:2]}
        staying = (one for name, one in there.items() if name not in going)
        return None if any(_destination(one) == _destination(live) for one in staying) else live

    def _close(self, ref: Ref, live: Obj, number: int) -> None:
        labels = {MANAGED_BY: MANAGER, CLUSTER: self._cluster, REVISION: str(number), CLOSED: "true"}
        nobody = {"kind": "ServiceAccount", "name": NOBODY, "namespace": ref.namespace}
        spec = {"destination": live["spec"]["destination"], "sources": [nobody]}
        meta = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
        self._patch(ref, {"apiVersion": live["apiVersion"], "kind": "TrafficTarget", "metadata": meta, "spec": spec})

    def _call(self, method: str, path: str, **options: Any) -> Obj:
        return self._json(self._answer(method, path, **options), f"{method.lower()} {path.rpartition('/')[2]}")

    def _answer(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            token = self._server.token_file.read_text(encoding="utf-8").strip()
            headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
            verify = str(self._server.ca_file) if self._server.ca_file is not None else True
            url = f"{self._server.url}{path}"
            return self._session.request(method, url, headers=headers, verify=verify, timeout=CALL_SECONDS, **options)
        except (OSError, requests.RequestException) as error:
            raise ClusterError(f"The cluster does not answer: {type(error).__name__}") from error

    def _json(self, answer: requests.Response, what: str) -> Obj:
        try:
            found: Obj = answer.json()
        except ValueError as error:
            raise ClusterError(f"{what}: {answer.status_code}, and no JSON.") from error
        if not answer.ok:
            raise ClusterError(f"{what}: {answer.status_code} {str(found.get('message', ''))[:400]}")
        return found


def _attempt(action: Callable[[], None], failed: list[str]) -> None:
    try:
        action()
    except ClusterError as error:
        failed.append(str(error))


def _base(namespace: str, key: str) -> str:
    plural, _, group = key.partition(".")
    root = f"/api/{VERSIONS[key]}" if group == CORE else f"/apis/{group}/{VERSIONS[key]}"
    return f"{root}/namespaces/{namespace}/{plural}"


def _url(ref: Ref) -> str:
    return f"{_base(ref.namespace, ref.key)}/{ref.name}"


def _destination(target: Obj) -> tuple[str, ...]:
    found = (target.get("spec") or {}).get("destination") or {}
    return str(found.get("kind")), str(found.get("namespace")), str(found.get("name")), str(found.get("port"))
