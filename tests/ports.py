"""Ports for what tests start. Each test process has a thousand of its own, so that two runs on a machine never meet."""

from __future__ import annotations

import socket
from functools import cache
from itertools import cycle

_RANGES = range(20000, 32000, 1000)
"""All of them below the ports that are handed to outgoing connections, where a listener can lose a race for one."""

_CLAIMS: list[socket.socket] = []


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Free ports, not handed out lately."""
    found: list[int] = []
    for _ in range(2 * _HALF):
        port = next(_cursor())
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free port")


def free_block(size: int) -> int:
    """The first of so many free ports in a row, from the lower half; single ones come from the upper."""
    for first in range(_first(), _first() + _HALF - size, 50):
        if all(_is_free(port) for port in range(first, first + size)):
            return first
    raise RuntimeError(f"no {size} free ports in a row")


_HALF = _RANGES.step // 2


@cache
def _cursor() -> cycle[int]:
    return cycle(range(_first() + _HALF, _first() + 2 * _HALF))


@cache
def _first() -> int:
    """Claims a range for as long as this process lives. The claim is a name in the kernel that vanishes with us."""
    for first in _RANGES:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0sallyport-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return first
    raise RuntimeError("too many test runs on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
