"""Reading a cluster back: few objects one by one, many by list."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.api import MANAGER, POOL, ClusterApi, Listing, Obj
from apps.rollout.drivers.kubernetes.compare import CLOSED, held_hash, labels_of, selector
from apps.rollout.drivers.kubernetes.kinds import KINDS, Kind, Ref, Scope, ref_of

MOST_GETS = 10
"""So many objects of one kind in one namespace are fetched one by one; of more the whole list is."""

MOST_MISSING = 50
"""So many that a list did not show are looked for by name: somebody may have taken our labels off them."""

Given = TypeVar("Given")
Found = TypeVar("Found")


class Reader:
    def __init__(self, api: ClusterApi, cluster: str) -> None:
        self._api, self._labels = api, selector(cluster)

    def live(self, refs: Sequence[Ref], *, search: bool) -> Mapping[str, Obj]:
        """What is there of these, by path. With ``search``, what a list does not show is looked for by name; else an
        object without our labels may be there though it is not found.
        """
        scopes: defaultdict[Scope, list[Ref]] = defaultdict(list)
        for ref in refs:
            scopes[ref.scope].append(ref)
        single = [ref for found in scopes.values() if len(found) <= MOST_GETS for ref in found]
        many = [scope for scope, found in scopes.items() if len(found) > MOST_GETS]
        live = {path: obj for listing in at_once(self._listed, many) for path, obj in listing.items()}
        if search:
            missing = [ref for scope in many for ref in scopes[scope] if ref.path not in live]
            single += missing if len(missing) <= MOST_MISSING else []
        fetched = at_once(self._api.get, single)
        live.update({ref.path: obj for ref, obj in zip(single, fetched, strict=True) if obj is not None})
        return live

    def _listed(self, scope: Scope) -> Mapping[str, Obj]:
        kind = KINDS[scope.kind]
        return self.by_path(kind, scope.namespace, self._api.list(kind, scope.namespace, self._labels).objects)

    def by_path(self, kind: Kind, namespace: str, objects: Iterable[Obj]) -> dict[str, Obj]:
        """The items of a list say neither their kind nor their version; it is put back."""
        named = {"apiVersion": kind.api_version, "kind": kind.kind}
        return {Ref(kind, namespace, obj["metadata"]["name"]).path: {**named, **obj} for obj in objects}

    def hashes(self, expected: Sequence[Artifact]) -> dict[str, str]:
        live = self.live([ref_of(artifact.path) for artifact in expected], search=True)
        return {one.path: held_hash(live.get(one.path), parsed(one), one.sha256, MANAGER) for one in expected}

    def everything(
        self, scopes: Sequence[Scope], *, stand_ins: bool = False
    ) -> tuple[dict[str, Obj], dict[Scope, str]]:
        """All of ours, by path, and the moment of each list by scope."""

        def ours(scope: Scope) -> Listing:
            return self._api.list(KINDS[scope.kind], scope.namespace, self._labels)

        objects: dict[str, Obj] = {}
        positions: dict[Scope, str] = {}
        for scope, listing in zip(scopes, at_once(ours, scopes), strict=True):
            positions[scope] = listing.version
            objects.update(self.by_path(KINDS[scope.kind], scope.namespace, listing.objects))
        return {path: obj for path, obj in objects.items() if stand_ins or not is_closed(obj)}, positions


def is_closed(obj: Obj) -> bool:
    return CLOSED in labels_of(obj)


def parsed(artifact: Artifact) -> Obj:
    """The object an artifact holds. Raises VendorError of kind ``unknown_kind`` when it is not what its path says."""
    ref = ref_of(artifact.path)
    obj: Obj = json.loads(artifact.content)
    meta = obj.get("metadata") or {}
    said = (obj.get("apiVersion"), obj.get("kind"), meta.get("namespace"), meta.get("name"))
    if obj.get("stringData"):
        _encode(obj)
    if said != (ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name):
        raise VendorError(artifact.path, 0, f"holds something else than it is called: {said}", kind="unknown_kind")
    return obj


def at_once(action: Callable[[Given], Found], items: Sequence[Given]) -> list[Found]:
    """Several at a time; the first failure is raised."""
    if len(items) < 2:
        return [action(item) for item in items]
    with ThreadPoolExecutor(POOL) as pool:
        return list(pool.map(action, items))


def _encode(secret: Obj) -> None:
    """As the server keeps it: what is sent as ``stringData`` is never shown again, and so could not be compared."""
    texts: Mapping[str, str] = secret.pop("stringData")
    found = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    secret["data"] = {**(secret.get("data") or {}), **found}
