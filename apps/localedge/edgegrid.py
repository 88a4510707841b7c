"""Checks EdgeGrid signatures (EG1-HMAC-SHA256): who calls, what, when, and that nobody recorded it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NoReturn

from apps.localedge.config import Credential
from apps.localedge.http import Problem, Request

CLOCK_SKEW_SECONDS = 30
MAX_BODY = 131_072
_HEADER = re.compile(
    r"EG1-HMAC-SHA256 client_token=(?P<client_token>[^;]+);access_token=(?P<access_token>[^;]+);"
    r"timestamp=(?P<timestamp>\d{8}T\d\d:\d\d:\d\d\+0000);nonce=(?P<nonce>[^;]+);signature=(?P<signature>[^;]+)"
)


def signing_key(client_secret: str, timestamp: str) -> str:
    return _hmac(client_secret, timestamp)


def content_hash(method: str, body: bytes) -> str:
    """Only the body of a POST is signed, and of that only the beginning."""
    if method != "POST" or not body:
        return ""
    return base64.b64encode(hashlib.sha256(body[:MAX_BODY]).digest()).decode()


def signature(credential: Credential, request: Request, signed_header: str, timestamp: str) -> str:
    """``signed_header`` is the Authorization value up to and including the nonce's semicolon."""
    path, _, query = request.target.partition("?")
    fields = (
        request.method,
        request.scheme,
        request.headers.get("host", ""),
        f"{path}?{query}" if query else path,
        "",  # the headers to sign: Akamai has clients sign none
        content_hash(request.method, request.body),
        signed_header,
    )
    return _hmac(signing_key(credential.client_secret, timestamp), "\t".join(fields))


def _hmac(key: str, message: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()


class Verifier:
    """Thread-safe. Nonces are remembered for as long as their timestamp would be accepted."""

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        self._credentials = {credential.client_token: credential for credential in credentials}
        self._nonces: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def caller(self, request: Request, at: float) -> str:
        """The client token of whoever signed the request; a Problem (401) says what is wrong."""
        header = request.headers.get("authorization", "")
        match = _HEADER.fullmatch(header)
        if match is None:
            _refuse("The authorization header is missing or malformed", request)
        credential = self._credential(match.groupdict())
        if credential is None:
            _refuse("The client token or the access token is unknown", request)
        expected = signature(
            credential, request, header[: match.start("signature") - len("signature=")], match["timestamp"]
        )
        if not hmac.compare_digest(expected, match["signature"]):
            _refuse("The signature does not match", request)
        self._fresh(credential, match["timestamp"], match["nonce"], request, at)
        return credential.client_token

    def _credential(self, given: Mapping[str, str]) -> Credential | None:
        credential = self._credentials.get(given["client_token"])
        if credential is None or not hmac.compare_digest(credential.access_token, given["access_token"]):
            return None
        return credential

    def _fresh(self, credential: Credential, timestamp: str, nonce: str, request: Request, at: float) -> None:
        """After the signature, so that nobody can fill the memory with nonces that are not theirs."""
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H:%M:%S%z").astimezone(UTC).timestamp()
        if abs(at - signed_at) > CLOCK_SKEW_SECONDS:
            _refuse("Invalid timestamp", request)
        with self._lock:
            self._nonces = {known: until for known, until in self._nonces.items() if until >= at}
            key = (credential.client_token, nonce)
            if key in self._nonces:
                _refuse("The nonce was used before", request)
            self._nonces[key] = at + 2 * CLOCK_SKEW_SECONDS


def _refuse(detail: str, request: Request) -> NoReturn:
    raise Problem(
        401,
        {
            "type": "https://problems.luna.akamaiapis.net/-/pep-authn/deny",
            "title": "Not authorized",
            "status": 401,
            "detail": detail,
            "instance": request.path,
            "method": request.method,
        },
    )
