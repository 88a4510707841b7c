"""What Akamai's DataStream delivers: proven by a secret, read line by line, joined to the calls the mesh knows."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.audit.actors import SYSTEM
from apps.audit.models import Event as AuditEvent
from apps.identity import vault
from apps.rollout.models import EdgeStream, PropertyChange, StreamKey
from apps.rollout.services.akamai import streaming
from apps.telemetry import edge_gaps, services
from apps.telemetry.edge_lines import event_of
from apps.telemetry.events import MAX_BYTES, MAX_RECORDS
from apps.telemetry.models import Call, LogMinute
from tests.factories import access, identity
from tests.factories.edges import edge_stream
from tests.telemetry.test_ingest import line as decision
from tests.telemetry.test_ingest import ndjson

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
RID = "0123456789abcdef" * 2
URL = "/telemetry/v1/datastream/edge"
SAID = {"p": "edge", "v": "allow", "r": "granted", "s": "person:ada", "i": 1, "svc": "payments", "rt": "createRefund"}


def line(rid: str = RID, said: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """As Akamai writes it: strings, what is empty left out, blanks encoded."""
    told = json.dumps({**SAID, "g": ["g_1"], "pr": 0, **(said or {})}, separators=(",", ":"))
    return {
        "version": 1,
        "streamId": "7",
        "reqId": "1239f220",
        "reqTimeSec": f"{NOW.timestamp():.3f}",
        "statusCode": "200",
        "reqHost": "api.shop.localhost",
        "reqMethod": "POST",
        "reqPath": "payments/refunds",
        "edgeIP": "203.0.113.7",
        "turnAroundTimeMSec": "12",
        "customField": f"{rid};{told}",
        **changes,
    }


@pytest.fixture
def stream() -> EdgeStream:
    return edge_stream(NOW)


def login(key: StreamKey, user: str = "edge") -> str:
    pair = f"{user}:{vault.unseal(key.secret_sealed).decode()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def post(client: Client, stream: EdgeStream, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    shown = {"Authorization": login(streaming.believed(stream)[0]), **headers}
    answer = client.post(URL, body, content_type="application/json", headers=shown)
    return answer.status_code, answer.json()


def counted(accepted: int, repeated: int = 0, rejected: int = 0) -> tuple[int, dict[str, int]]:
    return 202, {"accepted": accepted, "repeated": repeated, "rejected": rejected}


def test_a_call_only_the_edges_log_tells_of_has_the_callers_identity(client: Client, stream: EdgeStream) -> None:
    access.service(team=identity.team("payments"), doors=("edge",))
    refused = {"v": "deny", "r": "no_grant", "g": []}
    assert post(client, stream, ndjson(line(said=refused, statusCode="403"))) == counted(1)
    call = Call.objects.get()
    assert (call.rid.hex, call.subject, call.service, call.route) == (RID, "person:ada", "payments", "createRefund")
    assert (call.method, call.path, call.host) == ("POST", "/refunds", "api.shop.localhost")
    assert (call.verdict, call.reason, call.status, call.ms) == ("deny", "no_grant", 403, 12.0)
    assert list(call.doors) == ["edge"]
    assert call.doors["edge"]["node"] == "203.0.113.7"


def test_it_is_joined_to_what_the_mesh_said_of_the_same_call(client: Client, stream: EdgeStream) -> None:
    token = services.register_source(name="mesh", actor=SYSTEM, at=NOW)
    services.ingest(token=token, body=ndjson(decision("ingress"), decision("sidecar")), at=NOW)
    assert post(client, stream, ndjson(line())) == counted(1)
    call = Call.objects.get()
    assert sorted(call.doors) == ["edge", "ingress", "sidecar"]
    assert (call.subject, call.grants, call.status) == ("person:ada", ["g_1"], 200)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("as_array", [False, True])
def test_lines_and_arrays_packed_or_not(client: Client, stream: EdgeStream, packed: bool, as_array: bool) -> None:
    lines = [line("1" * 32), line("2" * 32)]
    body = json.dumps(lines).encode() if as_array else ndjson(*lines)
    assert post(client, stream, gzip.compress(body) if packed else body) == counted(2)
    assert Call.objects.count() == 2


def test_an_empty_sample_request_is_taken(client: Client, stream: EdgeStream) -> None:
    assert post(client, stream, b"") == counted(0)
    assert post(client, stream, b"[]") == counted(0)
    assert LogMinute.objects.count() == 0


def test_bad_lines_are_counted_and_the_others_kept(client: Client, stream: EdgeStream) -> None:
    body = b"\n".join(
        [
            json.dumps(line("1" * 32)).encode(),
            b"not json",
            b"7",
            b"{}",
            json.dumps(line(reqTimeSec="soon")).encode(),
            json.dumps(line(statusCode=200)).encode(),
            json.dumps(line(said={"r": "because"})).encode(),
            json.dumps(line(reqTimeSec="1000000000")).encode(),
            json.dumps(line("2" * 32)).encode(),
        ]
    )
    assert post(client, stream, body) == counted(2, rejected=7)
    assert edge_gaps.brought(stream.pk, at=NOW).bad == 7


def test_the_same_delivery_again_changes_nothing_and_is_counted_as_repeated(client: Client, stream: EdgeStream) -> None:
    body = ndjson(line("1" * 32), line("2" * 32), line("2" * 32))
    assert post(client, stream, body) == counted(3, repeated=1)
    before = list(Call.objects.order_by("rid").values())
    assert post(client, stream, body) == counted(3, repeated=3)
    assert list(Call.objects.order_by("rid").values()) == before
    told = edge_gaps.brought(stream.pk, at=NOW)
    assert (told.lines, told.repeated, told.bad, told.missing) == (6, 4, 0, 0)
    assert told.last == NOW.replace(second=0, microsecond=0)


@pytest.mark.parametrize(
    ("status", "verdict"), [("200", "allow"), ("302", "allow"), ("403", "deny"), ("500", "deny"), ("0", "deny")]
)
def test_a_request_our_code_never_spoke_of_is_told_of_as_well(
    client: Client, stream: EdgeStream, status: str, verdict: str
) -> None:
    odd = line(statusCode=status)
    odd.pop("customField")
    assert post(client, stream, ndjson(odd)) == counted(1)
    assert post(client, stream, ndjson(odd)) == counted(1, repeated=1)
    assert Call.objects.values_list("verdict", "reason", "subject", "status").get() == (
        verdict,
        "policy_unavailable",
        "",
        int(status),
    )


@pytest.mark.parametrize("field", ["-", "^", ";", "x" * 3000, f"{RID};{{", f"{RID[:-1]};{{}}", '{"v":"allow"}'])
def test_an_odd_custom_field_never_opens_anything(field: str) -> None:
    event = event_of(line(customField=field, statusCode="403"), stream=1, at=NOW)
    assert event is not None
    assert (event.verdict, event.subject, event.grants) == ("deny", "", ())


def test_the_custom_field_is_read_whether_it_is_encoded_in_full_in_part_or_not() -> None:
    told = {"s": "workload:spiffe://shop.test/ns/a/sa/b c", "svc": "päyments"}
    plain = line(said=told)
    field = plain["customField"]
    some = "".join(c if "!" <= c <= "~" else _percent(c) for c in field)
    most = "".join(c if c.isascii() and c.isalnum() else _percent(c) for c in field)
    for text in (json.dumps({**told, "v": "allow", "r": "granted"}, ensure_ascii=False), "{}"):
        assert event_of({**plain, "customField": f"{RID};{text}"}, stream=1, at=NOW) is not None
    read = [event_of({**plain, "customField": one}, stream=1, at=NOW) for one in (field, some, most)]
    assert read[0] is not None
    assert (read[0].subject, read[0].service) == (told["s"], told["svc"])
    assert read == [read[0]] * 3


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(line())) | st.text(max_size=5),
        st.none() | st.integers() | st.text(max_size=60) | st.just(f'{RID};{{"v":1,"g":[1],"s":{{}}}}'),
    )
)
def test_no_line_breaks_the_reader_and_the_same_line_is_the_same_event(raw: dict[str, Any]) -> None:
    assert event_of(raw, stream=1, at=NOW) == event_of(dict(raw), stream=1, at=NOW)


def test_who_has_no_secret_of_this_target_gets_one_answer(client: Client, stream: EdgeStream) -> None:
    key = streaming.believed(stream)[0]
    other = edge_stream(NOW, slug="other")
    shown = [
        {},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer x"},
        {"Authorization": login(key, user="other")},
        {"Authorization": login(streaming.believed(other)[0])},
        {"Authorization": "Basic " + base64.b64encode(b"edge:wrong").decode()},
    ]
    told = set()
    for headers in shown:
        answer = client.post(URL, ndjson(line()), content_type="application/json", headers=headers)
        assert answer["WWW-Authenticate"].startswith("Basic ")
        told.add((answer.status_code, answer.content))
    nowhere = client.post(
        f"{URL}x", ndjson(line()), content_type="application/json", headers={"Authorization": login(key)}
    )
    told.add((nowhere.status_code, nowhere.content))
    assert len(told) == 1
    assert next(iter(told))[0] == 401
    assert Call.objects.count() == 0
    assert client.get(URL).status_code == 405


def test_two_secrets_are_believed_while_one_takes_over(client: Client, stream: EdgeStream) -> None:
    old = login(streaming.believed(stream)[0])
    streaming.renew_secret(slug="edge", actor=SYSTEM, at=NOW)
    new = login(streaming.believed(stream)[0])
    assert [_status(client, one) for one in (old, new)] == [202, 202]
    with pytest.raises(streaming.SecretUnderWay):
        streaming.renew_secret(slug="edge", actor=SYSTEM, at=NOW)
    with pytest.raises(streaming.SecretNotReplaced):
        streaming.end_older_secret(slug="edge", actor=SYSTEM, at=NOW)
    StreamKey.objects.filter(active_at=None).update(active_at=NOW)
    streaming.end_older_secret(slug="edge", actor=SYSTEM, at=NOW)
    assert [_status(client, one) for one in (old, new)] == [401, 202]
    assert [bytes(key.secret_sealed) == b"" for key in StreamKey.objects.order_by("pk")] == [True, False]


def _status(client: Client, authorization: str) -> int:
    return client.post(URL, b"", content_type="a/b", headers={"Authorization": authorization}).status_code


def test_no_secret_is_on_the_record_or_in_the_open(stream: EdgeStream) -> None:
    streaming.renew_secret(slug="edge", actor=SYSTEM, at=NOW)
    plain = [vault.unseal(key.secret_sealed).decode() for key in streaming.believed(stream)]
    kept = json.dumps([*AuditEvent.objects.values("before", "after", "action")], default=str)
    rows = json.dumps([*StreamKey.objects.values(), *EdgeStream.objects.values()], default=str)
    assert [secret for secret in plain if secret in kept + rows] == []


def test_too_much_is_refused_and_counted_as_lost(client: Client, stream: EdgeStream) -> None:
    bomb = gzip.compress(b" " * (MAX_BYTES + 1))
    tiny = gzip.compress(b"1\n" * (MAX_RECORDS + 1))
    tinier = gzip.compress(b"[" + b"1," * MAX_RECORDS + b"1]")
    for body in (bomb, tiny, tinier, b" " * (MAX_BYTES + 1)):
        assert post(client, stream, body)[0] == 413
    assert post(client, stream, b"\x1f\x8bbroken")[0] == 400
    assert post(client, stream, b"[{")[0] == 400
    assert edge_gaps.brought(stream.pk, at=NOW).bad == 6


def test_as_much_as_is_promised_is_taken_though_it_is_not_packed(client: Client, stream: EdgeStream) -> None:
    """More than a form may be."""
    whole = ndjson(line()) + b"\n" + b" " * (MAX_BYTES - 10_000)
    assert post(client, stream, whole) == counted(1)


def test_nothing_is_read_of_who_has_not_proved_to_be_the_stream(client: Client, stream: EdgeStream) -> None:
    told = client.post(URL, b" " * (MAX_BYTES + 1), content_type="a/b", headers={"Authorization": "Basic eDp5"})
    assert (told.status_code, told.json()["code"]) == (401, "unknown_source")
    assert edge_gaps.brought(stream.pk, at=NOW).bad == 0


# -- gaps ---------------------------------------------------------------------------------------------------------
def at_ingress(rid: int, minutes_ago: float, **changes: Any) -> dict[str, Any]:
    when = NOW - timedelta(minutes=minutes_ago)
    return decision("ingress", rid=f"{rid:032x}", ts=when.timestamp(), **changes)


def from_mesh(*lines: dict[str, Any]) -> None:
    token = services.register_source(name="mesh", actor=SYSTEM, at=NOW)
    services.ingest(token=token, body=ndjson(*lines), at=NOW)


def edge_line(rid: int, minutes_ago: float) -> dict[str, Any]:
    return line(f"{rid:032x}", reqTimeSec=f"{(NOW - timedelta(minutes=minutes_ago)).timestamp():.3f}")


def gaps() -> list[tuple[int, int]]:
    """Minutes long, and calls, of those with calls."""
    found = edge_gaps.list_gaps(at=NOW)
    return [((gap.until - gap.since) // timedelta(minutes=1), gap.calls) for gap in found if gap.calls]


def test_calls_the_mesh_saw_and_the_log_did_not_are_a_gap_until_late_lines_close_it(
    client: Client, stream: EdgeStream
) -> None:
    access.service(team=identity.team("payments"), doors=("edge",))
    from_mesh(at_ingress(1, 20), at_ingress(2, 20), at_ingress(3, 19), at_ingress(4, 30), at_ingress(5, 10))
    post(client, stream, ndjson(edge_line(4, 30)))
    edge_gaps.look_for_gaps(at=NOW)
    assert gaps() == [(1, 1), (2, 3)]
    assert edge_gaps.brought(stream.pk, at=NOW).missing == 4
    post(client, stream, ndjson(edge_line(1, 20), edge_line(2, 20), edge_line(3, 19)))
    edge_gaps.look_for_gaps(at=NOW)
    edge_gaps.look_for_gaps(at=NOW)
    assert gaps() == [(1, 1)]


def test_what_never_passed_the_edge_or_may_still_come_is_no_gap(stream: EdgeStream) -> None:
    access.service(team=identity.team("payments"), doors=("edge",))
    from_mesh(
        at_ingress(1, 1),
        at_ingress(2, 20, probe=True),
        at_ingress(3, 20, subject="", verdict="deny", reason="edge_token_absent"),
        at_ingress(4, 20, host="other.test"),
        decision("sidecar", rid=f"{5:032x}", ts=(NOW - timedelta(minutes=20)).timestamp()),
    )
    edge_gaps.look_for_gaps(at=NOW)
    assert gaps() == []


@pytest.mark.parametrize(("where", "wanted"), [("prp_1", [(1, 1)]), ("prp_9", [])])
def test_a_host_of_another_property_is_not_what_the_stream_serves(
    stream: EdgeStream, where: str, wanted: list[tuple[int, int]]
) -> None:
    access.service(team=identity.team("payments"), doors=("edge",))
    from_mesh(at_ingress(1, 20))
    PropertyChange.objects.create(
        target=stream.target,
        hostname="api.shop.localhost",
        email="o@shop.test",
        state="done",
        found={"id": where, "name": "shop"},
        asked_by="Olga",
        asked_at=NOW,
        retry_at=NOW,
    )
    edge_gaps.look_for_gaps(at=NOW)
    assert gaps() == wanted


def test_minutes_before_the_stream_was_active_are_no_gap(stream: EdgeStream) -> None:
    access.service(team=identity.team("payments"), doors=("edge",))
    EdgeStream.objects.update(active_since=NOW - timedelta(minutes=15))
    from_mesh(at_ingress(1, 20), at_ingress(2, 10))
    edge_gaps.look_for_gaps(at=NOW)
    assert gaps() == [(1, 1)]
    EdgeStream.objects.update(wanted=False)
    assert edge_gaps.list_gaps(at=NOW) == ()


def test_a_stretch_without_any_line_is_told_as_such(client: Client, stream: EdgeStream) -> None:
    post(client, stream, ndjson(edge_line(1, 40), edge_line(2, 35)))
    found = [gap for gap in edge_gaps.list_gaps(at=NOW) if not gap.calls]
    assert [round((NOW - gap.since) / timedelta(minutes=1)) for gap in found] in ([34, 60], [35, 60], [35, 61])
    assert {gap.target for gap in found} == {"Shop edge"}


def test_old_minutes_are_forgotten(client: Client, stream: EdgeStream) -> None:
    post(client, stream, ndjson(edge_line(1, 40)))
    assert edge_gaps.prune(at=NOW + timedelta(days=31)) == 1
