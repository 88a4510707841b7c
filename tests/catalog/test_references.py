"""How entities name one another."""

from __future__ import annotations

import pytest

from apps.catalog.imports.entities import Ref, parse_ref


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("payments", Ref("group", "default", "payments")),
        ("user:ben", Ref("user", "default", "ben")),
        ("User:Money/Ben.Smith", Ref("user", "money", "ben.smith")),
        ("money/payments", Ref("group", "money", "payments")),
        (" group:default/Payments ", Ref("group", "default", "payments")),
    ],
)
def test_kind_and_namespace_may_be_left_out_and_case_does_not_count(text: str, ref: Ref) -> None:
    assert parse_ref(text, kind="Group", namespace="default") == ref


@pytest.mark.parametrize("text", ["", "a b", "a:b:c", "a/b/c", "group:", ":x", "/x", "x/", "-x", "x" * 64, "é"])
def test_what_is_not_a_reference(text: str) -> None:
    assert parse_ref(text, kind="group", namespace="default") is None


def test_outside_the_default_namespace_the_name_carries_it() -> None:
    assert Ref("group", "default", "payments").joined == "payments"
    assert Ref("group", "money", "payments").joined == "money-payments"
