"""Structural schemas: what a CustomResourceDefinition says an object may be. Expressions (CEL) are not evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from apps.localcluster.http import Cause, Obj

Schema = Mapping[str, Any]

OPEN: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_METADATA: Schema = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": OPEN,
        },
    },
}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}

_LIMITING = frozenset(
    {"enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
    | {"minProperties", "maxProperties"}
)
_COMBINING = frozenset({"allOf", "anyOf", "oneOf", "not"})


def rooted(schema: Schema) -> Schema:
    """A schema with what every object has besides."""
    text = {"type": "string"}
    properties = {**(schema.get("properties") or {}), "apiVersion": text, "kind": text, "metadata": _METADATA}
    return {"type": "object", **schema, "properties": properties}


def is_atomic(schema: Schema, value: object) -> bool:
    """Whether the value has one owner as a whole."""
    if isinstance(value, list):
        return bool(schema.get("x-kubernetes-list-type", "atomic") == "atomic")
    if isinstance(value, dict):
        return "atomic" in (schema.get("x-kubernetes-map-type"), schema.get("x-kubernetes-struct-type"))
    return True


def child(schema: Schema, name: str) -> Schema:
    """The schema of a property; an open one where nothing is said."""
    found = (schema.get("properties") or {}).get(name)
    if found is None:
        more = schema.get("additionalProperties")
        found = more if isinstance(more, Mapping) else {}
    return found


def item(schema: Schema) -> Schema:
    return schema.get("items") or {}


def keys_of(schema: Schema) -> tuple[str, ...]:
    return tuple(schema.get("x-kubernetes-list-map-keys") or ())


# -- fields nobody declared ------------------------------------------------------------------------------------------
def unknown_fields(schema: Schema, value: object, path: str = "") -> Iterator[str]:
    """As ``spec.rules[0].matchs``"""
    if isinstance(value, dict):
        for name, inner in value.items():
            below = f"{path}.{name}" if path else name
            if not _is_declared(schema, name):
                yield below
            else:
                yield from unknown_fields(child(schema, name), inner, below)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from unknown_fields(item(schema), inner, f"{path}[{number}]")


def pruned(schema: Schema, value: Any) -> Any:
    """Without what nobody declared."""
    if isinstance(value, dict):
        return {name: pruned(child(schema, name), inner) for name, inner in value.items() if _is_declared(schema, name)}
    if isinstance(value, list):
        return [pruned(item(schema), inner) for inner in value]
    return value


def _is_declared(schema: Schema, name: str) -> bool:
    if name in (schema.get("properties") or {}) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return True
    return not schema or bool(schema.get("additionalProperties"))


# -- values ----------------------------------------------------------------------------------------------------------
def faults(schema: Schema, value: Any, path: str = "") -> Iterator[Cause]:
    if not schema:
        return
    if not _has_type(schema, value):
        yield _wrong_type(schema, value, path)
        return
    if not _LIMITING.isdisjoint(schema):
        yield from _limits(schema, value, path)
    if not _COMBINING.isdisjoint(schema):
        yield from _combined(schema, value, path)
    if isinstance(value, dict):
        yield from _of_object(schema, value, path)
    elif isinstance(value, list):
        yield from _of_list(schema, value, path)


def _has_type(schema: Schema, value: object) -> bool:
    if value is None:
        return bool(schema.get("nullable"))
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    wanted = _TYPES.get(schema.get("type", ""))
    if wanted is None:
        return True
    if isinstance(value, bool) and wanted is not bool:
        return False
    return isinstance(value, wanted)


def _wrong_type(schema: Schema, value: object, path: str) -> Cause:
    name = next((name for name, kind in _TYPES.items() if isinstance(value, kind)), "null")
    name = "boolean" if isinstance(value, bool) else name
    wanted = "integer,string" if schema.get("x-kubernetes-int-or-string") else schema.get("type")
    message = f'Invalid value: "{name}": {path} in body must be of type {wanted}: "{name}"'
    return Cause("FieldValueTypeInvalid", message, path or "<nil>")


def _of_object(schema: Schema, value: Obj, path: str) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield Cause("FieldValueRequired", "Required value", f"{path}.{name}" if path else name)
    for name, inner in value.items():
        yield from faults(child(schema, name), inner, f"{path}.{name}" if path else name)


def _of_list(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    for number, inner in enumerate(value):
        yield from faults(item(schema), inner, f"{path}[{number}]")
    keys, seen = keys_of(schema), set[str]()
    for number, inner in enumerate(value if keys else ()):
        key = json.dumps({name: inner.get(name) for name in keys} if isinstance(inner, dict) else inner)
        if key in seen:
            yield Cause("FieldValueDuplicate", f"Duplicate value: {key}", f"{path}[{number}]")
        seen.add(key)


def _limits(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        listed = ", ".join(json.dumps(one) for one in allowed)
        said = f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
        yield Cause("FieldValueNotSupported", said, path)
    for wrong in _wrong_limits(schema, value):
        yield Cause("FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {path} in body {wrong}", path)


def _wrong_limits(schema: Schema, value: Any) -> Iterator[str]:
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"should match '{schema['pattern']}'"
    if isinstance(value, int | float) and value < schema.get("minimum", value):
        yield f"should be greater than or equal to {schema['minimum']}"
    if isinstance(value, int | float) and value > schema.get("maximum", value):
        yield f"should be less than or equal to {schema['maximum']}"
    yield from _wrong_lengths(schema, value)


_LENGTHS: tuple[tuple[type, str, str, str], ...] = (
    (str, "minLength", "maxLength", "chars long"),
    (list, "minItems", "maxItems", "items"),
    (dict, "minProperties", "maxProperties", "properties"),
)


def _wrong_lengths(schema: Schema, value: Any) -> Iterator[str]:
    size = len(value) if isinstance(value, str | list | dict) else 0
    for kind, least, most, words in _LENGTHS:
        if isinstance(value, kind) and size < schema.get(least, 0):
            yield f"should be at least {schema[least]} {words}"
        if isinstance(value, kind) and size > schema.get(most, size):
            yield f"should be at most {schema[most]} {words}"


def _combined(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        yield from faults(part, value, path)
    for name in ("anyOf", "oneOf"):
        parts = schema.get(name) or ()
        fitting = sum(not any(faults(part, value, path)) for part in parts)
        if parts and (fitting < 1 or (name == "oneOf" and fitting > 1)):
            message = f"Invalid value: {json.dumps(value)}: {path} in body must validate {name} of its schemas"
            yield Cause("FieldValueInvalid", message, path)
    if schema.get("not") and not any(faults(schema["not"], value, path)):
        yield Cause("FieldValueInvalid", f"Invalid value: {path} in body must not validate the schema (not)", path)
