"""Probes: calls that are decided like any other and end at the door. They show what a configuration really does.

A probe says how it is made: at a door of ours (unless it says otherwise), or in the ways of ``plain_calls``.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apps.meshagent import plain_calls
from apps.meshagent.layout import Layout

PROBE_SECONDS = 3
AT_ONCE = 8

Probe = Mapping[str, Any]
Found = dict[str, Any]
Allowed = Callable[[str], bool]
"""Whether a host may be called at all."""


def anywhere(host: str) -> bool:
    return True


def run(layout: Layout, probes: Iterable[Probe], allowed: Allowed = anywhere) -> list[Found]:
    """One result per probe, in order: the door's verdict, or ``error`` and what happened."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda probe: _run(layout, probe, allowed), probes))


def _run(layout: Layout, probe: Probe, allowed: Allowed) -> Found:
    result: Found = {"id": probe.get("id"), "verdict": "error", "reason": "", "grants": [], "detail": ""}
    try:
        if not allowed(str(probe["host"])):
            return result | {"detail": f"{probe['host']} is not a host that probes are made to from here."}
        return result | _make(layout, probe)
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        return result | {"detail": f"{type(error).__name__}: {error}"}


def _make(layout: Layout, probe: Probe) -> Found:
    match probe.get("how", "door"):
        case "door":
            return _at_door(layout, probe)
        case "http":
            return plain_calls.ask(probe, PROBE_SECONDS)
        case "connect":
            return plain_calls.connect(probe, PROBE_SECONDS)
    return {"detail": f"This node does not know how to make a probe by {probe['how']}."}


def _at_door(layout: Layout, probe: Probe) -> Found:
    status, told = _ask(layout, probe)
    said = plain_calls.verdict_of(told)
    return said or {"detail": f"The door answered {status} and said nothing about the probe."}


def _ask(layout: Layout, probe: Probe) -> tuple[int, str]:
    context = _as_workload(layout, str(probe["workload"]))
    raw = socket.create_connection((str(probe["host"]), int(probe["port"])), timeout=PROBE_SECONDS)
    with context.wrap_socket(raw) as secured:
        connection = http.client.HTTPConnection(str(probe["host"]), int(probe["port"]))
        connection.sock = secured
        connection.request(str(probe["method"]), str(probe["path"]), headers={"X-Sallyport-Probe": "1"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("X-Sallyport-Mesh", "")


def _as_workload(layout: Layout, workload: str) -> ssl.SSLContext:
    """Any door of our authority will do: it is this node's own configuration that is asked."""
    folder = layout.identity(workload)
    context = ssl.create_default_context(cafile=str(layout.authority))
    context.check_hostname = False
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
