"""The envelope every Backstage entity shares, and how entities name one another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from apps.catalog.imports.documents import Document, Value
from apps.catalog.imports.problems import Findings, Place

API_VERSIONS = ("backstage.io/v1alpha1", "backstage.io/v1beta1")
TAKEN = ("group", "user", "domain", "system", "component", "api")
LEFT_ASIDE = ("location", "resource", "template")
ANNOTATION = "sallyport.dev/"

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_REFERENCE = re.compile(r"(?:(?P<kind>[^:/]+):)?(?:(?P<namespace>[^:/]+)/)?(?P<name>[^:/]+)")


@dataclass(frozen=True, slots=True)
class Ref:
    """An entity's identity. Backstage compares kinds, namespaces and names without regard to case."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind}:{self.name}" if self.namespace == "default" else f"{self.kind}:{self.namespace}/{self.name}"
        )

    @property
    def joined(self) -> str:
        """The name in a world without namespaces."""
        return self.name if self.namespace == "default" else f"{self.namespace}-{self.name}"


def parse_ref(text: str, *, kind: str, namespace: str) -> Ref | None:
    """``[kind:][namespace/]name`` with the defaults of the place where it stands; None when it is not a reference."""
    found = _REFERENCE.fullmatch(text.strip())
    if found is None or not _NAME.fullmatch(found["name"]):
        return None
    return Ref((found["kind"] or kind).lower(), (found["namespace"] or namespace).lower(), found["name"].lower())


class Entity:
    """One entity with readers that check what they read and report what is wrong with it."""

    def __init__(self, ref: Ref, document: Document, file: str, findings: Findings) -> None:
        self.ref = ref
        self.findings = findings
        self._document = document
        self._file = file

    def place(self, *path: str | int) -> Place:
        field = ".".join(str(part) for part in path)
        return Place(self._file, self._document.number, self._document.line(*path), str(self.ref), field)

    def blame(self, message: str, *path: str | int) -> None:
        self.findings.blame(self.place(*path), message)

    def blame_inside(self, message: str, line: int | None, field: str) -> None:
        """For the text of ``spec.definition``; its lines are counted from the one it starts after."""
        outer = self.place("spec", "definition")
        total = outer.line + line if outer.line and line else outer.line
        name = f"spec.definition {field}".strip()
        self.findings.blame(Place(outer.file, outer.document, total, outer.entity, name), message)

    def note(self, message: str) -> None:
        self.findings.note(self.place(), message)

    def value(self, *path: str | int) -> Value:
        here = self._document.value
        for part in path:
            here = here.get(str(part)) if isinstance(here, dict) else None
        return here

    def text(self, *path: str, limit: int = 200, required: bool = False) -> str:
        """The text at ``path``, white space folded; "" when it is not there."""
        value = self.value(*path)
        if isinstance(value, bool):
            value = "true" if value else "false"
        if value is None or value == "":
            if required:
                self.blame("This is needed.", *path)
            return ""
        if not isinstance(value, str):
            self.blame("This must be text.", *path)
            return ""
        folded = " ".join(value.split())
        if len(folded) > limit:
            self.blame(f"This is longer than {limit} characters.", *path)
            return ""
        return folded

    def texts(self, *path: str) -> Iterator[tuple[int, str]]:
        """The texts of the list at ``path`` with their numbers."""
        value = self.value(*path)
        if value is None:
            return
        if not isinstance(value, list):
            self.blame("This must be a list.", *path)
            return
        for number, item in enumerate(value):
            if isinstance(item, str):
                yield number, item
            else:
                self.blame("This must be text.", *path, number)

    def annotation(self, name: str, *, limit: int = 300) -> str:
        return self.text("metadata", "annotations", ANNOTATION + name, limit=limit)

    def blame_annotation(self, message: str, name: str) -> None:
        self.blame(message, "metadata", "annotations", ANNOTATION + name)

    def listed(self, name: str) -> list[str]:
        """An annotation that holds several values, separated by commas."""
        return [part.strip() for part in self.annotation(name).split(",") if part.strip()]

    @property
    def title(self) -> str:
        return self.text("metadata", "title") or self.ref.name

    def refer(self, text: str, *path: str | int, kind: str, kinds: tuple[str, ...]) -> Ref | None:
        """The reference written at ``path``, which must be to one of ``kinds``."""
        ref = parse_ref(text, kind=kind, namespace=self.ref.namespace)
        if ref is None:
            self.blame(f"'{text[:80]}' is not a reference like {kind}:default/name.", *path)
        elif ref.kind not in kinds:
            self.blame(f"'{text[:80]}' should be a {' or a '.join(kinds)}.", *path)
            return None
        return ref


def read_entity(document: Document, file: str, findings: Findings) -> Entity | None:
    """The entity in a document, or None with the reason among the findings."""
    nameless = Entity(Ref("", "default", ""), document, file, findings)
    if not isinstance(document.value, dict):
        findings.blame(Place(file, document.number, document.line()), "This document is not an entity.")
        return None
    kind = nameless.text("kind", required=True).lower()
    entity = Entity(_identify(nameless, kind), document, file, findings)
    if kind in LEFT_ASIDE:
        entity.note(f"a {kind.capitalize()} is not part of the catalogue here; left aside.")
        return None
    good = len(findings.problems)
    _check_envelope(entity, kind)
    return entity if len(findings.problems) == good else None


def _identify(nameless: Entity, kind: str) -> Ref:
    metadata = nameless.value("metadata")
    fields = metadata if isinstance(metadata, dict) else {}
    name, namespace = fields.get("name"), fields.get("namespace") or "default"
    return Ref(kind, str(namespace).lower()[:63], str(name or "?").lower()[:63])


def _check_envelope(entity: Entity, kind: str) -> None:
    version = entity.text("apiVersion", required=True)
    if version and version not in API_VERSIONS:
        entity.blame(f"'{version}' is none of {', '.join(API_VERSIONS)}.", "apiVersion")
    if kind and kind not in TAKEN:
        entity.blame(f"'{kind}' is not a kind of entity we know.", "kind")
    name = entity.text("metadata", "name", required=True)
    if name and not _NAME.fullmatch(name):
        entity.blame("A name has letters, digits, - _ . and at most 63 of them.", "metadata", "name")
    if not _NAMESPACE.fullmatch(entity.ref.namespace):
        entity.blame("A namespace has lower-case letters, digits and -.", "metadata", "namespace")
    for part in ("spec", ("metadata", "annotations")):
        path = (part,) if isinstance(part, str) else part
        if not isinstance(entity.value(*path), dict | None):
            entity.blame("This must be a mapping.", *path)
