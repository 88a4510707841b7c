"""What is wrong with an import file, said so that whoever wrote the file can find the place."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """``document`` counts from 1; ``line`` is the line in the file where known; ``entity`` is like ``user:ada``."""

    file: str
    document: int | None
    line: int | None
    entity: str
    field: str
    message: str

    def __str__(self) -> str:
        where = [
            self.file,
            f"document {self.document}" if self.document else "",
            f"line {self.line}" if self.line else "",
        ]
        what = [part for part in (self.entity, self.field) if part]
        return f"{', '.join(part for part in where if part)}: {' '.join(what)}{': ' if what else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file something was read from."""

    file: str
    document: int | None = None
    line: int | None = None
    entity: str = ""
    field: str = ""


@dataclass(slots=True)
class Findings:
    """Problems stop the import; notes say what was read and left aside."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    LIMIT = 200

    def blame(self, place: Place, message: str) -> None:
        if len(self.problems) < self.LIMIT:
            self.problems.append(Problem(place.file, place.document, place.line, place.entity, place.field, message))

    def note(self, place: Place, message: str) -> None:
        self.notes.append(f"{place.entity}: {message}" if place.entity else message)
