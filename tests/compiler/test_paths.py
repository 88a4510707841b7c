"""What a path means, by example and against a naive reading of the rules."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.compiler.graph import Route
from apps.compiler.paths import BadTemplateError, matches, parse_template, ranked, segments
from tests.agreement.strategies import TEMPLATES, paths
from tests.agreement.targets import HOSTILE_PATHS, PLAIN_PATHS


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("/a/b.c/~d_e-f", ("a", "b.c", "~d_e-f")),
        ("/%61", ("a",)),
        ("/a%20b", ("a b",)),
        ("/%C3%A9", ("é",)),
        ("/...", ("...",)),
        ("/a/%3F%23", ("a", "?#")),
    ],
)
def test_plain_paths_have_segments(path: str, expected: tuple[str, ...]) -> None:
    assert segments(path) == expected


@pytest.mark.parametrize("path", ["", "a", "*", "/a?b", "/a#b", "/é", "/a b", "/a\tb", "/\x00", *HOSTILE_PATHS])
def test_paths_that_can_be_read_in_two_ways_have_none(path: str) -> None:
    assert segments(path) is None


def naive_segments(path: str) -> tuple[str, ...] | None:
    """The rules, one after the other, without a thought for speed."""
    if path[:1] != "/" or any(ord(letter) not in range(0x21, 0x7F) or letter in "?#;\\" for letter in path):
        return None
    for place, letter in enumerate(path):
        pair = path[place + 1 : place + 3]
        if letter == "%" and (len(pair) < 2 or any(digit not in "0123456789abcdefABCDEF" for digit in pair)):
            return None
    found = []
    for raw in path.split("/")[1:]:
        try:
            found.append(unquote_to_bytes(raw).decode())
        except UnicodeDecodeError:
            return None
    bad = [s for s in found if s in (".", "..") or any(c in "/\\%;" or ord(c) < 32 or 127 <= ord(c) < 160 for c in s)]
    return None if bad or "" in found[:-1] else tuple(found)


pieces = st.sampled_from(
    [*"/ab.%;\\?#~é\n\x00", "%2", "%2e", "%2F", "%61", "%C3", "%A9", "%00", "%25", "%7f", "%c2%80", "//"]
)


@given(st.one_of(paths(), st.lists(pieces, max_size=8).map(lambda p: "/" + "".join(p)), st.text(max_size=8)))
def test_segments_are_what_the_rules_say(path: str) -> None:
    assert segments(path) == naive_segments(path)


def naive_match(template: str, path: tuple[str, ...]) -> bool:
    wanted = template.split("/")[1:]
    pairs = list(zip(wanted, path, strict=False))
    return len(wanted) == len(path) and all(w == p or (w[:1] == "{" and p != "") for w, p in pairs)


@given(st.sampled_from(TEMPLATES), paths())
def test_matching_is_segment_by_segment(template: str, path: str) -> None:
    parts = segments(path)
    if parts is not None:
        assert matches(parse_template(template), parts) == naive_match(template, parts)


def test_every_plain_path_of_the_pool_is_plain() -> None:
    assert [path for path in PLAIN_PATHS if segments(path) is None] == []


@pytest.mark.parametrize(
    "template", ["", "a", "/a//b", "//", "/a b", "/{", "/{}", "/{a-b}", "/x{a}", "/.", "/a/..", "/%61", "/é"]
)
def test_templates_without_a_meaning_are_refused(template: str) -> None:
    with pytest.raises(BadTemplateError):
        parse_template(template)


def test_the_most_specific_template_is_tried_first() -> None:
    templates = ["/{x}/{y}", "/{x}/b", "/a/{y}", "/a/b"]
    routes = [Route(f"r{place}", frozenset({"GET"}), template) for place, template in enumerate(templates)]
    assert [route.template for _, route in ranked(routes)] == ["/a/b", "/a/{y}", "/{x}/b", "/{x}/{y}"]
