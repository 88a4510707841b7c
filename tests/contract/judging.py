"""Holding what the driver says and hears against Akamai's published descriptions.

The descriptions are not ours to ship; the tests run where they lie beside the repository.
"""

from __future__ import annotations

import copy
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from openapi_core.exceptions import OpenAPIError

from apps.rollout.drivers.akamai.calls import (
    CALLS,
    CLIENT_LISTS,
    DATASTREAM,
    EDGEKV,
    EDGEWORKERS,
    IAM,
    KEYSTORE,
    NETWORK_LISTS,
    PAPI,
    Call,
    call_of,
)
from tests.contract import unpublished

SPECIFICATIONS = Path(__file__).resolve().parents[2].parent / "shared" / "specs" / "akamai"
DOCUMENTS = {
    EDGEWORKERS: "edgeworkers",
    EDGEKV: "edgekv",
    NETWORK_LISTS: "network-lists",
    DATASTREAM: "datastream",
    KEYSTORE: "mtls-origin-keystore.derived",
    PAPI: "papi",
    IAM: "iam",
}
"""Those of Akamai, and of the mTLS Origin Keystore one that was derived from Akamai's clients."""

OURS = {CLIENT_LISTS: unpublished.CLIENT_LISTS}
"""Written here, since nothing at all is published."""

DERIVED = frozenset({KEYSTORE, CLIENT_LISTS})
RULES_TYPE = "application/vnd.akamai.papirules.v2025-10-16+json"
UNPUBLISHED = ("errors", "warnings")
"""Property Manager's document has no place for these in its answers, though the live API's clients read them there."""

NOT_THERE = 404
"""What is not there is answered so by every API; of streams the document does not say."""

MAY_BE_EMPTY = ("edgeWorkerIds", "versions", "activations", "namespaces")
"""Published answers always list something; an account where nothing was made yet has nothing to list."""


@dataclass
class Heard:
    """What was seen of one call."""

    scenarios: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)
    judged: int = 0
    empty_lists: int = 0
    unforeseen: int = 0
    objections: list[str] = field(default_factory=list)


class Witness:
    """Shown every exchange of the driver. ``unknown`` are those the driver's own list does not have."""

    def __init__(self, control: str) -> None:
        self.seen: defaultdict[str, Heard] = defaultdict(Heard)
        self.unknown: set[tuple[str, str]] = set()
        self._control, self._scenario, self._lock = control, "", threading.Lock()
        self._documents = {base: described(base, control) for base in (*DOCUMENTS, *OURS)}

    @contextmanager
    def during(self, scenario: str) -> Iterator[None]:
        self._scenario = scenario
        yield

    def __call__(self, answer: requests.Response) -> None:
        method, path = str(answer.request.method), urlsplit(str(answer.request.url)).path
        call = call_of(method, path)
        with self._lock:
            if call is None:
                self.unknown.add((method, path))
            else:
                self._judge(call, answer)

    def _judge(self, call: Call, answer: requests.Response) -> None:
        heard = self.seen[call.key]
        heard.scenarios.add(self._scenario)
        heard.statuses.add(answer.status_code)
        document, request = self._documents[call.base], RequestsOpenAPIRequest(answer.request)
        try:
            document.validate_request(request)
            if is_empty_list(answer):
                heard.empty_lists += 1
            elif answer.content:
                document.validate_response(request, RequestsOpenAPIResponse(as_published(answer)))
            heard.judged += 1
        except OpenAPIError as error:
            if answer.status_code == NOT_THERE and "Unknown response http status" in str(error):
                heard.unforeseen += 1
                return
            heard.objections.append(f"{answer.status_code}: {error} {error.__cause__}")


def read(base: str) -> dict[str, Any]:
    """The description of the API below ``base``."""
    if base in OURS:
        return copy.deepcopy(OURS[base])
    found: dict[str, Any] = json.loads((SPECIFICATIONS / f"{DOCUMENTS[base]}.openapi.json").read_text())
    return found


def described(base: str, control: str) -> OpenAPI:
    document = read(base)
    document["servers"] = [{"url": f"{control}{base}"}]
    config = Config(
        extra_media_type_deserializers={
            "application/problem+json": json.loads,
            "application/gzip": as_text,
            RULES_TYPE: json.loads,
            "*/*": json.loads,
        }
    )
    return OpenAPI.from_dict(document, config=config)


def as_published(answer: requests.Response) -> requests.Response:
    """Without what the document has no place for."""
    body = answer.json() if "json" in answer.headers.get("content-type", "") else None
    ours = isinstance(body, dict) and urlsplit(str(answer.request.url)).path.startswith(PAPI)
    if not ours or not any(name in body for name in UNPUBLISHED):
        return answer
    shown = requests.Response()
    shown.status_code, shown.headers, shown.request = answer.status_code, answer.headers, answer.request
    shown._content = json.dumps({name: value for name, value in body.items() if name not in UNPUBLISHED}).encode()
    return shown


def as_text(content: bytes) -> str:
    """The descriptions call a bundle a string."""
    return content.decode("latin-1")


def is_empty_list(answer: requests.Response) -> bool:
    if "json" not in answer.headers.get("content-type", ""):
        return False
    body = answer.json()
    return isinstance(body, Mapping) and any(body.get(name) == [] for name in MAY_BE_EMPTY)


def is_described(call: Call) -> bool:
    """Whether the description has this operation at this address."""
    operation = read(call.base)["paths"].get(call.path, {}).get(call.method.lower(), {})
    return bool(operation.get("operationId") == call.operation)


def table(seen: Mapping[str, Heard]) -> str:
    """As it stands in the reference."""
    lines = [
        "| operation | call | for | covered by | answers held against the description |",
        "|---|---|---|---|---|",
    ]
    for call in CALLS:
        heard = seen.get(call.key, Heard())
        statuses = ", ".join(map(str, sorted(heard.statuses)))
        said = f"{statuses}: as described"
        if call.outside:
            said = f"**no published document**: {call.outside}. Held against that: {said}"
        if heard.empty_lists:
            said += "; once an empty list, which the description does not allow for"
        if heard.unforeseen:
            said += "; 404 for what was deleted, which the description does not tell of"
        if heard.objections:
            said = f"{len(heard.objections)} objections"
        covered = ", ".join(f"`{one}`" for one in sorted(heard.scenarios)) or "nothing"
        lines.append(f"| `{call.key}` | `{call.method} {call.template}` | {call.purpose} | {covered} | {said} |")
    return "\n".join(lines) + "\n"
