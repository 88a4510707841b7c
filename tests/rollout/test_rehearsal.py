"""Compiled edge policy is run in its own engine before it is believed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pytest

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import emit_item
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.graph import (
    AccessGraph,
    EdgeExposure,
    Grant,
    Point,
    Route,
    Service,
    Subject,
    SubjectKind,
    TrafficRule,
    Variant,
)
from apps.compiler.surroundings import EdgeSurroundings, SigningKey
from apps.rollout.rehearsal import Rehearsal, rehearse_edge
from apps.rollout.snapshots import from_json, knowing_the_same_subjects, merged, to_json
from apps.trust import jose

AT = 1_790_000_000
JWK = jose.new_jwk()
SURROUNDINGS = EdgeSurroundings(
    issuer="http://console",
    audience="sallyport-edge",
    token_keys=(jose.verify_key("k1", JWK),),
    context_issuer="edge:edge",
    context_audience="mesh:shop",
    context_key=SigningKey("c1", JWK),
    salt="salt",
    namespace="sallyport",
    console_url="http://console",
)


def service(slug: str) -> Service:
    routes = (Route("read", frozenset({"GET"}), "/x/{id}"), Route("write", frozenset({"POST"}), "/x"))
    return Service(slug, slug.title(), routes, EdgeExposure("api.shop.localhost", f"/{slug}"))


GRAPH = AccessGraph(
    subjects={"person:ada": Subject("person:ada", SubjectKind.PERSON, "Ada")},
    services={slug: service(slug) for slug in ("cart", "payments")},
    grants=(
        Grant("g_1", "person:ada", "cart", frozenset({"read"}), frozenset({Point.EDGE}), AT - 10, AT + 10),
        Grant("g_2", "person:ada", "payments", frozenset({"write"}), frozenset({Point.EDGE}), AT - 10),
    ),
)


def tokens(subjects: Collection[str], first: int, last: int) -> Mapping[str, str]:
    base = {"iss": "http://console", "aud": "sallyport-edge", "client_id": "t", "iat": first, "exp": last + 1}
    key = SigningKey("k1", JWK)
    return {
        subject: jose.sign(json.dumps({**base, "sub": subject}).encode(), key=key, typ="at+jwt") for subject in subjects
    }


def items() -> list[Artifact]:
    return [emit_item(GRAPH, slug, SURROUNDINGS) for slug in GRAPH.services]


def rehearsed(items: Sequence[Artifact], code: Sequence[Artifact] = (), tier: str = "dynamic") -> Rehearsal:
    return rehearse_edge(
        graph=GRAPH,
        code=code or emit_code(GRAPH, SURROUNDINGS),
        items=items,
        namespace="sallyport",
        tier=tier,
        tokens_for=tokens,
        at=AT,
    )


def test_what_the_compiler_makes_passes() -> None:
    found = rehearsed(items())
    assert found.refused == {}
    assert found.trials > 20


def test_an_item_that_allows_too_much_is_refused_and_only_that_one() -> None:
    cart, payments = items()
    wide = json.loads(cart.content)
    wide["grants"][0][3] = None
    found = rehearsed([Artifact.of(cart.path, cart.media_type, json.dumps(wide).encode()), payments])
    assert list(found.refused) == ["cart"]
    assert "the engine says granted, the policy says grant_expired" in found.refused["cart"]


def test_an_item_that_allows_too_little_is_refused() -> None:
    cart, payments = items()
    narrow = {**json.loads(payments.content), "subjects": {}}
    found = rehearsed([cart, Artifact.of(payments.path, payments.media_type, json.dumps(narrow).encode())])
    assert list(found.refused) == ["payments"]


RULE = TrafficRule(
    id="t_1",
    subject="",
    service="cart",
    routes=frozenset({"read"}),
    points=frozenset({Point.EDGE}),
    starts_at=AT - 5,
    ends_at=AT + 5,
    variant="v2",
    set_headers=(("X-Canary", "on"),),
    remove_headers=("X-Debug",),
)
CART = replace(GRAPH.services["cart"], variants=(Variant("v2", 9212, "blue"),))
ROUTED = replace(GRAPH, services={"cart": CART}, grants=GRAPH.grants[:1], traffic=(RULE,))


def routed(place: int = 0, value: object = RULE.id) -> str:
    """Why it was refused when one place of the rule, as the edge reads it, was changed in between."""
    item = json.loads(emit_item(ROUTED, "cart", SURROUNDINGS).content)
    item["traffic"][0][place] = value
    found = rehearse_edge(
        graph=ROUTED,
        code=emit_code(ROUTED, SURROUNDINGS),
        items=[Artifact.of("services/cart", "application/json", json.dumps(item).encode())],
        namespace="sallyport",
        tier="dynamic",
        tokens_for=tokens,
        at=AT,
    )
    return found.refused.get("cart", "")


def test_traffic_rules_are_tried_and_what_they_should_do_passes() -> None:
    assert routed() == ""


def test_an_item_that_treats_a_call_otherwise_is_refused_with_both_told() -> None:
    wanted = "the policy wants v2 at blue with X-Canary = on, X-Debug gone by t_1."
    call = f"GET api.shop.localhost/cart/x/x1 by person:ada at {AT - 5}: the engine makes of it "
    assert routed(9, "green") == f"{call}v2 at green with X-Canary = on, X-Debug gone by t_1; {wanted}"
    assert routed(6, "") == f"{call}the usual version with X-Canary = on, X-Debug gone by t_1; {wanted}"
    assert routed(7, {}) == f"{call}v2 at blue with its own headers by t_1; {wanted}"
    assert routed(4, AT) == f"{call}the usual version with its own headers by no rule; {wanted}"
    assert f"at {AT + 5}: the engine makes of it v2 at blue" in routed(5, None)


def test_an_item_the_tier_cannot_hold_is_refused_with_words_and_only_that_one() -> None:
    cart, payments = items()
    dear = {**json.loads(cart.content), "x": [[]] * 40_000}
    heavy = Artifact.of(cart.path, cart.media_type, json.dumps(dear, separators=(",", ":")).encode())
    found = rehearsed([heavy, payments], tier="basic")
    assert list(found.refused) == ["cart"]
    assert found.refused["cart"].startswith("EW_MEMORY_LIMIT: with the item of cart, the code would hold ")
    assert rehearsed([heavy, payments], tier="enterprise").refused == {}


@pytest.mark.parametrize("script", ["export function", "throw new Error('no')", "import 'nowhere';"])
def test_code_that_cannot_start_is_refused_as_a_whole(script: str) -> None:
    code = [
        Artifact.of(one.path, one.media_type, script.encode()) if one.path == "main.js" else one
        for one in emit_code(GRAPH, SURROUNDINGS)
    ]
    found = rehearsed(items(), code)
    assert list(found.refused) == [""]
    assert rehearsed(items()).refused == {}


def test_a_graph_survives_being_stored() -> None:
    assert from_json(json.loads(json.dumps(to_json(GRAPH)))) == GRAPH


def test_slices_become_one_graph_again() -> None:
    one = AccessGraph(GRAPH.subjects, {"cart": GRAPH.services["cart"]}, GRAPH.grants[:1])
    other = AccessGraph({}, {"payments": GRAPH.services["payments"]}, GRAPH.grants[1:])
    assert merged([one, other]) == GRAPH
    old, new = knowing_the_same_subjects(one, other)
    assert old.subjects == new.subjects == GRAPH.subjects
