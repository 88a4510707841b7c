"""Who owns which fields: sets of paths, as ``managedFields`` of meta/v1 writes them, and the merge of an apply.

A path is a tuple of ``f:name``, ``k:{"name":"x"}`` (an entry of a list with keys), ``v:"x"`` (of a set), and at its end
perhaps ``.`` (the entry itself). Lists are owned as a whole unless their schema says otherwise.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from apps.localcluster.http import Obj
from apps.localcluster.schema import Schema, child, is_atomic, item, keys_of

Path = tuple[str, ...]
Fields = frozenset[Path]

_NAMING = frozenset({"apiVersion", "kind"})
OF_SERVER = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"}
    | {"managedFields", "selfLink", "generateName", "deletionGracePeriodSeconds"}
)


def fields_of(obj: Obj, schema: Schema) -> Fields:
    """All fields an object sets, those aside that name it or are the server's."""
    found: set[Path] = set()
    for name, value in obj.items():
        if name == "metadata":
            kept = {key: inner for key, inner in value.items() if key not in OF_SERVER}
            for key, inner in kept.items():
                found.update(_leaves(child(child(schema, name), key), inner, ("f:metadata", f"f:{key}")))
        elif name not in _NAMING:
            found.update(_leaves(child(schema, name), value, (f"f:{name}",)))
    return frozenset(found)


def _leaves(schema: Schema, value: Any, path: Path) -> Iterator[Path]:
    if not value or is_atomic(schema, value):
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(child(schema, name), inner, (*path, f"f:{name}"))
    else:
        for entry in value:
            below = (*path, key_of(schema, entry))
            yield (*below, ".")
            if keys_of(schema):
                yield from _leaves(item(schema), entry, below)


def key_of(schema: Schema, entry: Any) -> str:
    keys = keys_of(schema)
    if not keys:
        return "v:" + json.dumps(entry)
    return "k:" + json.dumps({name: entry[name] for name in keys if name in entry}, separators=(",", ":"))


# -- as managedFields has them ---------------------------------------------------------------------------------------
def to_v1(fields: Iterable[Path]) -> Obj:
    root: Obj = {}
    for path in sorted(fields):
        node = root
        for step in path:
            node = node.setdefault(step, {})
    return root


def from_v1(node: Mapping[str, Any]) -> Fields:
    return frozenset(_paths(node, ()))


def _paths(node: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if not node and path:
        yield path
    for step, inner in node.items():
        yield from _paths(inner, (*path, step))


def written(path: Path) -> str:
    """As conflicts name it: ``.spec.ports[port=80]``"""
    said = ""
    for step in path:
        if step.startswith("f:"):
            said += f".{step[2:]}"
        elif step.startswith("k:"):
            pairs = json.loads(step[2:]).items()
            said += "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in pairs) + "]"
        elif step.startswith("v:"):
            said += f"[={step[2:]}]"
    return said


# -- values ----------------------------------------------------------------------------------------------------------
MISSING = object()


def value_at(obj: Any, path: Path, schema: Schema) -> Any:
    """MISSING where there is none."""
    for step in path:
        if step == ".":
            return True
        if step.startswith("f:"):
            if not isinstance(obj, dict) or step[2:] not in obj:
                return MISSING
            obj, schema = obj[step[2:]], child(schema, step[2:])
        else:
            entries = obj if isinstance(obj, list) else []
            found = [entry for entry in entries if key_of(schema, entry) == step]
            if not found:
                return MISSING
            obj, schema = found[0], item(schema)
    return obj


def merged(live: Any, config: Any, schema: Schema) -> Any:
    """The live value with everything the configuration sets."""
    if isinstance(live, dict) and isinstance(config, dict) and not is_atomic(schema, config):
        found = dict(live)
        for name, value in config.items():
            inner = child(schema, name)
            found[name] = merged(live[name], value, inner) if name in live else copy.deepcopy(value)
        return found
    if isinstance(live, list) and isinstance(config, list) and not is_atomic(schema, config):
        return _merged_lists(live, config, schema)
    return copy.deepcopy(config)


def _merged_lists(live: list[Any], config: list[Any], schema: Schema) -> list[Any]:
    found = {key_of(schema, entry): entry for entry in live}
    for entry in config:
        key = key_of(schema, entry)
        found[key] = merged(found[key], entry, item(schema)) if key in found else copy.deepcopy(entry)
    return list(found.values())


def without(obj: Any, path: Path, schema: Schema) -> None:
    """Takes one field out, and the mappings that are empty then."""
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        _without_name(obj, step[2:], rest, schema)
    elif isinstance(obj, list):
        for entry in [entry for entry in obj if key_of(schema, entry) == step]:
            if not rest or rest == (".",):
                obj.remove(entry)
            else:
                without(entry, rest, item(schema))


def _without_name(obj: Any, name: str, rest: Path, schema: Schema) -> None:
    if not isinstance(obj, dict) or name not in obj:
        return
    if not rest:
        del obj[name]
        return
    without(obj[name], rest, child(schema, name))
    if obj[name] in ({}, []):
        del obj[name]


def touches(path: Path, others: Fields) -> Fields:
    """Those of ``others`` that are the same field, lie in it, or hold it."""
    return frozenset(other for other in others if other[: len(path)] == path or path[: len(other)] == other)
