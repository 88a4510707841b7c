"""Decision events: joined by request id, in any order, any number of times."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.audit.actors import SYSTEM
from apps.audit.models import Event as AuditEvent
from apps.telemetry import services
from apps.telemetry.events import MAX_BYTES, MAX_EVENTS
from apps.telemetry.models import Call, Feed, TelemetrySource
from tests.factories import catalog

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
RID = "0123456789abcdef" * 2
URL = "/telemetry/v1/events"


def line(point: str = "edge", **changes: Any) -> dict[str, Any]:
    """An event as a door writes it."""
    said = {
        "ts": NOW.timestamp() + {"edge": 0.003, "ingress": 0.002, "sidecar": 0.001}.get(point, 0),
        "rid": RID,
        "point": point,
        "node": f"{point}-1",
        "verdict": "allow",
        "reason": "granted",
        "subject": "person:ada",
        "peer": "",
        "service": "payments",
        "route": "createRefund",
        "method": "POST",
        "path": "/payments/refunds" if point == "edge" else "/refunds",
        "host": "api.shop.localhost",
        "grants": ["g_1"],
        "status": 200,
        "ms": 12.5,
        "probe": False,
    }
    return said | changes


def ndjson(*lines: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in lines)


@pytest.fixture
def token() -> str:
    return services.register_source(name="edge", actor=SYSTEM, at=NOW)


def post(client: Client, token: str, body: bytes) -> tuple[int, dict[str, Any]]:
    answer = client.post(URL, body, content_type="application/x-ndjson", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


def stored() -> list[dict[str, Any]]:
    return list(Call.objects.order_by("rid").values())


def test_three_points_make_one_call(client: Client, token: str) -> None:
    catalog.edge(catalog.service())
    assert post(client, token, ndjson(line("edge"), line("ingress"), line("sidecar"))) == (
        202,
        {"accepted": 3, "rejected": 0},
    )
    call = Call.objects.get()
    assert (call.rid.hex, call.subject, call.service, call.route) == (RID, "person:ada", "payments", "createRefund")
    assert (call.method, call.path, call.host) == ("POST", "/refunds", "api.shop.localhost")
    assert (call.verdict, call.reason, call.status, call.ms, call.grants) == ("allow", "granted", 200, 12.5, ["g_1"])
    assert sorted(call.doors) == ["edge", "ingress", "sidecar"]
    assert call.first_at == datetime.fromtimestamp(NOW.timestamp() + 0.001, UTC)


def test_a_denial_at_any_point_denies_the_call_and_the_outermost_names_the_reason(client: Client, token: str) -> None:
    denied = line("sidecar", verdict="deny", reason="grant_expired", status=403)
    post(client, token, ndjson(line("edge", status=403), denied))
    assert Call.objects.values_list("verdict", "reason", "status").get() == ("deny", "grant_expired", 403)
    post(client, token, ndjson(line("ingress", verdict="deny", reason="service_mismatch")))
    assert Call.objects.values_list("verdict", "reason").get() == ("deny", "service_mismatch")


def test_a_late_line_completes_the_call(client: Client, token: str) -> None:
    post(client, token, ndjson(line("sidecar", verdict="deny", reason="no_grant", status=403, subject="")))
    assert Call.objects.values_list("subject", "verdict").get() == ("", "deny")
    post(client, token, ndjson(line("edge", status=403)))
    assert Call.objects.values_list("subject", "verdict", "reason").get() == ("person:ada", "deny", "no_grant")


def test_the_same_lines_again_change_nothing_and_wake_nobody(client: Client, token: str) -> None:
    body = ndjson(line("edge"), line("sidecar"))
    post(client, token, body)
    before, position = stored(), Feed.objects.get().position
    post(client, token, body)
    post(client, token, ndjson(line("sidecar")))
    assert stored() == before
    assert Feed.objects.get().position == position


def test_the_path_below_the_base_path_counts_and_names_the_service(client: Client, token: str) -> None:
    catalog.edge(catalog.service())
    post(
        client,
        token,
        ndjson(
            line(rid="1" * 32, path="/payments/refunds", service="", host="API.shop.localhost:8080"),
            line(rid="2" * 32, path="/payments", service="payments"),
            line(rid="3" * 32, path="/paymentsx/refunds", service=""),
            line(rid="4" * 32, path="/payments/refunds", service="other"),
            line("sidecar", rid="5" * 32, path="/payments/refunds"),
        ),
    )
    assert list(Call.objects.order_by("rid").values_list("service", "path")) == [
        ("payments", "/refunds"),
        ("payments", "/"),
        ("", "/paymentsx/refunds"),
        ("other", "/payments/refunds"),
        ("payments", "/payments/refunds"),
    ]


events = st.lists(
    st.builds(
        line,
        st.sampled_from(["edge", "ingress", "sidecar"]),
        rid=st.sampled_from(["a" * 32, "b" * 32]),
        ts=st.sampled_from([NOW.timestamp(), NOW.timestamp() - 1]),
        verdict=st.sampled_from(["allow", "deny"]),
        reason=st.sampled_from(["granted", "no_grant"]),
        subject=st.sampled_from(["", "person:ada", "person:ben"]),
        grants=st.sampled_from([[], ["g_1"], ["g_2", "g_1"]]),
        probe=st.booleans(),
        status=st.sampled_from([200, 403]),
    ),
    max_size=6,
)


@given(events, st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_and_batches_do_not_matter(lines: list[dict[str, Any]], data: st.DataObject) -> None:
    def store(batches: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        Call.objects.all().delete()
        plain = services.register_source(name="order", actor=SYSTEM, at=NOW)
        for batch in batches:
            services.ingest(token=plain, body=ndjson(*batch), at=NOW)
        return [{name: value for name, value in row.items() if name != "id"} for row in stored()]

    shuffled = data.draw(st.permutations(lines))
    cut = data.draw(st.integers(0, len(lines)))
    once = store([lines])
    assert store([[one] for one in shuffled]) == once
    assert store([list(shuffled[:cut]), list(shuffled), list(shuffled[cut:])]) == once


@pytest.mark.parametrize("wrap", ["ndjson", "array", "gzip", "gzipped array"])
def test_lines_and_arrays_gzipped_or_not(client: Client, token: str, wrap: str) -> None:
    two = [line(rid="a" * 32), line(rid="b" * 32)]
    body = json.dumps(two).encode() if "array" in wrap else ndjson(*two) + b"\n\n"
    assert post(client, token, gzip.compress(body) if "gzip" in wrap else body)[1] == {"accepted": 2, "rejected": 0}
    assert Call.objects.count() == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"rid": "A" * 32},
        {"rid": "a" * 31},
        {"rid": None},
        {"ts": "now"},
        {"ts": None},
        {"ts": True},
        {"ts": 1e300},
        {"ts": -1},
        {"ts": NOW.timestamp() + 3600},
        {"ts": NOW.timestamp() - 40 * 86400},
        {"point": "moon"},
        {"point": ["edge"]},
        {"verdict": "perhaps"},
        {"verdict": {}},
        {"reason": "because"},
        {"reason": 7},
    ],
)
def test_a_line_without_what_it_needs_is_counted_and_the_others_kept(
    client: Client, token: str, wrong: dict[str, Any]
) -> None:
    body = ndjson(line(rid="c" * 32), line() | wrong, line(rid="d" * 32)) + b"\nnot json\n[1]\n"
    assert post(client, token, body) == (202, {"accepted": 2, "rejected": 3})
    assert [row["rid"].hex for row in stored()] == ["c" * 32, "d" * 32]


def test_strange_values_are_made_to_fit(client: Client, token: str) -> None:
    odd = line(
        path="/" + "x" * 900, subject="a\x00b\x1f", service=7, grants=["g", 1, None, "y" * 300], status=10**30, ms=-4
    )
    assert post(client, token, ndjson(odd))[1] == {"accepted": 1, "rejected": 0}
    call = Call.objects.get()
    assert (len(call.path), call.subject, call.service, call.status, call.ms) == (512, "a\ufffdb\ufffd", "", 999, 0)
    assert call.grants == ["g", "y" * 100]


def test_who_does_not_prove_itself_delivers_nothing(client: Client, token: str) -> None:
    body = ndjson(line())
    services.revoke_source(name="edge", actor=SYSTEM, at=NOW)
    for presented in (token, "", "spt_x", token + " ", "é"):
        answer = client.post(URL, body, content_type="x", headers={"Authorization": f"Bearer {presented}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown_source")
        assert answer["WWW-Authenticate"].startswith("Bearer")
    assert client.post(URL, body, content_type="x").status_code == 401
    assert client.get(URL).status_code == 405
    assert stored() == []


def test_a_source_speaks_only_for_its_points(client: Client) -> None:
    token = services.register_source(name="mesh", points=["ingress", "sidecar"], actor=SYSTEM, at=NOW)
    assert post(client, token, ndjson(line("edge"), line("sidecar")))[1] == {"accepted": 1, "rejected": 1}
    assert list(Call.objects.get().doors) == ["sidecar"]


def test_registering_again_ends_the_old_token_and_is_on_record(client: Client, token: str) -> None:
    fresh = services.register_source(name="edge", actor=SYSTEM, at=NOW)
    assert post(client, token, ndjson(line()))[0] == 401
    assert post(client, fresh, ndjson(line()))[0] == 202
    assert TelemetrySource.objects.get().last_seen_at is not None
    recorded = AuditEvent.objects.values_list("action", "after")
    assert list(recorded) == [("telemetry.source.registered", {"points": ["edge", "ingress", "sidecar"]})] * 2
    assert fresh not in str(list(AuditEvent.objects.values()))


def test_too_much_at_once_is_refused_whole(client: Client, token: str) -> None:
    many = b"{}\n" * (MAX_EVENTS + 1)
    bomb = gzip.compress(b" " * (MAX_BYTES + 1))
    assert len(bomb) < 100_000
    for body in (many, bomb, b"\x00" * (MAX_BYTES + 1)):
        status, answer = post(client, token, body)
        assert (status, answer["code"]) == (413, "batch_too_large")
    assert stored() == []


@pytest.mark.parametrize("body", [b"[", b"[1,", b"\x1f\x8b", b"\x1f\x8bgarbage", gzip.compress(b"{}", mtime=0)[:-4]])
def test_a_broken_whole_is_refused(client: Client, token: str, body: bytes) -> None:
    status, answer = post(client, token, body)
    assert (status, answer["code"]) == (400, "unreadable_batch")


garbage = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=100).map(lambda tail: b"\x1f\x8b\x08" + tail),
    st.lists(
        st.dictionaries(
            st.sampled_from(list(line())), st.one_of(st.none(), st.text(), st.floats(), st.lists(st.text()))
        )
    ).map(lambda found: json.dumps(found).encode()),
    st.dictionaries(
        st.sampled_from(list(line())), st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.booleans())
    ).map(lambda changes: ndjson(line() | changes)),
)


@given(garbage)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_answered_and_never_an_error(client: Client, body: bytes) -> None:
    token = services.register_source(name="garbage", actor=SYSTEM, at=NOW)
    assert post(client, token, body)[0] in (202, 400, 413)


def test_old_calls_are_forgotten_in_bites(client: Client, token: str) -> None:
    post(client, token, ndjson(*(line(rid=f"{number:032x}") for number in range(5))))
    assert services.prune(at=NOW + timedelta(days=29), limit=3) == 0
    later = NOW + timedelta(days=31)
    assert [services.prune(at=later, limit=3) for _ in range(3)] == [3, 2, 0]
    assert Call.objects.count() == 0
