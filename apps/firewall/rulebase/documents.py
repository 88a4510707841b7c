"""JSON from anywhere, read as data: bounded before it is built, and looked into without trust."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TypeAlias

from apps.firewall.rulebase.reading import Bad

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAX_DEPTH = 40

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_json(text: str) -> Value:
    """Raises Bad, with the place, when it is no JSON or nested deeper than anybody needs."""
    depth = 0
    for mark in _MARKS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
        if depth > MAX_DEPTH:
            raise Bad(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    try:
        found: Value = json.loads(text, parse_int=_integer, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise Bad(f"This is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise Bad("The JSON is nested too deep.") from None
    return found


def _integer(text: str) -> int:
    if len(text) > 20:
        raise Bad("The JSON holds a number of more than 20 digits.")
    return int(text)


def _constant(text: str) -> float:
    raise Bad(f"{text} is no JSON.")


def objects(value: Value) -> list[dict[str, Value]]:
    """The objects of a list; nothing when it is no list of them."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text_of(value: dict[str, Value], *names: str) -> str:
    """The first of these fields that holds text; empty when none does."""
    return next((found for name in names if isinstance(found := value.get(name), str) and found), "")


def integer_of(value: dict[str, Value], name: str) -> int | None:
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def misplaced(value: dict[str, Value], names: tuple[str, ...]) -> Iterator[str]:
    """The fields of these that are there and are no list of objects."""
    for name in names:
        held = value.get(name)
        if held is not None and (not isinstance(held, list) or len(objects(held)) != len(held)):
            yield name
