"""Browsers at a compiled edge: what they hold, what they send, and what they are answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from apps.compiler.emitters.edgekv import GROUP, emit_item, item_key
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.graph import AccessGraph
from apps.compiler.sessions import challenge
from apps.compiler.slices import split
from apps.compiler.surroundings import EdgeSurroundings
from apps.compiler.tokens import EDGE_SESSION_TYPE
from apps.localedge.runner import EdgeRunner, Request, Result
from tests.agreement.forge import Forge, KeyPair
from tests.agreement.strategies import TokenFault
from tests.compiler.estate import CONSOLE, FORGE, NIGHT, SURROUNDINGS, TOKEN_KEY

HOST = "api.shop.test"
HERE = f"https://{HOST}"
SESSION, SIGN_IN = "__Host-sallyport-session", "__Host-sallyport-sign-in"
SECRET, OTHER_SECRET = "s" * 43, "o" * 43
ORDER, REFUNDS = "/payments/orders/7", "/payments/orders/7/refunds"
BROWSERS = Forge(TOKEN_KEY, KeyPair.of("token-1", 0x2222), EDGE_SESSION_TYPE)
PAGE = {"Accept": ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"]}
GOING = {**PAGE, "Sec-Fetch-Mode": ["navigate"], "Sec-Fetch-Dest": ["document"], "Sec-Fetch-Site": ["cross-site"]}
FROM_HERE = {"Origin": [HERE], "Sec-Fetch-Site": ["same-origin"]}
FIRST_FLAGS = "; Path=/; HttpOnly; SameSite=Lax; Secure"

Headers = Mapping[str, Sequence[str]]


def serve(graph: AccessGraph, surroundings: EdgeSurroundings = SURROUNDINGS) -> EdgeRunner:
    files = {artifact.path: artifact.content for artifact in emit_code(graph, surroundings)}
    items = {
        (surroundings.namespace, GROUP, item_key(service)): emit_item(part, service, surroundings).content.decode()
        for service, part in split(graph)
    }
    return EdgeRunner(files, items)


def token(
    subject: str = "person:ben",
    fault: TokenFault = TokenFault.NONE,
    *,
    at: int = NIGHT,
    secret: str = SECRET,
    host: str = HOST,
    **changed: object,
) -> str:
    claims: dict[str, object] = {"iss": CONSOLE, "aud": host, "sub": subject, "iat": at, "exp": at + 300}
    claims |= {"jti": "1", "cnf": {"s256": challenge(secret)}, **changed}
    made = BROWSERS.make(claims, fault, at)
    return made.values[0].removeprefix("Bearer ")


def cookie(value: str, *, name: str = SESSION, secret: str = SECRET) -> dict[str, list[str]]:
    return {"Cookie": [f"{name}={secret}.{value}"]}


def call(method: str = "GET", path: str = ORDER, headers: Headers | None = None, host: str = HOST) -> Request:
    return {"method": method, "host": host, "path": path, "headers": headers or {}}


def reason(result: Result) -> str:
    return str(json.loads(result["variables"]["PMUSER_SP_V"])["r"])


def location(result: Result) -> str:
    assert (result["action"], result["status"]) == ("respond", 302), result
    return result["headers"]["location"][0]


def asked(result: Result) -> dict[str, str]:
    """The parameters that a browser takes along to sign in."""
    parts = urlsplit(location(result))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{CONSOLE}/edge/sign-in"
    found = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def encoded(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).rstrip(b"=").decode()


def came_back(value: str, path: str = ORDER) -> str:
    return f"/.sallyport/callback?token={value}&state={encoded(path)}"


def pending(secret: str = SECRET) -> dict[str, list[str]]:
    return {"Cookie": [f"{SIGN_IN}={secret}"]}


EDGE_TOKEN = FORGE.make(
    {"iss": CONSOLE, "aud": "sallyport-edge", "sub": "person:ben", "iat": NIGHT, "exp": NIGHT + 300},
    TokenFault.NONE,
    NIGHT,
).values[0]
