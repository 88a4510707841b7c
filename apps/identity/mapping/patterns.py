"""Expressions that administrators write: bounded, so that no group's name can keep a process busy.

Python's ``re`` backtracks. What makes that explode is repetition inside repetition and many repetitions in a row, so
groups are never repeated and there are few repetitions at all.
"""

from __future__ import annotations

import re
from functools import lru_cache

from apps.identity.errors import InvalidRule

LONGEST = 100
MOST_UNBOUNDED, MOST_OPTIONAL = 2, 4
ESCAPES = frozenset("dDwWsS.\\-+*?()[]{}|^$/_ @:")


def check(pattern: str) -> None:
    """Raises InvalidRule with the reason in words."""
    if not pattern or len(pattern) > LONGEST:
        raise _invalid(f"Give an expression of at most {LONGEST} characters.")
    _check_syntax(pattern)
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise _invalid(f"This is not an expression: {error}.") from error


def _check_syntax(pattern: str) -> None:
    bare = _without_classes(pattern)
    if "(?" in bare:
        raise _invalid("Groups like (?...) are not understood; use plain ones.")
    if re.search(r"\)[*+?{]", bare):
        raise _invalid("A group cannot be repeated.")
    if len(re.findall(r"[*+{]", bare)) > MOST_UNBOUNDED or bare.count("?") > MOST_OPTIONAL:
        raise _invalid(f"At most {MOST_UNBOUNDED} repetitions and {MOST_OPTIONAL} optional parts.")


def _without_classes(pattern: str) -> str:
    """The pattern with escapes and character classes, which repeat nothing, replaced by a letter."""
    for escaped in re.findall(r"\\(.)", pattern):
        if escaped not in ESCAPES:
            raise _invalid(f"\\{escaped} is not understood here.")
    plain = re.sub(r"\\.", "x", pattern)
    return re.sub(r"\[\^?\]?[^\]]*\]", "x", plain)


def _invalid(why: str) -> InvalidRule:
    return InvalidRule(fields={"pattern": [why]})


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matches(pattern: str, name: str) -> bool:
    """Anchored at both ends: an expression describes the whole name."""
    return _compiled(pattern).fullmatch(name) is not None
