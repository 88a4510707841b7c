"""Who did something, as the record keeps it: an id that means something to the console and a name for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The name is stored beside the id, so that history can be read after the subject is renamed or gone."""

    id: str
    name: str


SYSTEM = Actor(id="system", name="Sallyport")
