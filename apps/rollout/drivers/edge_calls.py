"""Real calls through the edge, to see what its doors answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from apps.rollout.drivers.base import Expectation, Proof, door_answer

TIMEOUT = (2.0, 5.0)
AT_ONCE = 16
ALL_WITHIN = 5.0
"""Seconds after which no further call is begun, so that an edge that hangs holds up nothing else for long."""

DOORS = {"edge": "X-Sallyport-Edge", "mesh": "X-Sallyport-Mesh"}
HOLDS = "X-Sallyport-Holds"


class EdgeCaller:
    """``base_url`` overrides where calls go (a local edge); without it they go to the host itself over HTTPS."""

    def __init__(self, base_url: str = "") -> None:
        self._base_url = base_url.rstrip("/")

    def probe(self, expectations: Sequence[Expectation]) -> tuple[Proof, ...]:
        """Without those that were not begun in time."""
        if len(expectations) == 1:
            return (self._probe(expectations[0]),)
        ends = time.monotonic() + ALL_WITHIN
        with ThreadPoolExecutor(AT_ONCE) as pool:
            proofs = pool.map(lambda wanted: self._probe(wanted) if time.monotonic() < ends else None, expectations)
            return tuple(proof for proof in proofs if proof is not None)

    def _probe(self, wanted: Expectation) -> Proof:
        headers = {"Host": wanted.host, "Authorization": f"Bearer {wanted.token}", "X-Sallyport-Probe": "1"}
        base = self._base_url or f"https://{wanted.host}"
        try:
            answer = requests.request(
                wanted.method, base + wanted.path, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            return Proof(wanted.id, {}, f"The edge did not answer: {error}")
        found = {door: door_answer(answer.headers.get(name, "")) for door, name in DOORS.items()}
        doors = {door: said for door, said in found.items() if said is not None}
        return Proof(wanted.id, doors, f"HTTP {answer.status_code}", answer.headers.get(HOLDS, ""))
