"""Asking a provider something. Its addresses are typed in by people, so a call goes no further than it must.

Only https (in the demo also plain http on the loopback), no redirects, five seconds in all, 256 KiB: otherwise the
console could be made to read what only it can reach, or to wait for ever.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings

SECONDS = 5.0
LARGEST = 256 * 1024
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Unreachable(Exception):
    """The provider did not answer, or not in a way we accept. The message is for administrators."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Raises Unreachable unless the body is one JSON object."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Unreachable("the answer is not JSON") from error
        if not isinstance(found, dict):
            raise Unreachable("the answer is not a JSON object")
        return found


def fault_of(url: str) -> str:
    """Why we do not call ``url``; empty when we would."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not an address"
    if not host or parts.username is not None or parts.fragment or not url.isprintable() or " " in url:
        return "is not a plain address"
    if parts.scheme == "http" and settings.SALLYPORT_DEMO and host in LOOPBACK:
        return ""
    if parts.scheme != "https":
        return "does not begin with https://"
    return "leads to the machine itself or to its neighbours" if _is_near(host) else ""


def _is_near(host: str) -> bool:
    """Addresses that only this machine and its cloud's metadata service have."""
    if host == "localhost":
        return not settings.SALLYPORT_DEMO
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return not settings.SALLYPORT_DEMO
    return address.is_link_local or address.is_unspecified or address.is_multicast


def get(url: str, *, headers: Mapping[str, str] | None = None, seconds: float = SECONDS) -> Answer:
    return _call("GET", url, headers=headers or {}, seconds=seconds)


def post_form(
    url: str, form: Mapping[str, str], *, auth: tuple[str, str] | None = None, seconds: float = SECONDS
) -> Answer:
    return _call("POST", url, headers={}, form=form, auth=auth, seconds=seconds)


def _call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    seconds: float,
) -> Answer:
    fault = fault_of(url)
    if fault:
        raise Unreachable(f"{url} {fault}")
    until = time.monotonic() + seconds
    try:
        with requests.request(
            method,
            url,
            headers={"Accept": "application/json", **headers},
            data=form,
            auth=auth,
            timeout=seconds,
            allow_redirects=False,
            stream=True,
        ) as answer:
            return Answer(answer.status_code, answer.headers, _read(answer, until))
    except (requests.RequestException, ValueError) as error:
        raise Unreachable(f"{url} does not answer ({type(error).__name__})") from error


def _read(answer: requests.Response, until: float) -> bytes:
    body = b""
    for part in answer.iter_content(8192):
        body += part
        if len(body) > LARGEST:
            raise Unreachable(f"{answer.url} answers with more than {LARGEST // 1024} KiB")
        if time.monotonic() > until:
            raise Unreachable(f"{answer.url} takes too long to answer")
    return body


def get_json(url: str, *, headers: Mapping[str, str] | None = None, seconds: float = SECONDS) -> dict[str, Any]:
    """The JSON object at ``url``; raises Unreachable."""
    answer = get(url, headers=headers, seconds=seconds)
    if answer.status != 200:
        raise Unreachable(f"{url} answers with {answer.status}")
    return answer.json()
