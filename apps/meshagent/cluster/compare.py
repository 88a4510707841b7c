"""Whether an object in the cluster says what was signed. The console judges clusters it calls itself by the same rules.

What the server filled in, or somebody else added, is no matter; a field of ours that somebody took over is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

Obj = Mapping[str, Any]

MANAGER = "sallyport"
MANAGED_BY, CLUSTER = "app.kubernetes.io/managed-by", "sallyport.dev/cluster"
SERVICE, REVISION = "sallyport.dev/service", "sallyport.dev/revision"
CONTENT, CLOSED = "sallyport.dev/content", "sallyport.dev/closed"

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


def selector(cluster: str) -> str:
    return f"{MANAGED_BY}={MANAGER},{CLUSTER}={cluster}"


def is_ours(obj: Obj, cluster: str) -> bool:
    """By its label; where somebody took that off, by our having applied it."""
    labels = labels_of(obj)
    if CLUSTER in labels:
        return labels[CLUSTER] == cluster
    rows = (obj.get("metadata") or {}).get("managedFields") or ()
    return any(row.get("manager") == MANAGER and row.get("operation") == "Apply" for row in rows)


def to_send(obj: Obj, number: int, sha256: str) -> dict[str, Any]:
    """With the revision that brings it, and with its hash."""
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


def holds(live: Obj, wanted: Obj, sha256: str) -> bool:
    """Whether the object is what applying the content of that hash makes it, and nobody took a field of it over."""
    applied = ((live.get("metadata") or {}).get("annotations") or {}).get(CONTENT)
    return applied == sha256 and says(live, wanted) and not _taken(live, wanted)


def _taken(live: Obj, wanted: Obj) -> bool:
    return any(_has(wanted, field) for fields in _others(live).values() for field in fields)


def _has(wanted: object, field: str) -> bool:
    for step in field.removeprefix(".").split("."):
        name = step.partition("[")[0]
        if not isinstance(wanted, Mapping) or name not in wanted:
            return False
        wanted = wanted[name]
    return True


def held_hash(live: Obj | None, wanted: Obj | None = None, sha256: str = "") -> str:
    """``sha256`` where it is what is wanted, ``""`` where it is not there, else a hash of what it says."""
    if live is None:
        return ""
    if wanted is not None and holds(live, wanted, sha256):
        return sha256
    return hashlib.sha256(json.dumps(plain(live), sort_keys=True).encode()).hexdigest()


def plain(live: Obj) -> dict[str, Any]:
    """The object without what the server and we keep for ourselves, and without its status."""
    meta = {name: value for name, value in (live.get("metadata") or {}).items() if name not in KEPT_BY_SERVER}
    for part, name in (("labels", REVISION), ("annotations", CONTENT)):
        left = {key: value for key, value in (meta.pop(part, None) or {}).items() if key != name}
        if left:
            meta[part] = left
    kept = {name: value for name, value in live.items() if name not in ("metadata", "status")}
    return {**kept, "metadata": meta}


def text_of(live: Obj | None) -> str:
    return json.dumps(plain(live), indent=2, sort_keys=True) + "\n" if live is not None else ""


def makers_of(live: Obj) -> tuple[str, ...]:
    """Everybody else who set a field of the object, its status aside."""
    entries = (live.get("metadata") or {}).get("managedFields") or ()
    named = {str(one.get("manager")) for one in entries if not one.get("subresource")}
    return tuple(sorted(named - {MANAGER}))


def _others(live: Obj) -> dict[str, tuple[str, ...]]:
    """The fields below ``spec`` that others own and we do not, by manager."""
    ours: set[str] = set()
    theirs: dict[str, set[str]] = {}
    for entry in (live.get("metadata") or {}).get("managedFields") or ():
        spec = (entry.get("fieldsV1") or {}).get("f:spec")
        fields = set(_paths(spec, ".spec")) if spec is not None else set()
        if entry.get("manager") == MANAGER:
            ours |= fields
        elif not entry.get("subresource"):
            theirs.setdefault(str(entry.get("manager")), set()).update(fields)
    left = {name: tuple(sorted(fields - ours)) for name, fields in theirs.items()}
    return {name: fields for name, fields in left.items() if fields}


def _paths(fields: Mapping[str, Any], base: str) -> Iterator[str]:
    inner = {name: value for name, value in fields.items() if name != "."}
    if not inner:
        yield base
    for name, value in inner.items():
        step = f".{name[2:]}" if name.startswith("f:") else f"[{name[2:]}]"
        yield from _paths(value, base + step)


def narrows(live: object, wanted: object) -> bool:
    """Whether ``wanted`` is ``live`` with entries of its lists taken out. Decides on the order of writes only."""
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


def destination(target: Obj) -> tuple[str, str, str]:
    """What a TrafficTarget leads to, without its port."""
    found = (target.get("spec") or {}).get("destination") or {}
    namespace = found.get("namespace") or target["metadata"].get("namespace", "")
    return str(found.get("kind")), str(namespace), str(found.get("name"))


def port_of(target: Obj) -> object:
    return ((target.get("spec") or {}).get("destination") or {}).get("port")


def covers(staying: Obj, going: Obj) -> bool:
    """Whether one that stays keeps shut what the other did: the same destination, on all ports or on the same."""
    return destination(staying) == destination(going) and port_of(staying) in (None, port_of(going))
