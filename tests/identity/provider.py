"""A small OpenID provider on the loopback: it signs what a test tells it to, honest or not."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "console", "client-secret"


def rsa_key(kid: str = "k1") -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


def ec_key(kid: str = "e1") -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


def half_hash(access_token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).rstrip(b"=").decode()


@dataclass
class Provider:
    """``claims`` and ``userinfo`` are laid over what an honest provider would say; None removes a claim."""

    issuer: str
    key: RSAKey = field(default_factory=rsa_key)
    published: list[Any] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    cache_control: str = ""
    broken: set[str] = field(default_factory=set)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    nonce: str = ""
    at: int | None = None

    ACCESS_TOKEN: ClassVar[str] = "opaque-access-token"

    def id_token(self) -> str:
        now = self.at or int(time.time())
        said: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "00u1",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "at_hash": half_hash(self.ACCESS_TOKEN),
            "preferred_username": "ada@shop.test",
        } | self.claims
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, said, self.key)

    def answer(self, path: str, form: dict[str, str]) -> Any:
        if path == "/keys":
            return KeySet(self.published or [self.key]).as_dict(private=False)
        if path == "/token":
            return {"access_token": self.ACCESS_TOKEN, "id_token": self.id_token(), "token_type": "Bearer"}
        return {"sub": "00u1", "name": "Ada Lovelace", "email": "ada@shop.test"} | self.userinfo

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "OIDC_OP_ISSUER": self.issuer,
            "OIDC_RP_CLIENT_ID": CLIENT_ID,
            "OIDC_RP_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_OP_AUTHORIZATION_ENDPOINT": f"{self.issuer}/authorize",
            "OIDC_OP_TOKEN_ENDPOINT": f"{self.issuer}/token",
            "OIDC_OP_USER_ENDPOINT": f"{self.issuer}/userinfo",
            "OIDC_OP_JWKS_ENDPOINT": f"{self.issuer}/keys",
            "OIDC_TIMEOUT": 2,
            "AUTHENTICATION_BACKENDS": [
                "django.contrib.auth.backends.ModelBackend",
                "apps.identity.views.oidc.ProviderBackend",
            ],
        }


@contextmanager
def running_provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(dict(parse_qsl(body)) | {"authorization": self.headers.get("Authorization", "")})

        def _answer(self, form: dict[str, str]) -> None:
            provider.asked.append((self.path, form))
            broken = self.path in provider.broken
            body = b"out of order" if broken else json.dumps(provider.answer(self.path, form)).encode()
            self.send_response(503 if broken else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            if provider.cache_control:
                self.send_header("Cache-Control", provider.cache_control)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the base class
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(issuer=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
