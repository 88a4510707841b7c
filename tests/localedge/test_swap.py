"""Bundles are changed, and die, under load: nobody but the guilty notices."""

from __future__ import annotations

import os
import signal
import threading

from tests.localedge.conftest import MakeStandIn
from tests.localedge.load import Crowd
from tests.localedge.standin import eventually
from tests.localedge.test_control_edgekv import READER

EW = "/edgeworkers/v1"
VERSION = """
export async function onClientRequest(request) {
  await null;
  if (request.path === '/loop') for (;;);
  if (request.path === '/memory') { const kept = []; for (;;) kept.push(new Array(1000).fill(Math.random())); }
  request.respondWith(200, {}, 'NUMBER');
}
"""
SWAPS = 12


def test_swapping_under_load_drops_nothing(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 0, "PRODUCTION": 0})
    ew_id = standin.deploy(VERSION.replace("NUMBER", "0"), version="v0")
    with Crowd(standin.ports["data"], callers=8).calling() as crowd:
        for number in range(1, SWAPS):
            standin.upload(ew_id, f"v{number}", VERSION.replace("NUMBER", str(number)))
            assert standin.activate(ew_id, f"v{number}") == "COMPLETE"
            assert standin.get("/steady").text == str(number)
    assert {answer.split()[0] for answer in crowd.answers} == {"200"}
    assert set(crowd.answers) == {f"200 {number}" for number in range(SWAPS)}
    assert crowd.total > 500


def test_the_runaways_die_alone(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    standin.deploy(VERSION.replace("NUMBER", "fine"))
    with Crowd(standin.ports["data"], callers=8).calling() as crowd:
        for _ in range(3):
            assert standin.get("/loop").json()["code"] == "EW_CPU_TIMEOUT"
            assert standin.get("/memory").json()["code"] == "EW_MEMORY_LIMIT"
            reached = crowd.total + 50
            eventually(lambda reached=reached: crowd.total > reached)
    assert set(crowd.answers) == {"200 fine"}


def test_items_change_under_load_without_a_failed_read(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    reference = standin.open_store()
    standin.item("PUT", "k", "0")
    standin.deploy(
        """
        import { httpRequest } from 'http-request';
        const url = 'https://edgekv.akamai-edge-svcs.net/api/v1/namespaces/sallyport/groups/services/items/k';
        export async function onClientRequest(request) {
          const found = await httpRequest(url, { headers: { 'X-Akamai-EdgeDB-Auth-Ref': ['REFERENCE'] } });
          request.respondWith(found.status, {}, await found.text());
        }
        """.replace("REFERENCE", reference)
    )
    with Crowd(standin.ports["data"], callers=4).calling() as crowd:
        for number in range(50):
            standin.item("PUT", "k", str(number))
            assert standin.get("/steady").text == str(number)
    assert {answer.split()[0] for answer in crowd.answers} == {"200"}


def test_no_write_falls_between_two_engines(make_standin: MakeStandIn) -> None:
    """Items are written while the data plane is killed again and again; in the end it knows the last of each."""
    standin = make_standin()
    standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    stop = threading.Event()
    last: dict[str, int] = {}
    failures: list[str] = []

    def write(key: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            answer = standin.item("PUT", key, str(number))
            if answer.status_code != 200:
                failures.append(answer.text)
            last[key] = number

    writers = [threading.Thread(target=write, args=(f"k{number}",)) for number in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        engine = standin.engine_pid()
        os.kill(engine, signal.SIGKILL)
        eventually(lambda engine=engine: standin.is_ready() and standin.engine_pid() != engine)
    stop.set()
    for writer in writers:
        writer.join(20)
    assert failures == []
    for key, number in last.items():
        assert standin.get(f"/{key}").text == f"200 {number}"
