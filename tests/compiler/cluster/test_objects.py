"""Names, accounts and bytes of Kubernetes objects."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.cluster.objects import (
    LONGEST_NAME,
    Account,
    account_of,
    as_artifact,
    labels,
    legal_name,
    made,
    object_name,
    server_account,
)
from apps.compiler.graph import MeshExposure, Service
from tests.compiler.cluster.estate import SURROUNDINGS

SLUGS = st.text(st.sampled_from("ab-_9"), min_size=1, max_size=70)
SUFFIXES = st.text(st.sampled_from("ab-"), max_size=30)


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(st.tuples(SLUGS, SUFFIXES), min_size=2, max_size=20, unique=True))
def test_names_are_legal_and_no_two_are_the_same(pairs: list[tuple[str, str]]) -> None:
    names = [object_name(*pair) for pair in pairs]
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) and len(name) <= LONGEST_NAME for name in names)
    assert len(set(names)) == len(names)


def test_plain_names_stay_readable() -> None:
    assert object_name("payments") == "sp-payments"
    assert object_name("payments", "closed") == "sp-payments-closed"
    assert legal_name("web-shop") == "web-shop"
    assert legal_name("web_shop") != legal_name("web-shop")


def test_an_artifact_is_canonical_and_says_where_it_goes() -> None:
    told = labels(SURROUNDINGS, "payments")
    policy = made("k8s.nginx.org/v1", "Policy", "shop", "sp-x", told, spec={"b": 1, "a": 2})
    service = made("v1", "Service", "shop", "x", told)
    assert as_artifact(policy).path == "shop/policies.k8s.nginx.org/sp-x.json"
    assert as_artifact(service).path == "shop/services.core/x.json"
    content = (
        b'{"apiVersion":"k8s.nginx.org/v1","kind":"Policy","metadata":{"labels":{"app.kubernetes.io/managed-by":'
        b'"sallyport","sallyport.dev/cluster":"blue","sallyport.dev/service":"payments"},"name":"sp-x","namespace":'
        b'"shop"},"spec":{"a":2,"b":1}}'
    )
    assert as_artifact(policy) == Artifact.of("shop/policies.k8s.nginx.org/sp-x.json", "application/json", content)
    assert json.loads(content) == policy


@pytest.mark.parametrize(
    ("spiffe_id", "account"),
    [
        ("spiffe://shop.test/ns/shop/sa/cart", Account("shop", "cart")),
        ("spiffe://other.test/ns/shop/sa/cart", None),
        ("spiffe://shop.test/shop/cart", None),
        ("spiffe://shop.test/ns/shop/sa/", None),
        ("spiffe://shop.test/ns/shop/sa/a/b", None),
        ("spiffe://shop.test/ns/Shop/sa/cart", None),
    ],
)
def test_an_account_is_read_from_an_id_of_one_form_only(spiffe_id: str, account: Account | None) -> None:
    assert account_of(spiffe_id, "shop.test") == account


def test_a_service_answers_in_its_own_namespace() -> None:
    def service(namespace: str) -> Service:
        return Service("s", "S", mesh=MeshExposure(namespace, "spiffe://shop.test/ns/shop/sa/s", 1, 2))

    assert server_account(service("shop"), SURROUNDINGS) == Account("shop", "s")
    assert server_account(service("elsewhere"), SURROUNDINGS) is None
