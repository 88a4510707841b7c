"""How much a line opens, by itself."""

from __future__ import annotations

from apps.firewall.lines import ANY, Line
from apps.firewall.rulebase.region import block_of
from apps.firewall.rulebase.words import WITH_PORTS

# A block with a shorter prefix, and a service with more ports, is wide. Two wide sides of three are too wide.
WIDE_PREFIX = {4: 16, 6: 32}
MOST_PORTS = 1_000
_REPLIES = "state "


def width_words(line: Line) -> str:
    """Why it is too wide, in a sentence; empty when it is not. Lines for replies and loopback never are."""
    if any(_is_harmless(condition) for condition in line.conditions):
        return ""
    wide = [
        *([f"from {_end(line.source)}"] if _is_wide(line.source) else []),
        *([f"to {_end(line.destination)}"] if _is_wide(line.destination) else []),
        *([_service(line)] if _is_wide_service(line) else []),
    ]
    return f"It is open {' and '.join(wide)}." if len(wide) > 1 else ""


def _is_harmless(condition: str) -> bool:
    replies = condition.startswith(_REPLIES) and "NEW" not in condition
    return replies or condition in ("-i lo", "-o lo")


def _is_wide(end: str) -> bool:
    block = block_of(end)
    return end == ANY or (block is not None and block.prefixlen < WIDE_PREFIX[block.version])


def _is_wide_service(line: Line) -> bool:
    if line.protocol == ANY and not line.ports:
        return True
    count = sum(high - low + 1 for low, high in line.ports)
    return count > MOST_PORTS or (not line.ports and line.protocol in WITH_PORTS)


def _end(end: str) -> str:
    return "anywhere" if end == ANY else f"all of {end}"


def _service(line: Line) -> str:
    count = sum(high - low + 1 for low, high in line.ports)
    return f"for {count:,} ports" if count else "for every port"
