"""An issuer of workload tokens on the loopback: it signs what a test tells it to, in the words of whom it plays."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

AUDIENCE = "http://127.0.0.1:8000"
ACCOUNT = "123456789012"
AWS = "https://sts.amazonaws.com/"

RSA, EC = RSAKey.generate_key(2048, {"kid": "w1"}), ECKey.generate_key("P-384", {"kid": "w2"})

PLAYS: dict[str, dict[str, Any]] = {
    "aws": {
        "sub": f"arn:aws:iam::{ACCOUNT}:role/payments",
        AWS: {
            "aws_account": ACCOUNT,
            "source_region": "eu-central-1",
            "org_id": "o-example",
            "principal_tags": {"env": "prod"},
            "request_tags": {"env": "prod", "job": "nightly"},
        },
    },
    "eks": {
        "sub": "system:serviceaccount:shop:payments",
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "payments"}},
    },
    "github": {
        "sub": "repo:shop/web:ref:refs/heads/main",
        "repository": "shop/web",
        "repository_owner": "shop",
        "repository_owner_id": "4242",
        "ref": "refs/heads/main",
        "ref_protected": "true",
    },
    "gitlab": {
        "sub": "project_path:shop/web:ref_type:branch:ref:main",
        "namespace_path": "shop",
        "ref": "main",
        "ref_protected": "true",
    },
}


@dataclass
class Issuer:
    issuer: str
    key: RSAKey = field(default_factory=lambda: RSA)
    ec: ECKey = field(default_factory=lambda: EC)
    calls_itself: str = ""

    def token(self, plays: str, *, ec: bool = False, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """``changed`` is laid over what an honest issuer would say; None takes a claim away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": [AUDIENCE] if plays == "eks" else AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": uuid4().hex,
            **PLAYS[plays],
            **changed,
        }
        key: RSAKey | ECKey = self.ec if ec else self.key
        alg = "ES384" if ec else "RS256"
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": alg, "typ": "JWT", "kid": key.kid, **(header or {})}, said, key, algorithms=[alg])

    def answer(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.calls_itself or self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return KeySet([self.key, self.ec]).as_dict(private=False) if path == "/keys" else {}


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the base class
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(issuer=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
