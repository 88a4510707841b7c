"""YAML read as data and nothing else.

A file may come from anywhere, so only this much of YAML exists here: mappings with text keys, sequences, text, booleans
and null. Numbers and dates stay the text they were written as, which also spares us YAML's ideas about ``no``, ``1:30``
and ``0777``. Size, depth and the weight of aliases are bounded before anything is built, and nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

Value: TypeAlias = "bool | str | list[Value] | dict[str, Value] | None"
Path: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 60
MAX_NODES = 300_000
MAX_TEXT = 2 * 1024 * 1024

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq", "int", "float", "bool", "null")} | {"!"}


class UnreadableYamlError(ValueError):
    """The text is not YAML we take. ``line`` counts from 1."""

    def __init__(self, message: str, line: int | None, document: int | None) -> None:
        super().__init__(message)
        self.message, self.line, self.document = message, line, document


@dataclass(slots=True)
class Document:
    """One document of a file: its value, and the line on which each part of it starts."""

    number: int
    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, *path: str | int) -> int | None:
        """Where ``path`` starts, or the nearest part around it that has a place."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def read(text: str) -> list[Document]:
    """Every non-empty document of the text; raises UnreadableYamlError at the first that cannot be read."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise UnreadableYamlError(f"The file is larger than {MAX_BYTES // 1024 // 1024} MB.", None, None)
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise UnreadableYamlError(f"This is not YAML: {error.problem or error}.", line, reader.number) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise UnreadableYamlError(f"This is not YAML: {error}.", None, reader.number) from error
    return [document for document in reader.documents if document.value is not None]


@dataclass(slots=True)
class _Open:
    """A collection that is still being filled. ``weight`` counts its values, aliased ones as often as they appear."""

    value: list[Value] | dict[str, Value]
    path: Path
    anchor: str | None
    key: str | None = None
    weight: int = 1


class _Reader:
    """Takes parse events one by one and builds documents from them on a stack of its own."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._total = 0

    @property
    def number(self) -> int:
        return max(len(self.documents), 1)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents.append(Document(self.number if not self.documents else len(self.documents) + 1))
            self._anchors = {}
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._check_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            raise self._unreadable(event, f"Nested deeper than {MAX_DEPTH} levels.")
        path = self._next_path(event)
        self._spend(event, 1)
        value: list[Value] | dict[str, Value] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._stack.append(_Open(value, path, event.anchor))
        self._mark(path, event)

    def _close(self) -> None:
        done = self._stack.pop()
        if done.anchor:
            self._anchors[done.anchor] = (done.value, done.weight)
        self._put(done.value, done.weight)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check_tag(event)
        if self._expects_key():
            self._key(event)
            return
        self._mark(self._next_path(event), event)
        self._spend(event, 1)
        value = self._plain(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, 1)

    def _key(self, event: yaml.ScalarEvent) -> None:
        parent = self._stack[-1]
        key = self._text(event)
        if key == "<<":
            raise self._unreadable(event, "Merge keys (<<) are not taken: write the values out.")
        if isinstance(parent.value, dict) and key in parent.value:
            raise self._unreadable(event, f"'{key[:80]}' is there twice.")
        parent.key = key
        self._mark((*parent.path, key), event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise self._unreadable(event, f"The alias *{event.anchor} means nothing yet.")
        self._next_path(event)
        value, weight = self._anchors[event.anchor]
        self._spend(event, weight)
        self._put(value, weight)

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _next_path(self, event: yaml.Event) -> Path:
        if not self._stack:
            return ()
        parent = self._stack[-1]
        if isinstance(parent.value, list):
            return (*parent.path, len(parent.value))
        if parent.key is None:
            raise self._unreadable(event, "A key must be plain text.")
        return (*parent.path, parent.key)

    def _put(self, value: Value, weight: int) -> None:
        if not self._stack:
            self.documents[-1].value = value
            return
        parent = self._stack[-1]
        parent.weight += weight
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is not None:
            parent.value[parent.key] = value
            parent.key = None

    def _mark(self, path: Path, event: yaml.Event) -> None:
        """A value in a mapping is where its key is."""
        self.documents[-1].lines.setdefault(path, _line(event))

    def _spend(self, event: yaml.Event, weight: int) -> None:
        self._total += weight
        if self._total > MAX_NODES:
            raise self._unreadable(event, f"The file holds more than {MAX_NODES} values.")

    def _plain(self, event: yaml.ScalarEvent) -> Value:
        if not event.style and event.tag is None:
            if event.value in _NULLS:
                return None
            if event.value in _BOOLEANS:
                return _BOOLEANS[event.value]
        return self._text(event)

    def _text(self, event: yaml.ScalarEvent) -> str:
        text: str = event.value
        if len(text) > MAX_TEXT or not _is_printable(text):
            raise self._unreadable(event, "The text is too long or holds control characters.")
        return text

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _PLAIN_TAGS:
            raise self._unreadable(event, f"The tag {event.tag[:80]} is not taken: this file is data, not objects.")

    def _unreadable(self, event: yaml.Event, message: str) -> UnreadableYamlError:
        return UnreadableYamlError(message, _line(event), self.number)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _is_printable(text: str) -> bool:
    """No control characters but line ends and tabs, no halves of surrogate pairs: PostgreSQL takes neither."""
    return text.isprintable() or not any(_is_control(character) for character in text)


def _is_control(character: str) -> bool:
    return (
        (character < " " and character not in "\n\r\t")
        or "\x7f" <= character <= "\x9f"
        or "\ud800" <= character <= "\udfff"
    )


def walk(value: Value, path: Path = ()) -> Iterator[tuple[Path, Value]]:
    """Every part of a value with its path, the whole first; without recursion."""
    waiting: list[tuple[Path, Value]] = [(path, value)]
    while waiting:
        here, part = waiting.pop()
        yield here, part
        if isinstance(part, dict):
            waiting.extend(((*here, key), item) for key, item in part.items())
        elif isinstance(part, list):
            waiting.extend(((*here, number), item) for number, item in enumerate(part))
