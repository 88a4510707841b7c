"""Shared Signals, pushed: both layouts there are, what each event does, and what is not believed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.identity import handlers, services
from apps.identity.errors import NotAnAdministrator
from apps.identity.models import ReceivedSignal, SignalSource
from apps.identity.signals.refusals import InvalidSource
from apps.outbox.registry import News
from tests.factories import identity
from tests.identity.providers.provider import rsa_key
from tests.identity.signals.world import CAEP, PUSH, RISC, SLUG, World, deliver, is_in, now, recorded, signed_in

pytestmark = pytest.mark.django_db
REVOKED = f"{CAEP}session-revoked"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"


@pytest.fixture(autouse=True)
def listening(there: World) -> None:
    there.listen()


def refused(answer: Any) -> str:
    assert answer.status_code == 400
    said: dict[str, str] = answer.json()
    assert said.keys() == {"err", "description"}
    return said["err"]


def test_a_revoked_session_in_the_layout_of_caep(there: World) -> None:
    browser = signed_in(there.ada)
    answer = there.push(there.set_token({REVOKED: {"event_timestamp": 1_790_000_000}}))
    assert (answer.status_code, answer.content) == (202, b"")
    deliver()
    assert not is_in(browser)
    signal = there.signal()
    assert (signal.kind, signal.outcome, signal.sessions) == ("caep session-revoked", "sessions_ended", 1)
    assert signal.happened_at == datetime.fromtimestamp(1_790_000_000, UTC)


def test_the_same_in_oktas_layout(there: World) -> None:
    """The subject inside of the event, milliseconds, and signed by the organisation's own issuer."""
    org = "https://shop.okta.test"
    there.listen(org)
    browser = signed_in(there.ada)
    event = {
        "subject": {"format": "iss_sub", "iss": org, "sub": "00u1"},
        "event_timestamp": 1_790_000_000_123,
        "initiating_entity": "admin",
    }
    assert there.push(there.set_token({REVOKED: event}, iss=org, sub_id=None)).status_code == 202
    deliver()
    assert not is_in(browser)
    assert there.signal().happened_at == datetime.fromtimestamp(1_790_000_000.123, UTC)


@pytest.mark.parametrize(
    "sub_id",
    [
        {"format": "complex", "user": {"format": "iss_sub", "iss": "{issuer}", "sub": "00u1"}},
        {"user": {"subject_type": "iss-sub", "iss": "{issuer}", "sub": "00u1"}, "device": {}},
    ],
)
def test_a_subject_of_several_parts_names_its_user(there: World, sub_id: dict[str, Any]) -> None:
    browser = signed_in(there.ada)
    sub_id["user"]["iss"] = there.directory.issuer
    assert there.push(there.set_token({REVOKED: {}}, sub_id=sub_id)).status_code == 202
    deliver()
    assert not is_in(browser)


@pytest.mark.parametrize(
    "sub_id",
    [
        {"format": "email", "email": "ada@shop.test"},
        {"format": "opaque", "id": "00u1"},
        {"format": "iss_sub", "iss": "https://elsewhere.test", "sub": "00u1"},
        {"format": "iss_sub", "iss": 7, "sub": "00u1"},
        {"format": "complex", "user": [1]},
        "00u1",
        None,
    ],
)
def test_whoever_is_named_in_another_way_is_nobody_we_know(there: World, sub_id: object) -> None:
    browser = signed_in(there.ada)
    assert there.push(there.set_token({REVOKED: {}}, sub_id=sub_id)).status_code == 202
    deliver()
    assert is_in(browser)
    assert there.signal().outcome == "nobody"


@pytest.mark.parametrize(
    ("events", "outcome", "state"),
    [
        ({f"{CAEP}credential-change": {"change_type": "revoke"}}, "sessions_ended", "active"),
        ({f"{RISC}sessions-revoked": {}}, "sessions_ended", "active"),
        ({f"{RISC}credential-compromise": {}}, "sessions_ended", "active"),
        ({f"{RISC}account-disabled": {"reason": "hijacking"}}, "left", "suspended"),
        ({f"{RISC}account-purged": {}}, "left", "suspended"),
        ({f"{RISC}account-enabled": {}}, "noted", "active"),
        ({f"{SSF}verification": {"state": "abc"}}, "noted", "active"),
        ({"https://elsewhere.test/" + "x" * 300: {}}, "noted", "active"),
        ({"\x00": {}}, "noted", "active"),
        ({REVOKED: {}, f"{RISC}account-purged": {}}, "left", "suspended"),
        ({REVOKED: 7}, "sessions_ended", "active"),
        ({REVOKED: {"event_timestamp": "soon"}}, "sessions_ended", "active"),
        ({REVOKED: {"event_timestamp": -(10**30)}}, "sessions_ended", "active"),
    ],
)
def test_what_each_event_does(there: World, events: dict[str, Any], outcome: str, state: str) -> None:
    assert there.push(there.set_token(events)).status_code == 202
    deliver()
    there.ada.refresh_from_db()
    assert (there.signal().outcome, there.ada.state) == (outcome, state)


def test_the_same_token_twice_acts_once_and_so_does_its_handler(there: World) -> None:
    token = there.set_token({f"{RISC}account-disabled": {}})
    assert there.push(token).status_code == 202
    deliver()
    services.reinstate_subject(key=there.ada.key, actor=SYSTEM, at=now())
    before = recorded()
    assert there.push(token).status_code == 202
    for _ in range(2):
        handlers.signals_received(news=[News(str(there.signal().pk), {})], at=now())
    deliver()
    assert ReceivedSignal.objects.count() == 1
    assert recorded() == before


@pytest.mark.parametrize(
    ("claims", "err"),
    [
        ({"iss": "https://elsewhere.test"}, "invalid_issuer"),
        ({"iss": None}, "invalid_issuer"),
        ({"aud": "https://elsewhere.test"}, "invalid_audience"),
        ({"aud": None}, "invalid_audience"),
        ({"iat": None}, "invalid_key"),
        ({"iat": int(time.time()) - 8 * 24 * 3600}, "invalid_key"),
        ({"exp": int(time.time()) - 120}, "invalid_key"),
        ({"typ": "JWT"}, "invalid_request"),
        ({"typ": "logout+jwt"}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"jti": 7}, "invalid_request"),
        ({"events": None}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"events": [REVOKED]}, "invalid_request"),
    ],
)
def test_a_token_that_is_wrong_in_one_thing_is_refused_with_its_code(
    there: World, claims: dict[str, Any], err: str
) -> None:
    browser = signed_in(there.ada)
    events = claims.pop("events", {REVOKED: {}})
    assert refused(there.push(there.set_token(events, **claims))) == err
    deliver()
    assert is_in(browser)
    assert ReceivedSignal.objects.count() == 0


def test_one_for_several_is_taken_when_we_are_among_them(there: World) -> None:
    """RFC 8417 lets ``aud`` name several; nobody asked for it, so no ``azp`` is there."""
    browser = signed_in(there.ada)
    others = ["https://elsewhere.test", "https://another.test"]
    assert refused(there.push(there.set_token({REVOKED: {}}, aud=others))) == "invalid_audience"
    deliver()
    assert is_in(browser)
    ours = there.set_token({REVOKED: {}}, aud=[others[0], "https://sallyport.shop.test"])
    assert there.push(ours).status_code == 202
    deliver()
    assert not is_in(browser)


def test_one_that_was_late_is_still_taken(there: World) -> None:
    """We were down for a day; the transmitter was patient."""
    late = there.set_token({REVOKED: {}}, iat=int(time.time()) - 24 * 3600)
    assert there.push(late).status_code == 202


def test_a_foreign_signature_is_refused(there: World) -> None:
    own, there.directory.key = there.directory.key, rsa_key("k1")
    forged = there.set_token({REVOKED: {}})
    there.directory.key = own
    assert refused(there.push(forged)) == "invalid_key"
    good = there.set_token({REVOKED: {}})
    assert refused(there.push(good[:-8] + "AAAAAAAA")) == "invalid_key"


@pytest.mark.parametrize("body", [b"", b"x", b"a.b.c", b"{}", b"\xff" * 30, b"..", b"a" * 33_000, b"W1td.W1td.W1td"])
def test_what_is_no_token_is_an_invalid_request(there: World, body: bytes) -> None:
    assert refused(there.push(body)) == "invalid_request"


def test_without_a_transmitter_there_is_nothing_to_take(there: World) -> None:
    token = there.set_token({REVOKED: {}})
    services.forget_signal_source(provider_slug=SLUG, actor=SYSTEM, at=now())
    assert refused(there.push(token)) == "access_denied"
    assert refused(Client().post("/ssf/events/other", b"", content_type="application/secevent+jwt")) == "access_denied"
    assert Client().get(PUSH).status_code == 405


class TestSources:
    def set(self, actor: Any = SYSTEM, **changes: Any) -> SignalSource:
        values = {
            "issuer": "https://a.test",
            "jwks_uri": "https://a.test/keys",
            "audience": "us",
            "algorithms": ["RS256"],
        }
        return services.set_signal_source(provider_slug=SLUG, actor=actor, at=now(), **(values | changes))

    def test_setting_the_same_again_records_nothing(self) -> None:
        self.set()
        before = recorded()
        self.set()
        assert recorded() == before
        assert before[-1] == "identity.signals.source_set"

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": ""},
            {"audience": "x" * 301},
            {"jwks_uri": "ftp://a.test"},
            {"jwks_uri": "https://"},
            {"jwks_uri": "http://[::1"},
            {"algorithms": ["HS256"]},
            {"algorithms": ["none"]},
            {"algorithms": []},
        ],
    )
    def test_what_cannot_be_safe_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(InvalidSource) as error:
            self.set(**changes)
        assert error.value.fields.keys() == changes.keys()

    def test_keys_over_plain_http_are_for_demos(self, settings: LazySettings) -> None:
        settings.SALLYPORT_DEMO = False
        with pytest.raises(InvalidSource):
            self.set(jwks_uri="http://a.test/keys")

    def test_only_administrators(self) -> None:
        with pytest.raises(NotAnAdministrator):
            self.set(actor=identity.person("cyd", roles=("security",)).actor)
