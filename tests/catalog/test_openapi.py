"""Routes out of OpenAPI documents."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog.imports.openapi import read_operations
from apps.compiler.paths import METHODS, parse_template


def test_each_operation_is_a_route_and_servers_are_ignored() -> None:
    text = json.dumps(
        {
            "openapi": "3.1.0",
            "servers": [{"url": "https://elsewhere.test/v1"}],
            "paths": {
                "/charges/{id}": {
                    "parameters": [],
                    "get": {"operationId": "getCharge", "summary": "One  charge"},
                    "trace": {"operationId": "traced"},
                },
                "/refunds/": {"post": {}},
                "/": {"head": {}},
                "x-internal": {},
            },
        }
    )
    found = read_operations(text)
    assert found.faults == []
    assert [(one.key, one.method, one.template, one.summary) for one in found.operations] == [
        ("getCharge", "GET", "/charges/{id}", "One charge"),
        ("post-refunds", "POST", "/refunds/", ""),
        ("head", "HEAD", "/", ""),
    ]


def test_every_fault_is_named_and_the_rest_is_read() -> None:
    found = read_operations(
        "openapi: 3.0.0\n"
        "paths:\n"
        "  /a/{id}.pdf: {get: {}}\n"
        "  nothing: {get: {}}\n"
        "  /ref: {$ref: elsewhere.yaml}\n"
        "  /a/{x}: {get: {operationId: one}}\n"
        "  /a/{y}: {get: {operationId: two}}\n"
        "  /b: {get: {operationId: one}}\n"
        "  /c: []\n"
        "  /d: {get: {operationId: 'a b/c'}}\n"
    )
    assert [(line, field) for line, field, _ in found.faults] == [
        (3, "paths./a/{id}.pdf"),
        (4, "paths.nothing"),
        (5, "paths./ref"),
        (7, "paths./a/{y}.get"),
        (8, "paths./b.get"),
        (9, "paths./c"),
    ]
    assert [one.key for one in found.operations] == ["one", "a-b-c"]


def test_other_versions_and_other_texts_are_refused() -> None:
    for text in ("swagger: '2.0'\npaths: {}", "[]", "", "openapi: 3.0.0\npaths: []", "{{", "a: 1\n---\nb: 2"):
        found = read_operations(text)
        assert len(found.faults) == 1, text
        assert found.operations == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["openapi", "paths", "/a", "/{x}", "get", "post", "operationId", "$ref", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_out_can_be_stored(value: object) -> None:
    text = json.dumps({"openapi": "3.1.0", "paths": value})
    for operation in read_operations(text).operations:
        parse_template(operation.template)
        assert operation.method in METHODS
        assert 1 <= len(operation.key) <= 100
