"""A small estate with one of everything, and fixed keys: what the examples and the golden files are about."""

from __future__ import annotations

from apps.compiler.graph import (
    AccessGraph,
    Cause,
    Denial,
    EdgeExposure,
    Grant,
    Guardrail,
    MeshExposure,
    Point,
    Route,
    Service,
    Subject,
    SubjectKind,
)
from apps.compiler.surroundings import EdgeSurroundings
from apps.compiler.tokens import EDGE_TOKEN_TYPE, Expected
from tests.agreement.forge import Forge, KeyPair

NIGHT = 1_795_737_600
"""Fri 27 Nov 2026 00:00 UTC."""

HOUR = 3600
EDGE, MESH = frozenset({Point.EDGE}), frozenset({Point.MESH})
BOTH = EDGE | MESH
CART_ID = "workload:spiffe://shop.test/ns/shop/sa/cart"

ADA = Subject("person:ada", SubjectKind.PERSON, "Ada", teams=frozenset({"team:storefront"}))
BEN = Subject("person:ben", SubjectKind.PERSON, "Ben")
DAN = Subject("person:dan", SubjectKind.PERSON, "Dan", active=False, teams=frozenset({"team:storefront"}))
BOT = Subject("agent:release-bot", SubjectKind.AGENT, "release-bot")
CART_CALLER = Subject(CART_ID, SubjectKind.WORKLOAD, "cart")
STOREFRONT = Subject("team:storefront", SubjectKind.TEAM, "Storefront")

PAYMENTS = Service(
    "payments",
    "Payments",
    (
        Route("charge", frozenset({"POST"}), "/charges"),
        Route("refund", frozenset({"POST"}), "/orders/{id}/refunds"),
        Route("order", frozenset({"GET", "HEAD"}), "/orders/{id}"),
        Route("newest", frozenset({"GET"}), "/orders/newest"),
    ),
    EdgeExposure("api.shop.test", "/payments"),
    MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/payments", 9102, 9202),
)
CART = Service(
    "cart",
    "Cart",
    (Route("read", frozenset({"GET"}), "/"), Route("empty", frozenset({"DELETE"}), "/")),
    EdgeExposure("shop.test"),
    MeshExposure("shop", "spiffe://shop.test/ns/shop/sa/cart", 9101, 9201),
)

GRANTS = (
    Grant("g-ada", "person:ada", "payments", frozenset({"refund"}), BOTH, NIGHT, NIGHT + 18 * HOUR),
    Grant("g-ben", "person:ben", "payments", frozenset({"order", "newest"}), BOTH, NIGHT - HOUR),
    Grant(
        "g-bot", "agent:release-bot", "payments", frozenset({"charge", "order"}), BOTH, NIGHT + HOUR, NIGHT + 2 * HOUR
    ),
    Grant("g-cart", CART_ID, "payments", frozenset({"charge"}), MESH, NIGHT - HOUR),
    Grant("g-old", "person:ben", "payments", frozenset({"charge"}), EDGE, NIGHT - 2 * HOUR, NIGHT - HOUR),
    Grant("g-team", "team:storefront", "cart", frozenset({"read"}), BOTH, NIGHT - HOUR),
)
NO_AGENT_MONEY = Guardrail(
    "no-agent-money",
    "Agents do not move money.",
    kinds=frozenset({SubjectKind.AGENT}),
    services=frozenset({"payments"}),
    methods=frozenset({"POST"}),
)


DENIALS = (
    Denial("person:dan", Cause.SUSPENDED, NIGHT + 305),
    Denial("person:ben", Cause.REVOKED, NIGHT + 305, NIGHT, frozenset({"payments"})),
    Denial("agent:release-bot", Cause.BUDGET, NIGHT + HOUR + 60, None, frozenset({"payments"})),
)


def estate() -> AccessGraph:
    people = (ADA, BEN, BOT, CART_CALLER, DAN, STOREFRONT)
    return AccessGraph(
        subjects={subject.id: subject for subject in people},
        services={service.id: service for service in (CART, PAYMENTS)},
        grants=GRANTS,
        guardrails=(NO_AGENT_MONEY,),
    )


CONSOLE = "https://console.shop.test"
TOKEN_KEY = KeyPair.of("token-1", 0x1111)
CONTEXT_KEY = KeyPair.of("context-1", 0x3333)
FORGE = Forge(TOKEN_KEY, KeyPair.of("token-1", 0x2222), EDGE_TOKEN_TYPE)
SURROUNDINGS = EdgeSurroundings(
    issuer=CONSOLE,
    audience="sallyport-edge",
    token_keys=(TOKEN_KEY.verifying,),
    context_issuer="edge:test",
    context_audience="mesh:test",
    context_key=CONTEXT_KEY.signing,
    salt="salt",
    namespace="sallyport",
    console_url=CONSOLE,
    kv_token_ref="3c2a4b6e-0000-4000-8000-000000000001",
)
EXPECTED = Expected(EDGE_TOKEN_TYPE, CONSOLE, "sallyport-edge")
