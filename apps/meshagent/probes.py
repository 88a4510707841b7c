"""Probes: calls that are decided like any other and end at the door. They show what a configuration really does."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apps.meshagent.layout import Layout

PROBE_SECONDS = 3
AT_ONCE = 8


def run(layout: Layout, probes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One result per probe, in order: the door's verdict, or ``error`` and what happened."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda probe: _run(layout, probe), probes))


def _run(layout: Layout, probe: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"id": probe.get("id"), "verdict": "error", "reason": "", "grants": [], "detail": ""}
    try:
        status, told = _ask(layout, probe)
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        return result | {"detail": f"{type(error).__name__}: {error}"}
    parts = told.split(";")
    if len(parts) != 3 or parts[0] not in ("allow", "deny"):
        return result | {"detail": f"The door answered {status} and said nothing about the probe."}
    grants = [grant for grant in parts[2].split(",") if grant]
    return result | {"verdict": parts[0], "reason": parts[1], "grants": grants}


def _ask(layout: Layout, probe: Mapping[str, Any]) -> tuple[int, str]:
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
