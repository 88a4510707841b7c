"""Routes out of an OpenAPI 3 document. Only paths, methods and operation ids are read; servers are not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from apps.catalog.imports.documents import Document, UnreadableYamlError, Value, read
from apps.compiler.paths import METHODS, BadTemplateError, Template, parse_template

MAX_OPERATIONS = 2000
_VERBS = {method.lower(): method for method in METHODS}
_OUTSIDE_KEY = re.compile(r"[^A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Operation:
    """``line`` counts within the OpenAPI text."""

    key: str
    method: str
    template: str
    summary: str
    line: int | None


@dataclass(slots=True)
class Description:
    """The operations of a document, and its faults as (line, field, message)."""

    operations: list[Operation] = field(default_factory=list)
    faults: list[tuple[int | None, str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    shapes: dict[tuple[str, Template], str] = field(default_factory=dict)


def read_operations(text: str) -> Description:
    """Every operation that can be routed. A fault does not hide the ones after it."""
    found = Description()
    try:
        documents = read(text)
    except UnreadableYamlError as error:
        found.faults.append((error.line, "", error.message))
        return found
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        found.faults.append((None, "", "This is not one OpenAPI document."))
        return found
    root = documents[0].value
    version = root.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        found.faults.append((documents[0].line("openapi"), "openapi", "Only OpenAPI 3 is read."))
        return found
    for operation in _operations(documents[0], root.get("paths"), found):
        _admit(operation, found)
    return found


def _operations(document: Document, paths: Value, found: Description) -> Iterator[Operation]:
    if not isinstance(paths, dict):
        found.faults.append((document.line("paths"), "paths", "This must be a mapping from path to operations."))
        return
    for template, item in paths.items():
        line = document.line("paths", template)
        if template.startswith("x-"):
            continue
        complaint = _complaint(template, item)
        if complaint or not isinstance(item, dict):
            found.faults.append((line, f"paths.{template[:100]}", complaint))
            continue
        for verb in (name for name in item if name in _VERBS):
            yield _operation(document, template, verb, item[verb])


def _complaint(template: str, item: Value) -> str:
    if not isinstance(item, dict):
        return "This must be a mapping from method to operation."
    if "$ref" in item:
        return "References to other places ($ref) are not followed for whole paths."
    if len(template) > 300:
        return "The path is longer than 300 characters."
    try:
        parse_template(template)
    except BadTemplateError as error:
        return str(error)
    return ""


def _operation(document: Document, template: str, verb: str, body: Value) -> Operation:
    fields: Mapping[str, Value] = body if isinstance(body, dict) else {}
    named, summary = fields.get("operationId"), fields.get("summary")
    return Operation(
        key=_key(named if isinstance(named, str) and named else f"{verb}{template}"),
        method=_VERBS[verb],
        template=template,
        summary=" ".join(summary.split())[:300] if isinstance(summary, str) else "",
        line=document.line("paths", template, verb),
    )


def _key(text: str) -> str:
    """A route key that can stand in an address: what does not fit becomes a dash."""
    return _OUTSIDE_KEY.sub("-", text).strip("-._~")[:100] or "root"


def _admit(operation: Operation, found: Description) -> None:
    """Two routes with one key, or two that nobody could tell apart, are a mistake in the document."""
    shape = (operation.method, parse_template(operation.template))
    complaint = ""
    if operation.key in found.keys:
        complaint = f"The operation id '{operation.key}' is there twice."
    elif shape in found.shapes:
        complaint = f"This is the same as {found.shapes[shape]}."
    elif len(found.operations) >= MAX_OPERATIONS:
        complaint = f"There are more than {MAX_OPERATIONS} operations."
    if complaint:
        where = f"paths.{operation.template[:100]}.{operation.method.lower()}"
        found.faults.append((operation.line, where, complaint))
        return
    found.keys.add(operation.key)
    found.shapes[shape] = operation.template
    found.operations.append(operation)
