"""What was answered is kept, whenever the process is killed."""

from __future__ import annotations

import json
import threading

import pytest
import requests

from tests.localedge.conftest import MakeStandIn
from tests.localedge.standin import StandIn, eventually
from tests.localedge.test_control_edgekv import READER

EW = "/edgeworkers/v1"
SAYING = "export const onClientRequest = (r) => r.respondWith(200, {}, '%s');"


def killed_and_started(standin: StandIn) -> None:
    standin.kill()
    standin.start()


def test_the_live_version_and_the_items_are_back_after_a_kill(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    ew_id = standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    standin.item("PUT", "k", "value")
    standin.item("PUT", "gone", "value")
    standin.item("DELETE", "gone")
    before = standin.call("GET", f"{EW}/ids/{ew_id}/activations").json()
    killed_and_started(standin)
    assert standin.get("/k").text == "200 value"
    assert standin.get("/gone").text == "404 "
    assert standin.get("/k", port="data_staging").status_code == 503
    assert standin.call("GET", f"{EW}/ids/{ew_id}/activations").json() == before


def test_an_activation_under_way_is_finished_by_the_next_process(make_standin: MakeStandIn) -> None:
    standin = make_standin(activation_delay={"STAGING": 1, "PRODUCTION": 1.5})
    ew_id = standin.new_id()
    standin.upload(ew_id, "1", SAYING % "one")
    body = {"network": "PRODUCTION", "version": "1"}
    asked = standin.call("POST", f"{EW}/ids/{ew_id}/activations", json=body).json()
    killed_and_started(standin)
    assert standin.settled(ew_id, asked["activationId"]) == "COMPLETE"
    assert standin.get("/").text == "one"


def test_a_deactivated_network_stays_closed(make_standin: MakeStandIn) -> None:
    standin = make_standin()
    ew_id = standin.deploy(SAYING % "one")
    body = {"network": "PRODUCTION", "version": "1"}
    asked = standin.call("POST", f"{EW}/ids/{ew_id}/deactivations", json=body).json()
    standin.settled(ew_id, asked["deactivationId"], "deactivations")
    killed_and_started(standin)
    assert standin.get("/").json()["code"] == "EW_NO_BUNDLE"
    assert "request_failed" not in (standin.directory / "stderr.log").read_text()  # nothing failed: it is closed


def test_a_write_still_on_its_way_shows_the_old_value_after_a_kill(make_standin: MakeStandIn) -> None:
    standin = make_standin(kv_delay=0.1)
    standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    standin.item("PUT", "k", "old")
    eventually(lambda: standin.get("/k").text == "200 old")
    standin.stop()
    config = standin.directory / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "kv_delay": 6}))
    standin.start()
    standin.item("PUT", "k", "new")
    killed_and_started(standin)
    assert standin.get("/k").text == "200 old"
    eventually(lambda: standin.get("/k").text == "200 new")


class Writer(threading.Thread):
    """Counts one item up until its calls fail; ``answered`` is the last value whose write was answered."""

    def __init__(self, standin: StandIn, key: str) -> None:
        super().__init__(daemon=True)
        self._standin = standin
        self._key = key
        self.answered = 0
        self.sent = 0
        self.counting = threading.Event()

    def run(self) -> None:
        try:
            while True:
                self.sent = self.answered + 1
                self._standin.item("PUT", self._key, str(self.sent)).raise_for_status()
                self.answered = self.sent
                if self.answered >= 5:
                    self.counting.set()
        except requests.RequestException:
            return


@pytest.mark.kill
@pytest.mark.parametrize("moment", range(4))
def test_no_answered_write_is_lost(make_standin: MakeStandIn, moment: int) -> None:
    standin = make_standin()
    standin.deploy(READER.replace("REFERENCE", standin.open_store()))
    writers = [Writer(standin, f"k{number}") for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        assert writer.counting.wait(20)
    threading.Event().wait(moment * 0.037)
    standin.kill()
    for writer in writers:
        writer.join(10)
    standin.start()
    for number, writer in enumerate(writers):
        kept = int(standin.item("GET", f"k{number}").text)
        assert writer.answered <= kept <= writer.sent
        assert standin.get(f"/k{number}").text == f"200 {kept}"
