"""The console as a node sees it: five calls, all outgoing."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

CALL_SECONDS = 15


class ConsoleError(Exception):
    """The console could not be reached, or did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Issued:
    certificate_pem: str
    authority_pem: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A bundle as received: nothing in it is believed yet. ``ask`` is what a cluster's agent is to look at, which only
    reads."""

    signed: str
    inline: dict[str, bytes]
    probes: list[dict[str, Any]]
    ask: dict[str, Any] = field(default_factory=dict)


class Console:
    def __init__(self, url: str, token_file: Path) -> None:
        self._url, self._token_file = url, token_file
        self._session = requests.Session()
        self._session.trust_env = False

    def issue(self, workload: str, csr_pem: str) -> Issued:
        found = self._post("certificates", {"workload": workload, "csr_pem": csr_pem})
        try:
            return Issued(found["certificate_pem"], found["ca_pem"])
        except KeyError as error:
            raise ConsoleError(f"The answer lacks {error}.") from error

    def wait_for_bundle(self, have: str, seconds: float) -> Offer | None:
        """Blocks for up to ``seconds``; None when there is nothing new."""
        answer = self._call("GET", "bundle", params={"have": have, "wait": seconds}, timeout=seconds + CALL_SECONDS)
        if answer.status_code == requests.codes.no_content:
            return None
        try:
            found = answer.json()
            inline, ask = _decoded(found.get("inline", {})), dict(found.get("ask") or {})
            return Offer(found["signed"], inline, found.get("probes", []), ask)
        except (ValueError, KeyError, TypeError) as error:
            raise ConsoleError(f"The bundle cannot be read: {error}") from error

    def artifacts(self, hashes: Iterable[str]) -> dict[str, bytes]:
        return _decoded(self._post("artifacts", {"sha256": sorted(hashes)}).get("artifacts", {}))

    def report(self, report: dict[str, Any]) -> None:
        self._post("reports", report)

    def _post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._call("POST", name, json=body, timeout=CALL_SECONDS)
        try:
            found = answer.json()
        except ValueError as error:
            raise ConsoleError(f"The answer to {name} is not JSON.") from error
        return found if isinstance(found, dict) else {}

    def _call(self, method: str, name: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"}
        try:
            answer = self._session.request(method, f"{self._url}/agent/v1/{name}", headers=headers, **options)
        except requests.RequestException as error:
            raise ConsoleError(f"The console does not answer: {error}") from error
        if not answer.ok:
            raise ConsoleError(f"The console answers {answer.status_code} to {name}: {answer.text[:300]}")
        return answer


def _decoded(encoded: dict[str, str]) -> dict[str, bytes]:
    return {sha256: base64.b64decode(content) for sha256, content in encoded.items()}
