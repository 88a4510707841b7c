"""A small OpenID provider on the loopback: it signs what a test tells it to, honest or not."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from apps.audit.actors import SYSTEM
from apps.identity import services
from apps.identity.models import Provider as Row
from apps.identity.providers.discovery import examine
from apps.identity.providers.keys import keys_at
from tests.factories.identity import AT

CLIENT_ID, CLIENT_SECRET = "console", "client-secret"


@cache
def usual_key() -> RSAKey:
    """Made once: making one takes longer than most tests."""
    return rsa_key()


def rsa_key(kid: str = "k1") -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


def ec_key(kid: str = "e1") -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


def half_hash(access_token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).rstrip(b"=").decode()


@dataclass(frozen=True)
class Status:
    """An answer with another status than 200."""

    code: int
    body: dict[str, Any]


@dataclass
class Provider:
    """``claims`` and ``userinfo`` are laid over what an honest provider would say; None removes a claim.

    It gives a refresh token to whoever asked for one, takes each once and gives another; a used one spoils them all.
    ``renewed`` is laid over the claims of tokens that come for a refresh token.
    """

    issuer: str
    key: RSAKey = field(default_factory=usual_key)
    published: list[Any] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    cache_control: str = ""
    broken: set[str] = field(default_factory=set)
    redirect: str = ""
    said_instead: Any = ...
    refresh_tokens: list[str] = field(default_factory=list)
    renewed: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    nonce: str = ""
    scope: str = ""
    at: int | None = None

    ACCESS_TOKEN: ClassVar[str] = "opaque-access-token"

    def id_token(self, changes: dict[str, Any] | None = None) -> str:
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
        said |= changes or {}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, said, self.key)

    def renew(self, form: dict[str, str]) -> Any:
        if not self.refresh_tokens or form["refresh_token"] != self.refresh_tokens[-1]:
            self.refresh_tokens = []
            return Status(400, {"error": "invalid_grant"})
        return self.tokens({"nonce": None} | self.renewed)

    def tokens(self, changes: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = {"access_token": self.ACCESS_TOKEN, "id_token": self.id_token(changes), "token_type": "Bearer"}
        if "offline_access" in self.scope:
            self.refresh_tokens.append(f"refresh-{len(self.refresh_tokens) + 1}")
            answer["refresh_token"] = self.refresh_tokens[-1]
        return answer

    def answer(self, path: str, form: dict[str, str]) -> Any:
        if path == "/.well-known/openid-configuration":
            return self.document()
        if path == "/keys":
            return KeySet(self.published or [self.key]).as_dict(private=False)
        if path == "/token" and self.said_instead is not ...:
            return self.said_instead
        if path == "/token":
            return self.renew(form) if form["grant_type"] == "refresh_token" else self.tokens()
        if path == "/revoke":
            return {}
        return {"sub": "00u1", "name": "Ada Lovelace", "email": "ada@shop.test"} | self.userinfo

    def send_back(self, path: str) -> str:
        """Where a browser is sent that came to sign in: straight back, as somebody whom the provider knows already."""
        asked = parse_qs(urlsplit(path).query)
        if not path.startswith("/authorize?"):
            return ""
        self.nonce = asked["nonce"][0]
        return f"{asked['redirect_uri'][0]}?{urlencode({'code': 'c0de', 'state': asked['state'][0]})}"

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def document(self) -> dict[str, Any]:
        """What it says about itself, with ``metadata`` laid over; None removes something."""
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/end",
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
        } | self.metadata
        return {name: value for name, value in said.items() if value is not None}

    def logout_token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        } | claims
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, "typ": "logout+jwt"} | (header or {}), said, self.key)


def facts(issuer: str, **changes: Any) -> services.ProviderFacts:
    usual: dict[str, Any] = {"name": "Acme Okta", "issuer": issuer, "client_id": CLIENT_ID, "groups_claim": ["groups"]}
    return services.ProviderFacts(**(usual | changes))


def set_up(there: Provider, slug: str = "okta", **changes: Any) -> Row:
    """Added, tested and switched on, as an administrator would."""
    keys_at.cache_clear()
    row = services.add_provider(
        slug=slug, facts=facts(there.issuer, **changes), client_secret=CLIENT_SECRET, actor=SYSTEM, at=AT
    )
    report = examine(row, at=datetime.now(UTC))
    assert report.is_usable, report
    services.note_discovery(slug=slug, endpoints=report.endpoints, actor=SYSTEM, at=AT)
    return services.switch_provider(slug=slug, enabled=True, actor=SYSTEM, at=AT)


def begin(client: Client, provider: Provider, slug: str = "okta", **query: str) -> dict[str, list[str]]:
    """To the provider and no further; gives what we asked it for."""
    away = client.get(f"/oidc/{slug}/authenticate/", {"next": "/access/", **query})
    assert away.status_code == 302, away.status_code
    asked = parse_qs(urlsplit(away["Location"]).query)
    provider.nonce, provider.scope = asked["nonce"][0], asked["scope"][0]
    return asked


def sign_in(client: Client, provider: Provider, slug: str = "okta", **extra: str) -> Any:
    state = begin(client, provider, slug)["state"][0]
    return client.get(f"/oidc/{slug}/callback/", {"code": "c0de", "state": state, **extra})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


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
            answer = provider.answer(self.path, form)
            redirect = provider.redirect or provider.send_back(self.path)
            status, said = (answer.code, answer.body) if isinstance(answer, Status) else (200, answer)
            body = b"out of order" if broken else json.dumps(said).encode()
            self.send_response(503 if broken else 302 if redirect else status)
            if redirect:
                self.send_header("Location", redirect)
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
