"""YAML from strangers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog.imports.documents import UnreadableYamlError, read


def values(text: str) -> list[object]:
    return [document.value for document in read(text)]


def test_numbers_dates_and_norway_stay_text() -> None:
    assert values("[no, 0777, 1:30, 2001-99-99, 1e3, .inf, off]") == [
        ["no", "0777", "1:30", "2001-99-99", "1e3", ".inf", "off"]
    ]


def test_booleans_and_null_are_known_unless_quoted() -> None:
    assert values("[true, False, ~, null, '', 'true', \"null\"]") == [[True, False, None, None, "", "true", "null"]]


def test_documents_are_counted_as_written_and_empty_ones_skipped() -> None:
    found = read("a: b\n---\n---\nc:\n  d: e\n")
    assert [(document.number, document.value) for document in found] == [(1, {"a": "b"}), (3, {"c": {"d": "e"}})]
    assert found[1].line("c", "d") == 5
    assert found[1].line("c", "nothing", "there") == 4


def test_an_alias_repeats_a_value() -> None:
    assert values("a: &x [1, 2]\nb: *x") == [{"a": ["1", "2"], "b": ["1", "2"]}]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\na: 2", 2, "'a' is there twice."),
        ("<<: {a: 1}", 1, "Merge keys (<<) are not taken: write the values out."),
        ("a: &a [*a]", 1, "The alias *a means nothing yet."),
        ("? [a]\n: b", 1, "A key must be plain text."),
        ("a: !!python/object/apply:os.system [ls]", 1, "The tag tag:yaml.org,2002:python/object/apply:os.system is"),
        ("a: !secret x", 1, "The tag !secret is not taken"),
        ('a: "\\0"', 1, "The text is too long or holds control characters."),
        ("a: b: c", 1, "This is not YAML: mapping values are not allowed in this context."),
        ("a:\n\t- b", 2, "This is not YAML: found character that cannot start any token."),
        ("[" * 5000, 1, "Nested deeper than 60 levels."),
    ],
)
def test_what_is_not_taken_is_named_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(UnreadableYamlError) as refused:
        read(text)
    assert refused.value.message.startswith(message)
    assert refused.value.line == line


@pytest.mark.parametrize("bomb", ["laughs", "list", "nested", "long", "large"])
def test_bombs_are_refused_quickly(bomb: str) -> None:
    lines = [f"{new}: &{new} [{', '.join(['*' + old] * 9)}]" for old, new in zip("abcdefghi", "bcdefghij", strict=True)]
    text = {
        "laughs": "a: &a [x, x, x]\n" + "\n".join(lines),
        "list": "- x\n" * 400_000,
        "nested": "{a: " * 200_000,
        "long": "a: '" + "x" * 3_000_000 + "'",
        "large": "# " + "x" * 6_000_000,
    }[bomb]
    began = time.process_time()
    with pytest.raises(UnreadableYamlError):
        read(text)
    assert time.process_time() - began < 5


@given(st.text(alphabet=st.sampled_from("ab: -[]{}&*!|>'\"#%@\n\t\\?,0\x00\ud800é"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        documents = read(text)
    except UnreadableYamlError as error:
        assert error.message
    else:
        assert all(document.value is not None for document in documents)
