"""A node's own workload calls in plain HTTP; the agent tells NGINX where services are, and keeps it told."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

import pytest

from apps.meshagent.calls import Calls, Finder, conf
from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import CART, PAYMENTS, Mesh
from tests.meshagent.test_doors_elsewhere import node
from tests.ports import free_port

PLACE = {"at": "payments.shop.svc:8080", "names": ["payments", "payments.shop.svc"], "ports": [80, 8080]}


def calls(**ways: dict[str, object]) -> Calls:
    return Calls.read({"as": CART, "port": 15001, "ways": ways})


def revision(folder: Path, **names: str) -> Path:
    (folder / "door_names.json").write_text(json.dumps(names))
    return folder


def plain(port: int, host: str, path: str = "/charges/7") -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_workloads_plain_calls_go_out_in_its_name(tmp_path: Path, console: FakeConsole, mesh: Mesh) -> None:
    port = free_port()
    ways = {
        "payments": {"at": f"127.0.0.1:{mesh.port}", "names": ["payments"], "ports": [mesh.port]},
        "gone": {"at": "nowhere.invalid:80", "names": ["gone"], "ports": [80]},
    }
    told = {"as": CART, "port": port, "ways": ways}
    with node(tmp_path / "till", console, PAYMENTS), node(tmp_path / "cart", console, CART, calls=told) as cart:
        console.publish(mesh.artifacts(mesh.grant()), 1)
        for name in ("till", "cart"):
            console.wait_report(revision=1, state="active", node=name)
        status, said = plain(port, "payments")
        assert (status, said["target"]) == (200, "/charges/7")
        assert plain(port, "gone") == (421, {"title": said_of(421), "status": 421, "code": "no_such_callee"})
        console.publish(mesh.artifacts(), 2)
        console.wait_report(revision=2, state="active", node="till")
        status, said = plain(port, "payments")
        assert (status, said["reason"]) == (403, "no_grant")
        assert cart.log().count("ERROR") == 0


def said_of(status: int) -> str:
    return {421: "No service of the mesh is called that."}[status]


def test_a_service_is_meant_by_host_and_port_and_two_meanings_are_none(tmp_path: Path) -> None:
    folder = revision(tmp_path, payments="payments-1.shop.test", cart="cart-1.shop.test")
    both = {"payments": PLACE, "cart": PLACE | {"names": ["cart", "payments"], "ports": [8081]}}
    text = conf(folder, calls(**both), Finder(lambda at: ("10.0.0.7:8080",)))
    assert '"payments:8080" sp_call_payments;' in text
    assert '"payments:80" sp_call_payments;\n' in text
    assert '"payments:8081" sp_call_cart;' in text
    assert '"10.0.0.7:8081" sp_call_cart;' in text
    by_name = text.partition("$sp_callee_by_name {")[2].partition("}")[0]
    assert '"cart" sp_call_cart;' in by_name
    assert '"payments"' not in by_name


def test_a_service_that_was_not_signed_for_has_no_way(tmp_path: Path) -> None:
    text = conf(revision(tmp_path), calls(payments=PLACE), Finder(lambda at: ("10.0.0.7:8080",)))
    assert "sp_call_payments" not in text
    odd = conf(revision(tmp_path, payments='x"; return 200;'), calls(payments=PLACE), Finder(lambda at: ()))
    assert "return 200" not in odd


def test_one_that_cannot_be_found_is_down_and_the_others_are_not(tmp_path: Path) -> None:
    folder = revision(tmp_path, payments="p.shop.test", cart="c.shop.test")
    both = {"payments": PLACE, "cart": PLACE | {"at": "cart.shop.svc:8080", "names": ["cart"]}}
    found = {"payments.shop.svc:8080": ("10.0.0.7:8080",)}
    text = conf(folder, calls(**both), Finder(lambda at: found.get(at, ())))
    assert "upstream sp_call_payments {\n    server 10.0.0.7:8080;" in text
    assert "upstream sp_call_cart {\n    server 127.0.0.1:9 down;" in text


def test_what_moved_is_followed_and_what_nobody_can_say_any_more_stays() -> None:
    answers = [("10.0.0.7:80",), ("10.0.0.8:80",), ()]
    finder = Finder(lambda at: answers.pop(0))
    assert [finder.find(["payments:80"])["payments:80"] for _ in range(3)] == [
        ("10.0.0.7:80",),
        ("10.0.0.8:80",),
        ("10.0.0.8:80",),
    ]


def test_a_name_service_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.meshagent.calls.LOOK_SECONDS", 0.05)
    late = threading.Event()

    def ask(at: str) -> tuple[str, ...]:
        if at == "slow:80":
            late.wait(10)
        return (f"10.0.0.1:{at[-2:]}",)

    finder = Finder(ask)
    assert finder.find(["slow:80", "quick:80"]) == {"slow:80": (), "quick:80": ("10.0.0.1:80",)}
    late.set()
    assert finder.find(["slow:80"]) in ({"slow:80": ("10.0.0.1:80",)}, {"slow:80": ()})


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": "payments"},
        {"at": "payments:http"},
        {"at": "a;b:80"},
        {"names": ["$host"]},
        {"names": ['x" y']},
        {"ports": ["many"]},
    ],
)
def test_what_could_be_read_as_something_else_is_refused_at_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        calls(payments=PLACE | wrong)
    with pytest.raises(ValueError, match="no name of a service"):
        Calls.read({"as": CART, "port": 1, "ways": {"x {": PLACE}})
