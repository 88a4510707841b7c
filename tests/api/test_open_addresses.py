"""Every address that needs no session, thrown rubbish at: no fault of ours, no hanging, and nothing on the record.

Which addresses those are is read from the URL conf, so that a new one is among them by itself.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services, vault
from apps.identity.vault import hash_of
from apps.rollout.services.akamai import streaming
from apps.telemetry import services as telemetry
from apps.trust import services as trust
from console.middleware import OWN_DOORS
from tests.api.world import mesh_target
from tests.factories.access import AT, shop
from tests.factories.edges import edge_stream
from tests.factories.identity import api_token, scim_token
from tests.identity.providers.provider import Provider, running_provider, set_up

pytestmark = pytest.mark.django_db
MANY = int(os.environ.get("SALLYPORT_FUZZ_EXAMPLES", "12"))
"""For each address; a release is thrown 200."""
FEW = max(MANY // 6, 6)
MOST_SECONDS = 10
MOST_RECORDED = 4
"""By one request that proves who sends it."""
API = "api/v1/"
"""Needs a token or a session, and is also tried out by its own schema."""
NODE_TOKEN = "spn_test"


# -- which --------------------------------------------------------------------------------------------------------
def is_open(route: str, view: Callable[..., object]) -> bool:
    return f"/{route}".startswith(OWN_DOORS) or not getattr(view, "login_required", True)


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    """As they are written, with <kind:name> in them. Of Django's own admin only the page that signs in."""
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$").replace("\\Z", "")
        if isinstance(pattern, URLResolver):
            if pattern.namespace == "admin":
                yield f"{route}login/"
            else:
                yield from routes(pattern, route)
        elif isinstance(pattern, URLPattern) and is_open(route, pattern.callback):
            yield route


ROUTES = sorted({*routes(get_resolver()), "<path:nowhere>"})


def test_the_list_holds_what_faces_the_internet() -> None:
    assert {
        "healthz/live",
        "healthz/ready",
        "oidc/<slug:slug>/authenticate/",
        "oidc/<slug:slug>/callback/",
        "oidc/<slug:slug>/backchannel-logout/",
        "oidc/<slug:slug>/jwks.json",
        "signals/<slug:slug>/okta-events",
        "signals/<slug:slug>/global-token-revocation",
        "ssf/events/<slug:slug>",
        "scim/v2/<path:path>",
        "oauth/token",
        ".well-known/jwks.json",
        ".well-known/oauth-authorization-server",
        "agent/v1/bundle",
        "agent/v1/reports",
        "telemetry/v1/events",
        "telemetry/v1/datastream/<slug:slug>",
        "sign-in/",
        "sign-out/",
        "docs/reasons",
        "django-admin/login/",
        "api/v1/decide/",
    } <= set(ROUTES)
    assert not {"settings/providers/", "access/", "audit/"} & set(ROUTES)


# -- rubbish ------------------------------------------------------------------------------------------------------
def listed(names: str) -> list[str]:
    return names.split()


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
PARTS = {
    "slug": st.sampled_from(["okta", "payments", "nobody", "x" * 300, "-", "_"]),
    "int": st.sampled_from(["0", "1", "9" * 30, "9" * 5000]),
}
NAMES = st.sampled_from(
    listed(
        """schemas userName active members Operations op path value emails name externalId displayName meta id groups
        sub_id format iss sub data events eventType uuid target outcome result published jti aud exp iat nbf
        revision digest state error probes identities sha256 workload csr_pem ts rid point verdict reason subject
        service route method host grants status ms probe url headers body filter startIndex count attributes sortBy
        code nonce purpose next slug preset grant_type subject_token subject_token_type actor_token actor_token_type
        client_assertion client_assertion_type client_id client_secret requested_token_type audience resource scope
        logout_token username password action context properties type key routes duration requests comment cursor
        limit q version reqId reqTimeSec statusCode reqHost reqMethod reqPath edgeIP customField turnAroundTimeMSec"""
    )
)
LIKELY = st.sampled_from(
    [
        "okta",
        "person:ada",
        "payments",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "client_credentials",
        "refresh_token",
        "authorization_code",
        "urn:ietf:params:oauth:token-type:access_token",
        "urn:ietf:params:oauth:token-type:jwt",
        "urn:sallyport:token-type:session",
        "urn:sallyport:token-type:aws-sts",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:core:2.0:Group",
        "urn:ietf:params:scim:api:messages:2.0:PatchOp",
        "https://sts.eu-central-1.amazonaws.com/",
        "Action=GetCallerIdentity&Version=2011-06-15",
        "iss_sub",
        "user.lifecycle.deactivate",
        'userName eq "ada"',
        "approve",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
        "members[value eq",
    ]
)
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1e308, -0.0, float("nan"), float("inf")])
STRANGE = st.sampled_from(
    ["\x00", "a\x00b", "\ud800", "\u202e", "\ufeff", "%00", "'", '"', "\\", "../..", "٣", "x" * 9000]
)
WORDS = st.text(max_size=20) | LIKELY | STRANGE
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | WORDS, inner, max_size=5),
    max_leaves=10,
)
OBJECTS = st.dictionaries(NAMES, TREES | LIKELY, max_size=8)
PAIRS = st.lists(
    st.tuples(NAMES, WORDS) | st.tuples(st.just("wait"), st.sampled_from(["nan", "-inf", "inf", "-1", "soon"])),
    max_size=8,
)
"""A node may ask to wait for up to a minute; that is no hanging, so nobody here asks for it."""


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(dumped(part)).rstrip(b"=").decode()


def dumped(tree: object) -> bytes:
    return json.dumps(tree).encode()


def deep(depth: int, opens: str, closes: str) -> bytes:
    return (opens * depth + "1" + closes * depth).encode()


def form_of(pairs: list[tuple[str, str]]) -> bytes:
    return urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs]).encode()


HEADS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "none", "HS256", 7, None])},
    optional={"typ": LIKELY | st.sampled_from(["JWT", "logout+jwt", "secevent+jwt"]), "kid": WORDS, "crit": TREES},
)
TOKENS = st.builds(
    lambda head, claims, mark: f"{encoded(head)}.{encoded(claims)}.{mark}", HEADS, OBJECTS, st.just("AAAA")
)
PROOFS = st.builds(lambda asked: base64.b64encode(dumped(asked)).decode(), OBJECTS)
SECRETS = st.tuples(
    st.sampled_from(["client_assertion", "subject_token", "actor_token", "logout_token"]), TOKENS | PROOFS
)
FORMS = st.builds(lambda pairs, secrets: form_of([*pairs, *secrets]), PAIRS, st.lists(SECRETS, max_size=2))
BODIES: st.SearchStrategy[tuple[bytes, str]] = st.one_of(
    st.tuples(
        st.binary(max_size=200), st.sampled_from(["", "application/json", "text/plain", "a/b; charset=\x80", ";"])
    ),
    st.tuples(OBJECTS.map(dumped), st.sampled_from(["application/json", "application/scim+json", "application/jwt"])),
    st.tuples(TREES.map(dumped), st.sampled_from(["application/json", "application/json; charset=utf-16"])),
    st.tuples(
        st.builds(deep, st.sampled_from([100, 1200, 100_000]), st.just("["), st.just("]"))
        | st.builds(deep, st.sampled_from([100, 1200, 50_000]), st.just('{"a":'), st.just("}")),
        st.sampled_from(["application/json", "application/scim+json"]),
    ),
    st.tuples(
        FORMS, st.sampled_from(["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=x"])
    ),
    st.tuples(TOKENS.map(str.encode), st.sampled_from(["application/secevent+jwt", "application/jwt"])),
    st.tuples(
        st.binary(max_size=60).map(
            lambda raw: b'--b\r\nContent-Disposition: form-data; name="logout_token"\r\n\r\n' + raw
        ),
        st.sampled_from(
            ["multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary=" + "b" * 300]
        ),
    ),
    st.tuples(
        st.lists(OBJECTS, max_size=3).map(lambda lines: b"\n".join(map(dumped, lines))), st.just("application/x-ndjson")
    ),
    st.tuples(st.binary(max_size=50).map(gzip.compress), st.just("application/x-ndjson")),
)
LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=40)
"""What a server hands on: it takes no others off the wire."""
HEADERS = st.dictionaries(
    st.sampled_from(
        listed(
            """Host Accept Accept-Encoding Accept-Language Content-Encoding Content-Length Cookie Referer Origin Range
            If-None-Match If-Modified-Since X-Forwarded-For X-Forwarded-Proto X-Request-Id HX-Request HX-Target
            X-Okta-Verification-Challenge X-CSRFToken X-HTTP-Method-Override Transfer-Encoding Last-Event-ID"""
        )
    ),
    LATIN | st.sampled_from(["gzip", "text/event-stream", "9" * 40, "-1", "a" * 60_000, "bytes=0-", "true", "*/*;q=x"]),
    max_size=4,
)
CALLERS = ("nobody", "rubbish", "basic", "scim", "api", "node", "telemetry", "datastream", "hook")


@dataclass(frozen=True)
class Asked:
    """``caller`` is whose credentials are sent; most know only their own door."""

    method: str
    path: str
    query: str
    body: bytes
    kind: str
    headers: dict[str, str]
    caller: str


@st.composite
def anything_at(draw: st.DrawFn, route: str) -> Asked:
    def part(match: re.Match[str]) -> str:
        kind = (match[1] or "str:").rstrip(":")
        if kind in PARTS:
            return draw(PARTS[kind])
        return quote(draw(WORDS | NAMES).encode("utf-8", "surrogatepass"), safe="/")

    path = re.sub(r"<(\w+:)?\w+>", part, route)
    query = draw(
        st.one_of(st.just(b""), PAIRS.map(form_of), st.sampled_from([b"%ff=%00&&&=", b"a=1&a=2&a[]=3&" * 200]))
    )
    body, kind = draw(BODIES)
    return Asked(
        method=draw(st.sampled_from(METHODS)),
        path=f"/{path}",
        query=query.decode("latin-1"),
        body=body,
        kind=kind,
        headers=draw(HEADERS),
        caller=draw(st.sampled_from(CALLERS)),
    )


def is_believable(length: str) -> bool:
    """A server waits for as much as was announced, so fewer bytes than that are never handed on."""
    try:
        return 0 <= int(length) < 10**9
    except ValueError:
        return False


# -- throwing it --------------------------------------------------------------------------------------------------
@dataclass
class Console:
    """The credentials of each caller that has some."""

    shown: dict[str, str]
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def ask(self, asked: Asked) -> Any:
        headers = dict(asked.headers)
        if asked.caller != "nobody":
            headers["Authorization"] = self.shown[asked.caller]
        extra = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        length = extra.pop("HTTP_CONTENT_LENGTH", "")
        if length and not is_believable(length):
            extra["CONTENT_LENGTH"] = length
        self.client.cookies.clear()
        return self.client.generic(asked.method, asked.path, asked.body, asked.kind, QUERY_STRING=asked.query, **extra)


@pytest.fixture(scope="module")
def directory() -> Iterator[Provider]:
    with running_provider() as started:
        yield started


@pytest.fixture
def console(directory: Provider, settings: LazySettings) -> Iterator[Console]:
    settings.SALLYPORT_AWS_REGIONS = ["eu-central-1"]
    settings.SALLYPORT_AWS_STS_URL = directory.issuer
    settings.SALLYPORT_PLAIN_HTTP = True
    there = shop()
    row = set_up(directory)
    source = {"issuer": directory.issuer, "jwks_uri": f"{directory.issuer}/keys", "audience": "us"}
    services.set_signal_source(provider_slug="okta", actor=SYSTEM, at=AT, **source)
    trust.ensure_keys(at=AT)
    node = mesh_target().nodes.get()
    node.token_hash = hash_of(NODE_TOKEN)
    node.save()
    shown = {
        "rubbish": "Bearer \xff\x01 nonsense",
        "basic": "Basic " + base64.b64encode(b"\xff:\x00").decode(),
        "scim": f"Bearer {scim_token(row)}",
        "api": f"Bearer {api_token(there.ada)[1]}",
        "node": f"Bearer {NODE_TOKEN}",
        "telemetry": f"Bearer {telemetry.register_source(name='fuzz', actor=SYSTEM, at=AT)}",
        "datastream": datastream_login(),
        "hook": services.issue_hook_secret(provider_slug="okta", actor=SYSTEM, at=AT).plain,
    }
    logging.disable(logging.CRITICAL)
    yield Console(shown)
    logging.disable(logging.NOTSET)


def datastream_login() -> str:
    """Of the stream at an address the fuzz knows by name."""
    stream = edge_stream(AT, slug="okta")
    secret = vault.unseal(streaming.believed(stream)[0].secret_sealed).decode()
    return "Basic " + base64.b64encode(f"okta:{secret}".encode()).decode()


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Whatever takes longer hangs."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def may_leave_something(asked: Asked) -> bool:
    """The demo's one click is a sign-in; everybody else has to prove who they are first."""
    return asked.caller not in {"nobody", "rubbish", "basic"} or asked.path.startswith("/demo/")


@pytest.mark.parametrize("route", ROUTES)
def test_rubbish_is_answered_and_leaves_nothing(console: Console, route: str) -> None:
    @settings(
        max_examples=FEW if route.startswith(API) else MANY,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(asked=anything_at(route))
    def thrown(asked: Asked) -> None:
        before = Event.objects.count()
        with within(MOST_SECONDS):
            answer = console.ask(asked)
            length = sum(map(len, answer)) if answer.streaming else len(answer.content)
        assert answer.status_code < 500, answer.exc_info
        assert length < 2**20
        assert Event.objects.count() - before <= (MOST_RECORDED if may_leave_something(asked) else 0)

    thrown()
