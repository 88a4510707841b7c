"""A signed GetCallerIdentity request that somebody hands us instead of sending it to AWS.

Whoever can sign it holds the credentials; we send it to AWS and hear who that is. So everything in it that could make
AWS or us do something else is refused here, before a byte is sent: another address, another action, a signature that
was made for another console, one that is old.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from apps.identity.proofs.outcome import ProofRefused, require

SERVER_ID = "x-sallyport-server-id"
LONGEST = 16 * 1024
LONGEST_VALUE = 8 * 1024
WINDOW = timedelta(seconds=300)
VERSION = "2011-06-15"
FORM = "application/x-www-form-urlencoded"

_PARTS = frozenset({"method", "url", "body", "headers"})
_AMZ = frozenset({"x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-user-agent"})
_ALLOWED = frozenset({"host", "content-type", "content-length", "user-agent", "authorization", SERVER_ID}) | _AMZ
_MUST_BE_SIGNED = ("host", "x-amz-date", SERVER_ID)
_OURS_TO_SET = frozenset({"host", "content-length"})
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_DATE = re.compile(r"\d{8}T\d{6}Z")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[A-Za-z0-9]{16,128})/(?P<day>\d{8})/(?P<region>[a-z0-9-]{1,32})"
    r"/(?P<service>[a-z0-9-]{1,32})/aws4_request,"
    r" ?SignedHeaders=(?P<signed>[a-z0-9-]+(?:;[a-z0-9-]+)*), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What may be sent to AWS: nothing in it comes from the sender unchecked."""

    region: str
    host: str
    body: str
    headers: Mapping[str, str]
    digest: str
    """Names the signature among those that were used."""


@dataclass(frozen=True, slots=True)
class _Authorization:
    day: str
    region: str
    signed: tuple[str, ...]
    signature: str


def read(token: str, *, server_id: str, regions: Collection[str], at: datetime) -> SignedRequest:
    """The request in ``token`` (base64url of a JSON object); raises ProofRefused at the first fault."""
    sent = _unpack(token)
    headers = _headers(sent["headers"])
    authorization = _authorization(headers)
    require(authorization.region in regions, f"The region {authorization.region} is not one this console asks.")
    host = _check_address(sent, headers, authorization.region)
    _check_body(sent["body"], headers)
    _check_signed(headers, authorization)
    said = headers[SERVER_ID]
    require(hmac.compare_digest(said, server_id), f"X-Sallyport-Server-Id is not {server_id}.")
    _check_time(headers["x-amz-date"], authorization.day, at)
    kept = {name: headers[name] for name in authorization.signed if name not in _OURS_TO_SET}
    return SignedRequest(
        region=authorization.region,
        host=host,
        body=str(sent["body"]),
        headers={"content-type": headers["content-type"], **kept, "authorization": headers["authorization"]},
        digest=hashlib.sha256(f"aws-sts {authorization.signature}".encode()).hexdigest(),
    )


def hosts(region: str) -> tuple[str, ...]:
    """Where STS answers for a region. The global address is us-east-1's."""
    if region.startswith("cn-"):
        return (f"sts.{region}.amazonaws.com.cn",)
    own = f"sts.{region}.amazonaws.com"
    return (own, "sts.amazonaws.com") if region == "us-east-1" else (own,)


def partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _unpack(token: str) -> dict[str, object]:
    require(
        len(token) <= LONGEST and _BASE64URL.fullmatch(token) is not None, "The proof is not base64url, or too long."
    )
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        sent = json.loads(raw.decode(), object_pairs_hook=_once)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ProofRefused("The proof is not a JSON object in base64url.") from error
    require(isinstance(sent, dict) and sent.keys() == _PARTS, "The proof must hold method, url, body and headers.")
    texts = all(isinstance(sent[name], str) for name in ("method", "url", "body"))
    require(texts and isinstance(sent["headers"], dict), "method, url and body are texts, headers an object.")
    found: dict[str, object] = sent
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A name is there twice.")
    return found


def _headers(sent: object) -> dict[str, str]:
    """By lower-case name. Two spellings of one header would let us check one and AWS read the other."""
    found: dict[str, str] = {}
    for name, value in sent.items() if isinstance(sent, dict) else ():
        lower = name.lower()
        require(lower in _ALLOWED, f"The header {_shown(lower)} may not be sent.")
        require(lower not in found, f"The header {lower} is there twice.")
        good = isinstance(value, str) and len(value) <= LONGEST_VALUE and _VALUE.fullmatch(value) is not None
        require(good, f"The header {lower} is not a plain text.")
        found[lower] = value
    for name in ("authorization", "content-type", "x-amz-date", SERVER_ID):
        require(found.get(name, "") != "", f"The header {name} is missing.")
    return found


def _shown(name: str) -> str:
    return re.sub(r"[^a-z0-9-]", "?", name)[:60]


def _authorization(headers: Mapping[str, str]) -> _Authorization:
    found = _AUTHORIZATION.fullmatch(headers["authorization"])
    if found is None:
        raise ProofRefused("Authorization is not a Signature Version 4 (AWS4-HMAC-SHA256).")
    require(found["service"] == "sts", f"The signature is for {found['service']}, not for sts.")
    return _Authorization(found["day"], found["region"], tuple(found["signed"].split(";")), found["signature"])


def _check_address(sent: Mapping[str, object], headers: Mapping[str, str], region: str) -> str:
    """The host among those we know; what the sender says must only agree with it."""
    require(sent["method"] == "POST", "The method must be POST.")
    url = str(sent["url"])
    require("?" not in url and "#" not in url, "The address must have no query.")
    known = hosts(region)
    found = next((host for host in known if url in {f"https://{host}/", f"https://{host}"}), None)
    if found is None:
        raise ProofRefused(f"The address is not https://{known[0]}/.")
    said = headers.get("host", found)
    require(said == found, f"The Host header is not {found}.")
    return found


def _check_body(body: object, headers: Mapping[str, str]) -> None:
    kind = headers["content-type"].replace(" ", "").lower()
    require(kind in {FORM, f"{FORM};charset=utf-8"}, f"The content type is not {FORM}.")
    text = str(body)
    require(len(text) <= 200 and text.isascii(), "The body is too long.")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ProofRefused("The body is not a form.") from error
    wanted = [("Action", "GetCallerIdentity"), ("Version", VERSION)]
    require(sorted(pairs) == wanted, f"The body must be Action=GetCallerIdentity&Version={VERSION}.")
    length = headers.get("content-length", str(len(text)))
    require(length == str(len(text)), "Content-Length is not the length of the body.")


def _check_signed(headers: Mapping[str, str], authorization: _Authorization) -> None:
    signed = authorization.signed
    require(list(signed) == sorted(set(signed)), "SignedHeaders are not sorted, or one is there twice.")
    for name in _MUST_BE_SIGNED:
        require(name in signed, f"{name} is not among the SignedHeaders.")
    unsigned = sorted(name for name in headers if name in _AMZ and name not in signed)
    require(not unsigned, f"{', '.join(unsigned)} is sent but not signed.")
    absent = sorted(name for name in signed if name not in headers and name not in _OURS_TO_SET)
    require(not absent, f"{', '.join(map(_shown, absent))} is signed but not sent.")
    require("authorization" not in signed, "authorization cannot be signed.")


def _check_time(text: str, day: str, at: datetime) -> None:
    require(_DATE.fullmatch(text) is not None, "X-Amz-Date is not like 20260302T090000Z.")
    try:
        made = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ProofRefused("X-Amz-Date is not a moment.") from error
    require(text[:8] == day, "The signature is for another day than X-Amz-Date.")
    require(abs(at - made) <= WINDOW, "The request was not signed within the last five minutes.")
