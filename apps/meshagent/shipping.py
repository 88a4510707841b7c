"""Sends decisions to the console as they are made, in order, at least once; what is lost is counted and said."""

from __future__ import annotations

import gzip
import json
import logging
import random
import threading
from collections.abc import Callable

import requests

from apps.meshagent.config import Ship
from apps.meshagent.decisions import event_of
from apps.meshagent.tail import Read, Tail

LOOK_SECONDS = 0.1
LONGEST_PAUSE = 10.0
SEND_SECONDS = 10
SMALL = 1400
GAP_HEADER = "X-Sallyport-Gap"
_FOR_LATER = {401, 403, 408, 429}
_log = logging.getLogger(__name__)


class Shipper:
    """Runs in a thread of its own until ``stop``."""

    def __init__(self, tail: Tail, ship: Ship, node: str, jitter: Callable[[], float] = random.random) -> None:
        self._tail, self._ship, self._node, self._jitter = tail, ship, node, jitter
        self._session = requests.Session()
        self._session.trust_env = False
        self._stopping = threading.Event()
        self._refused = 0

    def run(self) -> None:
        pause = LOOK_SECONDS
        while not self._stopping.wait(pause):
            pause = self._step(pause)
        self._send_all()

    def stop(self) -> None:
        self._stopping.set()

    def _step(self, pause: float) -> float:
        """Sends what there is; answers how long to wait before the next look."""
        try:
            if self._send_all():
                return LOOK_SECONDS
        except OSError as error:
            _log.warning("The decision log cannot be read: %s", error)
        return min(LONGEST_PAUSE, pause * 2) * (0.5 + self._jitter() / 2)

    def _send_all(self) -> bool:
        """False when the console does not take them now."""
        while True:
            read = self._tail.read()
            if read.lines and not self._send(read):
                return False
            self._tail.keep(read)
            self._tail.tidy()
            if not read.lines:
                return True

    def _send(self, read: Read) -> bool:
        events = [event for event in (event_of(line, self._node) for line in read.lines) if event is not None]
        self._refused += len(read.lines) - len(events)
        gap = self._tail.lost + self._refused
        status = self._post("".join(json.dumps(event) + "\n" for event in events).encode(), gap)
        if status is None or status in _FOR_LATER or status >= 500:
            return False
        self._tail.lost, self._refused = 0, 0
        if status >= 400:
            self._refused = len(events)
            _log.warning("The console refused %d decisions with status %d", len(events), status)
        return True

    def _post(self, body: bytes, gap: int) -> int | None:
        headers = {"Content-Type": "application/x-ndjson"}
        if gap:
            headers[GAP_HEADER] = str(gap)
            _log.warning("%d decisions were lost before they could be sent", gap)
        if len(body) > SMALL:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=1)
        try:
            token = self._ship.token_file.read_text(encoding="utf-8").strip()
            headers["Authorization"] = f"Bearer {token}"
            return self._session.post(self._ship.url, data=body, headers=headers, timeout=SEND_SECONDS).status_code
        except (requests.RequestException, OSError) as error:
            _log.info("Decisions wait, the console does not take them: %s", error)
            return None
