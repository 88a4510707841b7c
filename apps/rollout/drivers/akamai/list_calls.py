"""Calls that show whether a list lets an address through: made without a token, so that the token check answers.

Only from addresses this machine has: a local edge is called from loopback addresses, an edge far away from our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from apps.rollout.drivers.akamai.edge_calls import DOORS, TIMEOUT, Towards, base_of

MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Called:
    """``passed`` says whether the call came as far as the token check; None when that could not be told."""

    passed: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Knock:
    """What is called. Without a token nothing behind the door is reached, whatever it is."""

    method: str
    path: str


AT_THE_ROOT = Knock("GET", "/")


class FromAddress(HTTPAdapter):
    """Calls out from one address of this machine."""

    def __init__(self, source: str) -> None:
        self._source = source
        super().__init__()

    def init_poolmanager(self, *args: Any, **given: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._source, 0), **given)


class ListCaller:
    """``entry`` overrides where calls go, as for an EdgeCaller; without it they go to the host itself over HTTPS."""

    def __init__(self, entry: str = "") -> None:
        self._entry = entry.rstrip("/")

    def call(self, host: str, source: str = "", knock: Knock = AT_THE_ROOT) -> Called:
        """``source`` is the address to call from; empty leaves it to the machine."""
        place = f"from {source}" if source else "from here"
        session = requests.Session()
        session.trust_env = False
        if self._entry and "://" not in self._entry:
            session.mount("https://", Towards(host))
        if source:
            session.mount("http://", FromAddress(source))
            session.mount("https://", FromAddress(source))
        headers = {"Host": host, "X-Sallyport-Probe": "1", "Accept": "application/json"}
        try:
            with session:
                url = base_of(self._entry, host) + knock.path
                answer = session.request(knock.method, url, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            return Called(None, f"A call {place} got no answer: {error}"[:300])
        if _is_from_our_door(answer):
            return Called(True, f"A call {place} came as far as the token check ({answer.status_code}).")
        if answer.status_code == 403:
            return Called(False, f"A call {place} was refused before the token check (403).")
        return Called(None, f"A call {place} was answered {answer.status_code}, and not by our door.")


def _is_from_our_door(answer: requests.Response) -> bool:
    """The header of a probe's answer, or the door's own problem document."""
    if DOORS["edge"] in answer.headers:
        return True
    if "json" not in answer.headers.get("Content-Type", "") or len(answer.content) > MOST_BYTES:
        return False
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, Mapping) and "reason" in body and "request_id" in body
