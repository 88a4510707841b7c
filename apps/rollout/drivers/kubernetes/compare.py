"""Whether an object in the cluster says what an artifact says. What the server or somebody else added is no matter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

Obj = Mapping[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
CLUSTER, SERVICE, REVISION = "sallyport.dev/cluster", "sallyport.dev/service", "sallyport.dev/revision"
CLOSED = "sallyport.dev/closed"
"""The label of a TrafficTarget that lets nobody in and stands where the last one of its destination was."""
CONTENT = "sallyport.dev/content"
"""The annotation with the hash of the artifact that was applied last. What an older artifact said and this one does not
cannot be told from what the server filled in, inside a list; by this it can.
"""
OURS = "sallyport"

KEPT_BY_SERVER = frozenset(
    {"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields"}
    | {"resourceVersion", "selfLink", "uid"}
)
_ABSENT_IS_ALL = frozenset(
    {"from", "to", "port", "ports", "methods", "matches", "headers", "hostnames", "pathRegex", "policies", "filters"}
)
"""Fields that limit by being there: losing one, or its last entry, widens."""


def labels_of(obj: Obj) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def is_ours(obj: Obj, cluster: str, manager: str) -> bool:
    """By its label; where somebody took that off, by our having applied it."""
    labels = labels_of(obj)
    if CLUSTER in labels:
        return labels[CLUSTER] == cluster
    rows = (obj.get("metadata") or {}).get("managedFields") or ()
    return any(row.get("manager") == manager and row.get("operation") == "Apply" for row in rows)


def selector(cluster: str) -> str:
    """Of what is ours in that cluster, as the API takes it."""
    return f"{MANAGED_BY}={OURS},{CLUSTER}={cluster}"


def bears(obj: Obj, cluster: str) -> bool:
    """Whether the selector chooses it."""
    labels = labels_of(obj)
    return labels.get(MANAGED_BY) == OURS and labels.get(CLUSTER) == cluster


def service_of(obj: Obj) -> str:
    return labels_of(obj).get(SERVICE, "")


def to_send(obj: Obj, number: int, sha256: str) -> dict[str, Any]:
    """The artifact with the revision that brings it, and with its hash."""
    meta = obj["metadata"]
    labels = {**(meta.get("labels") or {}), REVISION: str(number)}
    annotations = {**(meta.get("annotations") or {}), CONTENT: sha256}
    return {**obj, "metadata": {**meta, "labels": labels, "annotations": annotations}}


def says(live: object, wanted: object) -> bool:
    """Whether all of ``wanted`` is in ``live``. Lists are compared entry by entry; none is as good as an empty one."""
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return not wanted and live is None
        return all(says(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        found = live if isinstance(live, list) else []
        pairs = zip(found, wanted, strict=False)
        return live in (None, found) and len(found) == len(wanted) and all(says(*pair) for pair in pairs)
    return bool(live == wanted)


def holds(live: Obj, wanted: Obj, sha256: str, manager: str) -> bool:
    """Whether the object is what applying the artifact of that hash makes it, and nobody took a field of it over."""
    applied = ((live.get("metadata") or {}).get("annotations") or {}).get(CONTENT)
    return applied == sha256 and says(live, wanted) and not _taken(live, wanted, manager)


def _taken(live: Obj, wanted: Obj, manager: str) -> bool:
    theirs = (field for fields in others_in(live, manager).values() for field in fields)
    return any(_has(wanted, field) for field in theirs)


def _has(wanted: object, field: str) -> bool:
    for step in field.removeprefix(".").split("."):
        name = step.partition("[")[0]
        if not isinstance(wanted, Mapping) or name not in wanted:
            return False
        wanted = wanted[name]
    return True


def held_hash(live: Obj | None, wanted: Obj | None = None, sha256: str = "", manager: str = OURS) -> str:
    """``sha256`` where it is what is wanted, ``""`` where it is not there, else a hash of what it says.

    That hash stays the same while the server or a controller writes what is theirs.
    """
    if live is None:
        return ""
    if wanted is not None and holds(live, wanted, sha256, manager):
        return sha256
    return hashlib.sha256(json.dumps(plain(live), sort_keys=True).encode()).hexdigest()


def plain(live: Obj) -> dict[str, Any]:
    """The object without what the server and this driver keep for themselves, and without its status."""
    meta = {name: value for name, value in (live.get("metadata") or {}).items() if name not in KEPT_BY_SERVER}
    for part, name in (("labels", REVISION), ("annotations", CONTENT)):
        left = {key: value for key, value in (meta.pop(part, None) or {}).items() if key != name}
        if left:
            meta[part] = left
    kept = {name: value for name, value in live.items() if name not in ("metadata", "status")}
    return {**kept, "metadata": meta}


def text_of(live: Obj | None) -> str:
    return json.dumps(plain(live), indent=2, sort_keys=True) + "\n" if live is not None else ""


def others_in(live: Obj, manager: str) -> dict[str, tuple[str, ...]]:
    """The fields below ``spec`` that others own and we do not, by manager, as ``.spec.egress``."""
    ours: set[str] = set()
    theirs: dict[str, set[str]] = {}
    for entry in (live.get("metadata") or {}).get("managedFields") or ():
        spec = (entry.get("fieldsV1") or {}).get("f:spec")
        fields = set(_paths(spec, ".spec")) if spec is not None else set()
        if entry.get("manager") == manager:
            ours |= fields
        elif not entry.get("subresource"):
            theirs.setdefault(str(entry.get("manager")), set()).update(fields)
    left = {name: tuple(sorted(fields - ours)) for name, fields in theirs.items()}
    return {name: fields for name, fields in left.items() if fields}


def makers_of(live: Obj, manager: str) -> tuple[str, ...]:
    """Everybody else who set a field of the object, its status aside."""
    entries = (live.get("metadata") or {}).get("managedFields") or ()
    named = {str(one.get("manager")) for one in entries if not one.get("subresource")}
    return tuple(sorted(named - {manager}))


def _paths(fields: Mapping[str, Any], base: str) -> Iterator[str]:
    inner = {name: value for name, value in fields.items() if name != "."}
    if not inner:
        yield base
    for name, value in inner.items():
        step = f".{name[2:]}" if name.startswith("f:") else f"[{name[2:]}]"
        yield from _paths(value, base + step)


def narrows(live: object, wanted: object) -> bool:
    """Whether ``wanted`` is ``live`` with entries of its lists taken out, and otherwise the same.

    It decides on the order of writes only, never on what is written. When in doubt: False.
    """
    return not says(live, wanted) and _only_less(live, wanted)


def _only_less(live: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        if any(live.get(key) and not wanted.get(key) for key in _ABSENT_IS_ALL):
            return False
        return all(_only_less(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) <= len(live):
        return _fewer(live, wanted)
    return says(live, wanted)


def _fewer(live: list[object], wanted: list[object]) -> bool:
    if len(wanted) == len(live):
        return all(_only_less(*pair) for pair in zip(live, wanted, strict=True))
    return all(any(says(one, entry) for one in live) for entry in wanted)
