"""Signed requests that are wrong in one thing, each refused with its reason before anybody is asked about it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import Credentials

from apps.identity.proofs import aws_request, aws_sts
from apps.identity.proofs.outcome import ProofRefused
from tests.identity.proofs.aws import BODY, FORM, HOST, SERVER_ID, Signed, pack, sign

AT = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)
ROLE = Credentials("ASIAIOSFODNN7EXAMPLE", "secret", "a-session-token")
REGIONS = ("eu-central-1", "us-east-1")

Bend = Callable[[Signed], object]


def read(token: str, at: datetime = AT) -> aws_request.SignedRequest:
    return aws_request.read(token, server_id=SERVER_ID, regions=REGIONS, at=at)


def signed(**how: object) -> Signed:
    return sign(ROLE, at=how.pop("at", AT), **how)  # type: ignore[arg-type]


def header(name: str, value: object) -> Bend:
    return lambda one: one.headers.update({name: value})  # type: ignore[dict-item]


def without(name: str) -> Bend:
    return lambda one: one.headers.pop(name)


def authorization(old: str, new: str) -> Bend:
    def bend(one: Signed) -> None:
        assert old in one.headers["Authorization"]
        one.headers["Authorization"] = one.headers["Authorization"].replace(old, new)

    return bend


def part(name: str, value: object) -> Bend:
    return lambda one: setattr(one, name, value)


NOT_SIGNED = "is not among the SignedHeaders"
SIGNATURE = "not a Signature Version 4"
MISSING = "is missing"

BENT: dict[str, tuple[Bend, str]] = {
    "GET": (part("method", "GET"), "method must be POST"),
    "small post": (part("method", "post"), "method must be POST"),
    "no method": (part("method", None), "must hold method"),
    "method a list": (part("method", ["POST"]), "are texts"),
    "another host": (part("url", "https://sts.evil.test/"), f"not https://{HOST}/"),
    "host as user": (part("url", f"https://{HOST}@evil.test/"), f"not https://{HOST}/"),
    "host as prefix": (part("url", f"https://{HOST}.evil.test/"), f"not https://{HOST}/"),
    "another port": (part("url", f"https://{HOST}:8443/"), f"not https://{HOST}/"),
    "plain http": (part("url", f"http://{HOST}/"), f"not https://{HOST}/"),
    "capital host": (part("url", f"https://{HOST.upper()}/"), f"not https://{HOST}/"),
    "a path": (part("url", f"https://{HOST}/../x"), f"not https://{HOST}/"),
    "two slashes": (part("url", f"https://{HOST}//"), f"not https://{HOST}/"),
    "another service's host": (part("url", "https://iam.amazonaws.com/"), f"not https://{HOST}/"),
    "another region's host": (part("url", "https://sts.us-east-1.amazonaws.com/"), f"not https://{HOST}/"),
    "the global host of another region": (part("url", "https://sts.amazonaws.com/"), f"not https://{HOST}/"),
    "the metadata service": (part("url", "http://169.254.169.254/"), f"not https://{HOST}/"),
    "a query": (part("url", f"https://{HOST}/?Action=AssumeRole"), "no query"),
    "an empty query": (part("url", f"https://{HOST}/?"), "no query"),
    "a fragment": (part("url", f"https://{HOST}/#x"), "no query"),
    "another action": (part("body", "Action=AssumeRole&Version=2011-06-15"), "body must be Action=GetCallerIdentity"),
    "two actions": (part("body", BODY + "&Action=AssumeRole"), "body must be Action"),
    "another version": (part("body", "Action=GetCallerIdentity&Version=2010-01-01"), "body must be Action"),
    "no version": (part("body", "Action=GetCallerIdentity"), "body must be Action"),
    "a further key": (part("body", BODY + "&RoleArn=x"), "body must be Action"),
    "an empty body": (part("body", ""), "not a form|body must be"),
    "a body that is JSON": (part("body", '{"Action": "GetCallerIdentity"}'), "not a form"),
    "a long body": (part("body", BODY + "&" * 300), "too long"),
    "a body with umlauts": (part("body", BODY + "&ü=1"), "too long"),
    "a body with a line end": (part("body", BODY + "\r\n"), "body must be Action"),
    "another content type": (header("Content-Type", "application/json"), "content type is not"),
    "another charset": (header("Content-Type", FORM + "; charset=utf-16"), "content type is not"),
    "no content type": (without("Content-Type"), MISSING),
    "a wrong length": (header("Content-Length", "5"), "Content-Length is not"),
    "another Host": (header("Host", "evil.test"), "Host header is not"),
    "a server id that differs": (header("X-Sallyport-Server-Id", "https://elsewhere.test"), "Server-Id is not"),
    "a server id with a slash more": (header("X-Sallyport-Server-Id", SERVER_ID + "/"), "Server-Id is not"),
    "no server id": (without("X-Sallyport-Server-Id"), MISSING),
    "an empty server id": (header("X-Sallyport-Server-Id", ""), MISSING),
    "a second server id": (header("x-sallyport-server-id", SERVER_ID), "is there twice"),
    "a server id that is not signed": (authorization(";x-sallyport-server-id", ""), NOT_SIGNED),
    "a date that is not signed": (authorization("x-amz-date;", ""), NOT_SIGNED),
    "a host that is not signed": (authorization("host;", ""), NOT_SIGNED),
    "a session token that is not signed": (authorization("x-amz-security-token;", ""), "sent but not signed"),
    "a session token that is not sent": (without("X-Amz-Security-Token"), "signed but not sent"),
    "signed twice": (authorization("host;", "host;host;"), "not sorted"),
    "not sorted": (authorization("content-type;host", "host;content-type"), "not sorted"),
    "signed and unknown": (authorization("host;", "host;x-a;"), "signed but not sent"),
    "authorization signed": (authorization("content-type;", "authorization;content-type;"), "authorization cannot be"),
    "a header AWS acts on": (header("X-Amz-Target", "AssumeRole"), "x-amz-target may not be sent"),
    "expires": (header("X-Amz-Expires", "604800"), "x-amz-expires may not be sent"),
    "forwarded": (header("X-Forwarded-Host", "evil.test"), "x-forwarded-host may not be sent"),
    "connection": (header("Connection", "x-amz-date"), "connection may not be sent"),
    "transfer encoding": (header("Transfer-Encoding", "chunked"), "transfer-encoding may not be sent"),
    "cookie": (header("Cookie", "a=b"), "cookie may not be sent"),
    "expect": (header("Expect", "100-continue"), "expect may not be sent"),
    "a header with a colon": (header("host:evil", "x"), "may not be sent"),
    "a header with a line end": (header("User-Agent", "x\r\nHost: evil.test"), "not a plain text"),
    "a header with a zero": (header("User-Agent", "x\x00"), "not a plain text"),
    "a header that is a list": (header("User-Agent", ["x"]), "not a plain text"),
    "a long header": (header("User-Agent", "x" * 8193), "not a plain text"),
    "headers a list": (part("headers", [["Host", HOST]]), "headers an object"),
    "no authorization": (without("Authorization"), MISSING),
    "basic authorization": (header("Authorization", "Basic eDp5"), SIGNATURE),
    "another algorithm": (authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), SIGNATURE),
    "a signature in capitals": (lambda one: _capital(one), SIGNATURE),
    "a short signature": (lambda one: _short(one), SIGNATURE),
    "a second signature": (lambda one: _second(one), SIGNATURE),
    "no signed headers": (lambda one: _unsigned(one), SIGNATURE),
    "another service": (authorization("/sts/", "/iam/"), "is for iam"),
    "another scope": (authorization("/aws4_request", "/aws5_request"), SIGNATURE),
    "a region we do not ask": (authorization("eu-central-1", "ap-east-1"), "ap-east-1 is not one"),
    "a region that is a host": (authorization("eu-central-1", "evil.test"), SIGNATURE),
    "a day that is not the date's": (authorization("/20260302/", "/20260301/"), "another day"),
    "no date": (without("X-Amz-Date"), MISSING),
    "a date in words": (header("X-Amz-Date", "Mon, 02 Mar 2026 09:00:30 GMT"), "X-Amz-Date is not like"),
    "a date that never was": (header("X-Amz-Date", "20260302T256199Z"), "not a moment"),
    "an older date": (header("X-Amz-Date", "20260302T085529Z"), "last five minutes"),
    "a later date": (header("X-Amz-Date", "20260302T090531Z"), "last five minutes"),
}


def _capital(one: Signed) -> None:
    head, _, signature = one.headers["Authorization"].rpartition("=")
    one.headers["Authorization"] = f"{head}={'A' * len(signature)}"


def _short(one: Signed) -> None:
    one.headers["Authorization"] = one.headers["Authorization"][:-1]


def _second(one: Signed) -> None:
    one.headers["Authorization"] += ", Signature=" + "0" * 64


def _unsigned(one: Signed) -> None:
    head, _, rest = one.headers["Authorization"].partition("SignedHeaders=")
    one.headers["Authorization"] = f"{head}SignedHeaders=,{rest.partition(',')[2]}"


def test_there_are_many_of_them() -> None:
    assert len(BENT) >= 70


@pytest.mark.parametrize("name", BENT)
def test_a_request_that_is_wrong_in_one_thing_is_refused(name: str) -> None:
    bend, why = BENT[name]
    one = signed()
    bend(one)
    with pytest.raises(ProofRefused, match=why):
        read(one.packed())


def test_the_honest_one_is_read_and_only_what_was_signed_is_sent_on() -> None:
    one = signed()
    one.headers["User-Agent"] = "curl/8"
    found = read(one.packed())
    assert (found.region, found.host, found.body) == ("eu-central-1", HOST, BODY)
    assert set(found.headers) == {
        "authorization",
        "content-type",
        "x-amz-date",
        "x-amz-security-token",
        "x-sallyport-server-id",
    }


def test_the_global_address_is_us_east_1() -> None:
    assert read(signed(region="us-east-1").packed()).host == "sts.us-east-1.amazonaws.com"
    assert read(signed(region="us-east-1", url="https://sts.amazonaws.com/").packed()).host == "sts.amazonaws.com"


@pytest.mark.parametrize("seconds", [-300, 300, 0])
def test_five_minutes_either_way_are_allowed(seconds: int) -> None:
    assert read(signed(at=AT + timedelta(seconds=seconds)).packed()).host == HOST


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "not base64url"),
        ("!", "not base64url"),
        ("e30", "must hold method"),
        ("e30=", "not base64url"),
        ("W10", "must hold method"),
        ("bnVsbA", "must hold method"),
        ("_w", "not a JSON object"),
        ("A", "not a JSON object"),
        ("A" * 16385, "too long"),
        (pack("x"), "must hold method"),
        (base64.urlsafe_b64encode(b"[" * 12_000).decode(), "not a JSON object"),
        (base64.urlsafe_b64encode(b'{"method": 1' + b"0" * 5000 + b"}").decode().rstrip("="), "not a JSON object"),
        (base64.urlsafe_b64encode(b'{"method":"POST","method":"GET"}').decode().rstrip("="), "not a JSON object"),
    ],
)
def test_what_is_no_request_at_all_is_refused(token: str, why: str) -> None:
    with pytest.raises(ProofRefused, match=why):
        read(token)


def test_a_further_part_is_refused() -> None:
    parts = json.loads(base64.urlsafe_b64decode(signed().packed() + "=="))
    with pytest.raises(ProofRefused, match="must hold method"):
        read(pack(parts | {"proxy": "evil.test"}))


NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def answered(
    arn: str = "arn:aws:sts::123456789012:assumed-role/payments/pod-1",
    user_id: str = "AROAAAAAAAAAAAAAAAAAA:pod-1",
    account: str = "123456789012",
) -> str:
    told = f"<Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{account}</Account>"
    result = f"<GetCallerIdentityResult>{told}</GetCallerIdentityResult>"
    return f'<GetCallerIdentityResponse xmlns="{NAMESPACE}">{result}</GetCallerIdentityResponse>'


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + answered(account="&a;")

ANSWERS = {
    "root": (answered("arn:aws:iam::123456789012:root", "123456789012"), "root user"),
    "a federated user": (answered("arn:aws:sts::123456789012:federated-user/x", "123456789012:x"), "federated user"),
    "two accounts": (answered(account="210987654321"), "two accounts"),
    "two sessions": (answered(user_id="AROAAAAAAAAAAAAAAAAAA:other"), "two sessions"),
    "a user with a session": (answered("arn:aws:iam::123456789012:user/x", "AIDAAAAAAAAAAAAAAAAAA:y"), "two sessions"),
    "another partition": (answered("arn:aws-cn:sts::123456789012:assumed-role/payments/pod-1"), "partition"),
    "no id": (answered(user_id=":pod-1"), "no stable id"),
    "a path in the role": (answered("arn:aws:sts::123456789012:assumed-role/a/b/pod-1"), "Only roles and users"),
    "an account in letters": (answered("arn:aws:sts::x:assumed-role/payments/pod-1"), "Only roles and users"),
    "an empty ARN": (answered(""), "did not say the Arn"),
    "an entity": (BOMB, "not plain XML"),
    "HTML": ("<html/>", "something else than GetCallerIdentityResponse"),
    "another document": ("<?xml version='1.0'?><a/>", "something else"),
    "half a document": (answered()[:-9], "not plain XML"),
    "two results": (answered().replace("<Arn>", "<Arn>x</Arn><Arn>", 1), "did not say the Arn"),
    "JSON": ("{}", "something else"),
    "nothing": ("", "something else"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_exactly_the_expected_one_names_nobody(name: str) -> None:
    text, why = ANSWERS[name]
    with pytest.raises(ProofRefused, match=why):
        aws_sts.caller_of(text, "aws")


def test_a_user_is_named_without_its_path() -> None:
    text = answered("arn:aws:iam::123456789012:user/ci/builds/deployer", "AIDAAAAAAAAAAAAAAAAAA")
    found = aws_sts.caller_of(text, "aws")
    assert (found.kind, found.name, found.stable_id) == ("aws_user", "deployer", "AIDAAAAAAAAAAAAAAAAAA")
