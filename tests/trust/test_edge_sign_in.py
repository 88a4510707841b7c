"""Where the edge sends browsers: to hosts that the catalogue knows and nowhere else, with a session for one browser."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.conf import LazySettings, settings
from django.test import Client
from joserfc import jwt
from joserfc.jwk import KeySet

from apps.audit.actors import SYSTEM
from apps.catalog.models import Exposure, Service
from apps.compiler.emitters.edgekv import GROUP, emit_item
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.graph import AccessGraph, EdgeExposure, Grant, Point, Route, Subject, SubjectKind
from apps.compiler.graph import Service as GraphService
from apps.compiler.surroundings import EdgeSurroundings
from apps.compiler.tokens import EDGE_SESSION_TYPE
from apps.identity import services as identity
from apps.localedge.runner import EdgeRunner
from apps.trust import selectors, services
from apps.trust.checks import check_edge_url
from apps.trust.models import Purpose, TokenCount
from tests.factories import access
from tests.factories.identity import agent, person, user

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
HOST = "api.shop.localhost"
CHALLENGE = "c" * 43
ASKED = {"host": HOST, "challenge": CHALLENGE, "state": "L3g"}
FROM_THE_EDGE = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(autouse=True)
def shop() -> access.Shop:
    services.ensure_keys(at=NOW)
    return access.shop()


@pytest.fixture
def ada(shop: access.Shop) -> Client:
    client = Client()
    client.force_login(user(shop.ada))
    return client


def sent_back(client: Client, **changed: str) -> tuple[str, dict[str, str]]:
    """The address without its query, and the query."""
    answer = client.get("/edge/sign-in", {**ASKED, **changed}, headers=FROM_THE_EDGE)
    assert answer.status_code == 302, answer.content
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    parts = urlsplit(answer.headers["Location"])
    found = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {name: value for name, [value] in found.items()}


def test_somebody_signed_in_goes_straight_back_with_a_session_for_that_host_and_browser(ada: Client) -> None:
    address, query = sent_back(ada)
    assert address == f"https://{HOST}/.sallyport/callback"
    assert query.keys() == {"token", "state"}
    assert query["state"] == "L3g"
    keys = KeySet.import_key_set(ada.get("/.well-known/jwks.json").json())
    found = jwt.decode(query["token"], keys, algorithms=["ES256"])
    assert found.header["typ"] == EDGE_SESSION_TYPE
    claims = found.claims
    assert claims.pop("exp") - claims.pop("iat") == settings.SALLYPORT_EDGE_TOKEN_SECONDS
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": settings.SALLYPORT_URL,
        "aud": HOST,
        "sub": "person:ada",
        "client_id": "browser",
        "cnf": {"s256": CHALLENGE},
    }
    assert TokenCount.objects.get().client_id == "browser"


def test_nobody_signs_in_first_and_comes_back_here(client: Client) -> None:
    answer = client.get("/edge/sign-in", ASKED, headers=FROM_THE_EDGE)
    back = quote(f"/edge/sign-in?host={HOST}&challenge={CHALLENGE}&state=L3g", safe="/")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/sign-in/?next={back}")
    assert TokenCount.objects.count() == 0


def test_after_the_form_that_signs_in_a_page_leads_on(client: Client, shop: access.Shop) -> None:
    """Forms may lead to the console alone, and a redirect after one would count as such."""
    at = f"/edge/sign-in?host={HOST}&challenge={CHALLENGE}&state="
    answer = client.post(f"/demo/sign-in/{shop.ada.key}", {"next": at})
    assert answer.headers["Location"] == at
    page = client.get(at, headers={"Sec-Fetch-Site": "same-origin"})
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    text = page.content.decode()
    assert text.count(f"https://{HOST}/.sallyport/callback?token=") == 2
    assert '<meta http-equiv="refresh" content="0;url=https://' in text


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        f"{HOST}.evil.test",
        f"evil.test/{HOST}",
        f"{HOST}@evil.test",
        f"{HOST}:8080",
        f"{HOST}.",
        f".{HOST}",
        HOST.upper(),
        f" {HOST}",
        f"{HOST}\n",
        f"{HOST}/",
        f"{HOST}/x",
        f"{HOST}#",
        f"{HOST}?",
        f"{HOST}\\@evil.test",
        "//evil.test",
        "https://evil.test",
        "shop.localhost",
        "*",
        "{host}",
        "\x00",
        "",
    ],
)
def test_only_a_published_host_is_sent_back_to(ada: Client, host: str) -> None:
    answer = ada.get("/edge/sign-in", {**ASKED, "host": host}, headers=FROM_THE_EDGE)
    assert (answer.status_code, "Location" in answer.headers) == (404, False)
    assert TokenCount.objects.count() == 0


def test_a_host_whose_last_service_retired_is_published_no_more(ada: Client) -> None:
    sent_back(ada)
    Service.objects.update(retired_at=NOW)
    assert ada.get("/edge/sign-in", ASKED, headers=FROM_THE_EDGE).status_code == 404
    Service.objects.update(retired_at=None)
    Exposure.objects.filter(point="edge").delete()
    assert ada.get("/edge/sign-in", ASKED, headers=FROM_THE_EDGE).status_code == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"challenge": ""},
        {"challenge": "c" * 42},
        {"challenge": "c" * 44},
        {"challenge": "c" * 42 + "="},
        {"challenge": "c" * 43 + "\n"},
        {"state": "//evil.test"},
        {"state": "a&b"},
        {"state": "x" * 2001},
        {"state": "\x00"},
    ],
)
def test_what_no_edge_of_ours_asks_is_refused(ada: Client, changed: dict[str, str]) -> None:
    answer = ada.get("/edge/sign-in", {**ASKED, **changed}, headers=FROM_THE_EDGE)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_an_address_is_not_taken_from_the_request(ada: Client) -> None:
    evil = {"redirect_uri": "https://evil.test", "next": "https://evil.test", "url": "//evil.test"}
    assert sent_back(ada, **evil)[0] == f"https://{HOST}/.sallyport/callback"


def test_it_is_read_with_get_alone(ada: Client) -> None:
    assert ada.post("/edge/sign-in", ASKED).status_code == 405


def test_the_suspended_get_none(ada: Client, shop: access.Shop) -> None:
    identity.suspend_subject(key=shop.ada.key, actor=SYSTEM, at=NOW)
    assert ada.get("/edge/sign-in", ASKED, headers=FROM_THE_EDGE).headers["Location"].startswith("/sign-in/")
    assert TokenCount.objects.count() == 0


def test_an_agent_of_a_suspended_owner_gets_none() -> None:
    dan = person("dan")
    client = Client()
    client.force_login(user(agent(name="dans-bot", owner=dan)))
    identity.suspend_subject(key=dan.key, actor=SYSTEM, at=NOW)
    assert client.get("/edge/sign-in", ASKED, headers=FROM_THE_EDGE).headers["Location"].startswith("/sign-in/")


def test_sessions_count_among_the_tokens_of_a_minute(ada: Client, settings: LazySettings) -> None:
    settings.SALLYPORT_TOKENS_PER_MINUTE = 1
    sent_back(ada)
    answers = {ada.get("/edge/sign-in", ASKED, headers=FROM_THE_EDGE).status_code for _ in range(3)}
    assert 429 in answers


# -- there and back, with the code that runs at the edge -----------------------------------------------------------
def test_a_browser_goes_through_edge_and_console_and_is_let_in(ada: Client) -> None:
    at = int(datetime.now(UTC).timestamp())
    with EdgeRunner(*bundle(at)) as edge:
        going = {"Accept": ["text/html"]}
        begun = edge.run({"host": HOST, "path": "/payments/list?page=2", "headers": going}, now=at)
        secret = begun["headers"]["set-cookie"][0].partition("=")[2].partition(";")[0]
        to_console = urlsplit(begun["headers"]["location"][0])
        assert f"{to_console.scheme}://{to_console.netloc}" == settings.SALLYPORT_URL
        answer = ada.get(f"{to_console.path}?{to_console.query}", headers=FROM_THE_EDGE)
        to_edge = urlsplit(answer.headers["Location"])
        pending = {"Cookie": [f"__Host-sallyport-sign-in={secret}"]}
        back = {"host": to_edge.netloc, "path": f"{to_edge.path}?{to_edge.query}", "headers": {**going, **pending}}
        arrived = edge.run(back, now=at)
        assert arrived["headers"]["location"] == [f"https://{HOST}/payments/list?page=2"]
        session = arrived["headers"]["set-cookie"][0].partition(";")[0]
        inside = edge.run({"host": HOST, "path": "/payments/list", "headers": {"Cookie": [session]}}, now=at)
    assert inside["action"] == "forward", inside


def bundle(at: int) -> tuple[dict[str, bytes], dict[tuple[str, str, str], str]]:
    """An edge that believes this console's keys, where Ada may read the list of payments."""
    around = EdgeSurroundings(
        issuer=settings.SALLYPORT_URL,
        audience=settings.SALLYPORT_EDGE_AUDIENCE,
        token_keys=selectors.verify_keys(Purpose.EDGE_TOKEN),
        context_issuer="edge:edge",
        context_audience="mesh:shop",
        context_key=selectors.active_key(Purpose.CONTEXT),
        salt="salt",
        namespace="sallyport",
        console_url=settings.SALLYPORT_URL,
        edge_url=settings.SALLYPORT_EDGE_URL,
    )
    payments = GraphService(
        "payments", "Payments", (Route("list", frozenset({"GET"}), "/list"),), EdgeExposure(HOST, "/payments")
    )
    graph = AccessGraph(
        subjects={"person:ada": Subject("person:ada", SubjectKind.PERSON, "Ada")},
        services={"payments": payments},
        grants=(Grant("g1", "person:ada", "payments", frozenset({"list"}), frozenset({Point.EDGE}), at - 10, at + 60),),
    )
    item = emit_item(graph, "payments", around)
    files = {artifact.path: artifact.content for artifact in emit_code(graph, around)}
    return files, {("sallyport", GROUP, "payments"): item.content.decode()}


@pytest.mark.parametrize(
    ("url", "demo", "wrong"),
    [
        ("https://{host}", False, []),
        ("https://{host}:8443", False, []),
        ("http://{host}:8080", True, []),
        ("http://{host}:8080", False, ["trust.E002"]),
        ("https://{host}/", False, ["trust.E001"]),
        ("https://{host}@evil.test", False, ["trust.E001"]),
        ("https://edge.test", False, ["trust.E001"]),
        ("{host}", True, ["trust.E001"]),
    ],
)
def test_where_browsers_come_back_to_is_checked_at_start(
    settings: LazySettings, url: str, demo: bool, wrong: list[str]
) -> None:
    settings.SALLYPORT_EDGE_URL, settings.SALLYPORT_DEMO, settings.SALLYPORT_PLAIN_HTTP = url, demo, False
    assert [one.id for one in check_edge_url()] == wrong
