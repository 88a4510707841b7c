"""Published schemas of Kubernetes objects: of custom resources as they lie beside this repository, and the core's.

What the schemas of custom resources leave to the API server is made strict: a field that is not described is a fault,
since the API server would drop it without a word.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft7Validator

CUSTOM = Path(__file__).resolve().parents[2].parent / "shared" / "specs" / "crds"
CORE_VERSION = "1.31"

Schema = dict[str, Any]


def strict(schema: Schema) -> Schema:
    """OpenAPI v3 as the API server reads it, as JSON Schema."""
    found = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "nullable"}
    if "properties" in found:
        found["properties"] = {name: strict(part) for name, part in found["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in found:
            found["additionalProperties"] = False
    for inner in ("additionalProperties", "items"):
        if isinstance(found.get(inner), dict):
            found[inner] = strict(found[inner])
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


@cache
def custom() -> dict[tuple[str, str], Draft7Validator]:
    """By apiVersion and kind."""
    found: dict[tuple[str, str], Draft7Validator] = {}
    for path in sorted(CUSTOM.glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())["spec"]
        for version in definition["versions"]:
            whole = version.get("schema") or definition["validation"]
            schema = strict(whole["openAPIV3Schema"])
            schema.setdefault("properties", {})["metadata"] = {"type": "object"}
            for name in ("apiVersion", "kind"):
                schema["properties"].setdefault(name, {"type": "string"})
            api = f"{definition['group']}/{version['name']}"
            found[api, definition["names"]["kind"]] = Draft7Validator(schema)
    return found


def faults(found: dict[str, Any]) -> list[str] | None:
    """What is wrong with an object; None where nothing published describes its kind."""
    judge = custom().get((found["apiVersion"], found["kind"]))
    if judge is not None:
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in judge.iter_errors(found)]
    try:
        kubernetes_validate.validate(found, CORE_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error.message)]
    except kubernetes_validate.SchemaNotFoundError:
        return None
    return []
