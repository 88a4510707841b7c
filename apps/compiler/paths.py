"""The one meaning of a path, shared by decide() and by every enforcer.

A path that two readers could read in two ways is not a path but an attack, so it has no meaning here at all:
``segments`` answers None and the caller refuses. What is left is matched segment by segment, on decoded segments,
with respect to case. A trailing slash is an empty last segment, so ``/a`` and ``/a/`` are two paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from apps.compiler.graph import Route

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Template = tuple[str | None, ...]
"""Segments of a template: a literal, or None where a parameter stands."""

_SIMPLE = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?|/")
_VISIBLE = re.compile(r"/[\x21-\x7e]*")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_FORBIDDEN = re.compile(r"[/\\%;\x00-\x1f\x7f-\x9f]")
_LITERAL = re.compile(r"[A-Za-z0-9._~-]+")
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_DOTS = (".", "..")


class BadTemplateError(ValueError):
    """A path template that has no meaning; the message says why."""


def segments(path: str) -> tuple[str, ...] | None:
    """Decoded segments of a path as it came over the wire, or None when the path is not plain.

    Plain: visible ASCII that starts with ``/``; no ``?``, ``#``, ``;`` or backslash; escapes well formed and decoding
    once to UTF-8 without control characters, slash, backslash, percent or semicolon; no dot segment; no empty segment
    but the last.
    """
    if _SIMPLE.fullmatch(path):
        return tuple(path[1:].split("/"))
    if not _VISIBLE.fullmatch(path) or not _ESCAPES.fullmatch(path) or any(c in path for c in "?#;\\"):
        return None
    decoded = [_decode(raw) for raw in path[1:].split("/")]
    plain = tuple(segment for segment in decoded if segment is not None)
    if len(plain) < len(decoded) or any(segment == "" for segment in plain[:-1]):
        return None
    return plain


def _decode(raw: str) -> str | None:
    try:
        text = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), raw.encode()).decode()
    except UnicodeDecodeError:
        return None
    return None if _FORBIDDEN.search(text) or text in _DOTS else text


def parse_template(template: str) -> Template:
    """Segments of a template such as ``/orders/{id}/refunds``; raises BadTemplateError."""
    if not template.startswith("/"):
        raise BadTemplateError("A path template starts with a slash.")
    parts = template[1:].split("/")
    return tuple(_template_segment(part, last=index == len(parts) - 1) for index, part in enumerate(parts))


def _template_segment(part: str, *, last: bool) -> str | None:
    if _PARAMETER.fullmatch(part):
        return None
    if part == "" and last:
        return part
    if not _LITERAL.fullmatch(part) or part in _DOTS:
        raise BadTemplateError(
            f"'{part}' is neither a plain literal (letters, digits, . _ ~ -) nor a whole {{parameter}}."
        )
    return part


def matches(template: Template, path: tuple[str, ...]) -> bool:
    """Whether each segment is the literal, or anything but empty where a parameter stands."""
    if len(template) != len(path):
        return False
    for wanted, found in zip(template, path, strict=True):
        if found == "" if wanted is None else found != wanted:
            return False
    return True


def example_path(template: str) -> str:
    """A path that the template matches."""
    return "/".join("x1" if part.startswith("{") else part for part in template.split("/"))


def specificity(template: Template) -> tuple[bool, ...]:
    """Sort key: literal before parameter, left to right. The first match in this order is the most specific."""
    return tuple(segment is None for segment in template)


def ranked(routes: Iterable[Route]) -> tuple[tuple[Template, Route], ...]:
    """Routes in the order in which they must be tried: most specific first, then by id so that there is one order."""
    parsed = [(parse_template(route.template), route) for route in routes]
    return tuple(sorted(parsed, key=lambda pair: (specificity(pair[0]), pair[1].id)))
