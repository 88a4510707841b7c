"""Real calls through the edge, to see what its doors answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from apps.rollout.drivers.base import Expectation, Proof, door_answer

TIMEOUT = (2.0, 5.0)
AT_ONCE = 16
ALL_WITHIN = 5.0
"""Seconds after which no further call is begun, so that an edge that hangs holds up nothing else for long."""

DOORS = {"edge": "X-Sallyport-Edge", "mesh": "X-Sallyport-Mesh"}
HOLDS = "X-Sallyport-Holds"


class Towards(HTTPAdapter):
    """Connects to another machine and speaks there, inside TLS too, as if to ``host``."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__()

    def init_poolmanager(self, *args: Any, **given: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self._host, assert_hostname=self._host, **given)


def base_of(entry: str, host: str) -> str:
    """Where a call to ``host`` goes: the address ``entry`` is, the machine it names, or the host itself."""
    return entry if "://" in entry else f"https://{entry or host}"


class EdgeCaller:
    """``entry`` overrides where calls go: an address (a local edge), or the name of a machine that is called over HTTPS
    and asked for the certificate of the host itself (Akamai's staging network). Without it they go to the host.
    """

    def __init__(self, entry: str = "") -> None:
        self._entry = entry.rstrip("/")

    def probe(self, expectations: Sequence[Expectation]) -> tuple[Proof, ...]:
        """Without those that were not begun in time."""
        if len(expectations) == 1:
            return (self._probe(expectations[0]),)
        ends = time.monotonic() + ALL_WITHIN
        with ThreadPoolExecutor(AT_ONCE) as pool:
            proofs = pool.map(lambda wanted: self._probe(wanted) if time.monotonic() < ends else None, expectations)
            return tuple(proof for proof in proofs if proof is not None)

    def _probe(self, wanted: Expectation) -> Proof:
        headers = {"Host": wanted.host, "X-Sallyport-Probe": "1"}
        if wanted.token:
            headers["Authorization"] = f"Bearer {wanted.token}"
        try:
            with self._session(wanted.host) as session:
                answer = session.request(
                    wanted.method,
                    base_of(self._entry, wanted.host) + wanted.path,
                    headers=headers,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            return Proof(wanted.id, {}, f"The edge did not answer: {error}")
        found = {door: door_answer(answer.headers.get(name, "")) for door, name in DOORS.items()}
        doors = {door: said for door, said in found.items() if said is not None}
        return Proof(wanted.id, doors, f"HTTP {answer.status_code}", answer.headers.get(HOLDS, ""))

    def _session(self, host: str) -> requests.Session:
        session = requests.Session()
        if self._entry and "://" not in self._entry:
            session.mount("https://", Towards(host))
        return session
