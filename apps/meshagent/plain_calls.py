"""Probes made as a pod makes its calls: plain HTTP that a mesh secures by itself, or a connection and nothing more.

No door of ours stands there, so what an answer says in our name is not believed; its status is read as what it is. An
NGINX Service Mesh refuses with 403 and no reason; a NetworkPolicy lets packets vanish. Whether a name can be found is
asked first: a pod that finds no names proves nothing by reaching nobody.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PROBE_SECONDS = 3
STAY_SECONDS = 1
"""A connection that is let nowhere is closed much sooner, one that is let in later or never."""
AT_ONCE = 8
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may come as far as an application. Without a door of ours, an allowed probe does."""

REFUSED = 403
NOT_SAID = frozenset({400, 429, 502, 503, 504})
"""Statuses that come from what is in between as well: a bad certificate, a limit, nobody there."""

NO_CONNECTION, ANSWERED_403, CLOSED = "no_connection", "answered_403", "closed"

Probe = Mapping[str, Any]
Found = dict[str, Any]


def run(probes: Iterable[Probe], may_call: Callable[[str], bool]) -> list[Found]:
    """One result per probe, in order: allow, deny, or ``error`` and what happened.

    Where a probe brings a ``control``, a call that has to stay denied, the result says what came of that, too.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda probe: _run(probe, may_call), probes))


def _run(probe: Probe, may_call: Callable[[str], bool]) -> Found:
    found: Found = {"id": probe.get("id"), "verdict": "error", "reason": "", "grants": [], "detail": ""}
    if not may_call(str(probe.get("host"))):
        return found | {"detail": f"{probe.get('host')} is not a host that probes are made to from here."}
    found |= _made(probe)
    if "control" in probe:
        found["control"] = _made({**probe, **probe["control"]}).get("verdict", "error")
    return found


def _made(probe: Probe) -> Found:
    try:
        match probe.get("how", "http"):
            case "http":
                return ask(probe, PROBE_SECONDS)
            case "connect":
                return connect(probe, PROBE_SECONDS)
            case "stay":
                return stay(probe, PROBE_SECONDS, STAY_SECONDS)
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        return {"detail": f"{type(error).__name__}: {error}"}
    return {"detail": f"It is not known here how to make a probe by {probe['how']}."}


def connect(probe: Mapping[str, Any], seconds: float) -> Found:
    """Whether a connection can be made. Raises OSError when the host has no address."""
    where = f"{probe['host']}:{probe['port']}"
    opened, what = _open(probe, seconds)
    if opened is None:
        return {"verdict": "deny", "reason": NO_CONNECTION, "detail": f"No connection to {where}: {what}."}
    opened.close()
    return {"verdict": "allow", "reason": "connected", "detail": f"A connection to {where} was made."}


def stay(probe: Mapping[str, Any], seconds: float, long_enough: float) -> Found:
    """Whether a connection can be made and is kept. Nothing is sent. Raises OSError when the host has no address."""
    where = f"{probe['host']}:{probe['port']}"
    opened, what = _open(probe, seconds)
    if opened is None:
        return {"verdict": "deny", "reason": NO_CONNECTION, "detail": f"No connection to {where}: {what}."}
    with opened:
        opened.settimeout(long_enough)
        try:
            kept = opened.recv(1) != b""
        except TimeoutError:
            kept = True
        except OSError:
            kept = False
    if not kept:
        return {"verdict": "deny", "reason": CLOSED, "detail": f"A connection to {where} was closed at once."}
    return {"verdict": "allow", "reason": "connected", "detail": f"A connection to {where} was made and kept."}


def ask(probe: Mapping[str, Any], seconds: float) -> Found:
    """One call, if it can do no harm. Raises OSError when the host has no address."""
    method = str(probe["method"])
    if method not in HARMLESS:
        return {"detail": f"A {method} would reach the application, so it is not sent as a probe."}
    opened, what = _open(probe, seconds)
    if opened is None:
        where = f"{probe['host']}:{probe['port']}"
        return {"verdict": "deny", "reason": NO_CONNECTION, "detail": f"No connection to {where}: {what}."}
    with opened:
        connection = http.client.HTTPConnection(str(probe["host"]), int(probe["port"]))
        connection.sock = opened
        connection.request(method, str(probe["path"]), headers={"X-Sallyport-Probe": "1", "Connection": "close"})
        answer = connection.getresponse()
        return _read(answer.status)


def _read(status: int) -> Found:
    if status == REFUSED:
        return {"verdict": "deny", "reason": ANSWERED_403, "detail": "It was answered with 403."}
    if status in NOT_SAID:
        return {"detail": f"It was answered with {status}, which says nothing about who may call."}
    return {"verdict": "allow", "reason": f"answered_{status}", "detail": f"The application answered with {status}."}


def _open(probe: Mapping[str, Any], seconds: float) -> tuple[socket.socket | None, str]:
    """The connection, or None and why there is none."""
    host, port = str(probe["host"]), int(probe["port"])
    socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        return socket.create_connection((host, port), timeout=seconds), ""
    except TimeoutError:
        return None, "nobody answered in time"
    except OSError as error:
        return None, (error.strerror or type(error).__name__).lower()
