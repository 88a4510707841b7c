"""The EdgeWorkers and EdgeKV calls the driver makes, signed with EdgeGrid. Errors keep the vendor's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from akamai.edgegrid import EdgeGridAuth
from requests.adapters import HTTPAdapter

from apps.rollout.drivers.base import VendorError

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
POOL = 8
MOST_WORDS = 2000

EDGEWORKERS, EDGEKV = "/edgeworkers/v1", "/edgekv/v1"
STAGING, PRODUCTION = "STAGING", "PRODUCTION"


@dataclass(frozen=True, slots=True)
class Credentials:
    client_token: str
    client_secret: str
    access_token: str


@dataclass(frozen=True, slots=True)
class Connection:
    """``account_switch_key`` names another account than the client's own; ``max_body`` bytes of a POST are signed."""

    account_switch_key: str = ""
    max_body: int = 131_072
    read_seconds: float = READ_SECONDS


DEFAULT_CONNECTION = Connection()


class AkamaiApi:
    """One signed session. ``base_url`` is the API client's host, or a local edge's control address.

    ``on_answer`` is shown every answer, from whichever thread got it.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        connection: Connection = DEFAULT_CONNECTION,
        on_answer: Callable[[requests.Response], None] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._read_seconds = connection.read_seconds
        self._session = requests.Session()
        if on_answer is not None:
            self._session.hooks["response"].append(lambda answer, **_: on_answer(answer))
        if connection.account_switch_key:
            self._session.params = {"accountSwitchKey": connection.account_switch_key}
        self._session.mount("http", HTTPAdapter(pool_connections=1, pool_maxsize=POOL))
        self._session.auth = EdgeGridAuth(
            client_token=credentials.client_token,
            client_secret=credentials.client_secret,
            access_token=credentials.access_token,
            max_body=connection.max_body,
        )

    def close(self) -> None:
        self._session.close()

    def get_json(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        return _json(self._call("GET", path, params=params, headers=headers))

    def find_json(self, path: str) -> Any | None:
        """None when the vendor says there is no such thing."""
        answer = self._send("GET", path)
        if answer.status_code == 404:
            return None
        return _json(_checked("GET", path, answer))

    def find_text(self, path: str) -> str | None:
        answer = self._send("GET", path)
        return None if answer.status_code == 404 else _checked("GET", path, answer).text

    def post_json(self, path: str, body: Mapping[str, object]) -> Any:
        return _json(self._call("POST", path, json=body))

    def post_bundle(self, path: str, content: bytes) -> Any:
        return _json(self._call("POST", path, data=content, headers={"Content-Type": "application/gzip"}))

    def put_json(self, path: str, body: Mapping[str, object]) -> requests.Response:
        return self._call("PUT", path, json=body)

    def put_text(self, path: str, content: bytes, media_type: str) -> None:
        self._call("PUT", path, data=content, headers={"Content-Type": media_type})

    def delete(self, path: str) -> None:
        """What is gone already is gone."""
        answer = self._send("DELETE", path)
        if answer.status_code != 404:
            _checked("DELETE", path, answer)

    def call(self, method: str, path: str, **given: Any) -> requests.Response:
        """For APIs that say things in headers; ``given`` is as for requests. Raises VendorError."""
        return self._call(method, path, **given)

    def ask(self, method: str, path: str, **given: Any) -> requests.Response:
        """As ``call``, with the answer given back whatever its status."""
        return self._send(method, path, **given)

    def _call(self, method: str, path: str, **given: Any) -> requests.Response:
        return _checked(method, path, self._send(method, path, **given))

    def _send(self, method: str, path: str, **given: Any) -> requests.Response:
        try:
            return self._session.request(
                method,
                self._base_url + path,
                timeout=(CONNECT_SECONDS, self._read_seconds),
                allow_redirects=False,
                **given,
            )
        except requests.RequestException as error:
            said = f"no answer ({error})"[:MOST_WORDS]
            raise VendorError(f"{method} {path}", 0, said, kind=_silence(error)) from error


def _checked(method: str, path: str, answer: requests.Response) -> requests.Response:
    if answer.status_code >= 300:
        raise VendorError(f"{method} {path}", answer.status_code, answer.text[:MOST_WORDS], _retry_after(answer))
    return answer


def _silence(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timeout"
    return "cut" if isinstance(error, requests.exceptions.ChunkedEncodingError) else "unreachable"


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds; also a date, as RFC 9110 allows, counted from the answer's own Date."""
    value = answer.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        until, since = parsedate_to_datetime(value), parsedate_to_datetime(answer.headers.get("Date", ""))
        return max((until - since).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _json(answer: requests.Response) -> Any:
    """The body, which the vendor promised to be JSON; what is not is reported as it came."""
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError as error:
        raise VendorError(answer.url, answer.status_code, answer.text[:MOST_WORDS], kind="not_json") from error
