"""Path templates as regular expressions on the path as it was sent.

SMI only ever allows, so the first match in our order becomes a difference of sets: what a route answers is its template
without everything that a more specific template answers. No look-around is used, so that PCRE and RE2 both read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from apps.compiler.graph import Route
from apps.compiler.paths import METHODS, Template, ranked

NOTHING = "^$"
"""Matches no path, since every path begins with a slash."""

LONGEST = 4000
"""NGINX takes no longer word in its configuration."""

Segment = str | frozenset[str]
"""A literal, or anything but nothing and the literals named."""

Box = tuple[Segment, ...]

_PLAIN = frozenset(map(ord, "!$&'()*+,-.:=@_~")) | frozenset(
    code for first, last in ("09", "AZ", "az") for code in range(ord(first), ord(last) + 1)
)
"""What RFC 3986 lets stand in a segment, without the semicolon, which has no meaning here."""

_HEX = "[0-9A-Fa-f]"
_NEXT = f"%[89ABab]{_HEX}"
_BEYOND_ASCII = (
    rf"(?:[Cc]2%[ABab]{_HEX}|[Cc][3-9A-Fa-f]{_NEXT}|[Dd]{_HEX}{_NEXT}"
    rf"|[Ee](?:0%[ABab]{_HEX}|[Dd]%[89]{_HEX}|[1-9A-CEFa-cef]{_NEXT}){_NEXT}"
    rf"|[Ff](?:0%[9ABab]{_HEX}|[1-3]{_NEXT}|4%8{_HEX}){_NEXT}{_NEXT})"
)
_ESCAPED = rf"%(?:2[0-46-9A-Da-d]|3[0-9AC-Fac-f]|[46]{_HEX}|5[0-9ABD-Fabd-f]|7[0-9A-Ea-e]|{_BEYOND_ASCII})"
"""Escapes that decode to something, except that of a dot: no slash, percent, semicolon, backslash or control."""


class Lane(NamedTuple):
    """What one method of one route answers, as disjoint sets of paths, each ``^...$``.

    ``too_long``: so many more would not fit into NGINX's configuration. One of them would keep the mesh from taking
    any change over, a revocation too, so nobody calls that way instead.
    """

    route: str
    method: str
    patterns: tuple[str, ...]
    too_long: int = 0


def lanes(routes: Iterable[Route]) -> Iterator[Lane]:
    """In the order in which the routes are tried, and then by method. A lane that answers nothing has no patterns."""
    order = ranked(routes)
    for place, (template, route) in enumerate(order):
        for method in METHODS:
            if method in route.methods:
                before = [other for other, earlier in order[:place] if method in earlier.methods]
                patterns = [pattern(box) for box in territory(template, before)]
                fitting = tuple(one for one in patterns if len(one) <= LONGEST)
                yield Lane(route.id, method, fitting, len(patterns) - len(fitting))


def territory(template: Template, before: Iterable[Template]) -> tuple[Box, ...]:
    """What is left of a template without what others answer first."""
    left: list[Box] = [tuple(frozenset() if segment is None else segment for segment in template)]
    for other in before:
        left = [piece for box in left for piece in _without(box, other)]
    return tuple(left)


def _without(box: Box, other: Template) -> Iterator[Box]:
    if not _meet(box, other):
        yield box
        return
    shared: list[Segment] = []
    for place, (mine, theirs) in enumerate(zip(box, other, strict=True)):
        if theirs is not None and not isinstance(mine, str):
            yield (*shared, mine | {theirs}, *box[place + 1 :])
        shared.append(mine if theirs is None else theirs)


def _meet(box: Box, other: Template) -> bool:
    return len(box) == len(other) and all(_fits(mine, theirs) for mine, theirs in zip(box, other, strict=True))


def _fits(mine: Segment, theirs: str | None) -> bool:
    if isinstance(mine, str):
        return mine == theirs if theirs is not None else mine != ""
    return theirs is None or (theirs != "" and theirs not in mine)


def pattern(box: Box) -> str:
    """``^...$`` for a set of paths: literals as they are, parameters however they may be spelt.

    A parameter that must not be some literal has to be spelt without escapes: told apart from every disguise of a
    literal, the expression would not fit into NGINX's configuration.
    """
    return f"^{''.join('/' + _segment(segment) for segment in box)}$"


def _segment(segment: Segment) -> str:
    if isinstance(segment, str):
        return segment.replace(".", r"\.")
    return _other_than(segment) if segment else _ANY


def _class(codes: Iterable[int], *, but: str = "") -> str:
    """A character class, as ranges."""
    left = sorted(set(codes) - set(map(ord, but)))
    runs = [[code for _, code in run] for _, run in groupby(enumerate(left), key=lambda pair: pair[1] - pair[0])]
    return "[" + "".join(_run(run) for run in runs) + "]"


def _run(codes: list[int]) -> str:
    first, last = _in_class(codes[0]), _in_class(codes[-1])
    return {1: first, 2: first + last}.get(len(codes), f"{first}-{last}")


def _in_class(code: int) -> str:
    return ("\\" if chr(code) in "-]\\^[" else "") + chr(code)


_DOT = r"(?:\.|%2[Ee])"
_OTHER = f"(?:{_class(_PLAIN, but='.')}|{_ESCAPED})"
_ANY = f"(?:(?:{_DOT}*{_OTHER})+{_DOT}*|{_DOT}{_DOT}{_DOT}+)"
"""Any segment but nothing, one dot and two dots."""

_REST = f"{_class(_PLAIN)}*"


def _other_than(literals: frozenset[str]) -> str:
    """Any plainly spelt segment but nothing, the literals, one dot and two dots."""
    return f"(?:{_branches(sorted({*literals, '.', '..'}))})"


def _branches(literals: list[str]) -> str:
    """Whatever is not empty and not one of them, as a tree of their first letters."""
    heads = {head: [word[1:] for word in group] for head, group in groupby(literals, key=lambda word: word[0])}
    found = [f"{_class(_PLAIN, but=''.join(heads))}{_REST}"]
    for head, tails in heads.items():
        rest = _branches([tail for tail in tails if tail]) if any(tails) else f"{_class(_PLAIN)}{_REST}"
        optional = "" if "" in tails else "?"
        found.append(f"{_literal(head)}(?:{rest}){optional}")
    return "|".join(found)


def _literal(head: str) -> str:
    return r"\." if head == "." else head
