"""What somebody wrote as a source or a destination, taken apart. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from apps.compiler.addresses import BadBlock, Block, merge, read_block
from apps.compiler.paths import METHODS
from apps.firewall.lines import DIRECTION_CELLS

MOST_BLOCKS = 50
_ANYBODY = frozenset({"", "*", "all", "any", "anybody", "anyone", "anywhere", "everybody", "internet", "world"})
_WHOLE = frozenset({"0.0.0.0/0", "::/0"})
_ARTICLES = frozenset({"a", "an", "the", "service", "team", "workload", "app", "host", "server"})
_KINDS = {"team": "team", "service": "workload", "workload": "workload", "app": "workload", "agent": "agent"}
"""The kind of caller that is meant where one of these words stands beside the name."""
_APART = re.compile(r"[\s,;]+")
_WORDS = re.compile(r"[a-z0-9]+")
_SCHEME = re.compile(r"^(?:https?|grpc|tcp)://", re.IGNORECASE)
_KEY = re.compile(r"^(?:(?:person|team|workload|agent|party):|spiffe://)")
_POD = re.compile(r"(?:app\.kubernetes\.io/name|app|k8s-app)=(?P<name>[\w.-]+)(?: in (?P<namespace>[\w.-]+))?", re.I)
_GROUP = re.compile(r"(?P<name>.+?) \(sg-[\w-]+\)")
_PORT = re.compile(r"^(?P<host>[^:/\s]+):(?P<port>\d{1,5})$")
_CALL = re.compile(rf"\b({'|'.join(METHODS)})\s+(/[^\s,;\"']*)")
_RANGE = re.compile(r"(\d{1,5})(?:\s*[-:]\s*(\d{1,5}))?")


class BadPorts(ValueError):
    """What was written is no port; the message is a whole sentence."""


class BadDirection(ValueError):
    """What was written is no direction; the message is a whole sentence."""


@dataclass(frozen=True, slots=True)
class Term:
    """``name`` is lower-cased, without scheme, port and path. ``blocks`` is filled when it is nothing but addresses.

    ``plainly`` is false for a name that another system's notation was taken off.
    """

    text: str
    name: str
    port: int | None = None
    path: str = ""
    blocks: tuple[Block, ...] = ()
    anybody: bool = False
    plainly: bool = True

    @property
    def words(self) -> frozenset[str]:
        return frozenset(_WORDS.findall(self.name)) - _ARTICLES

    @property
    def kind(self) -> str:
        """``the payments team`` is a team; empty where nothing says so."""
        return next((_KINDS[word] for word in self.name.split() if word in _KINDS), "")

    @property
    def plain(self) -> str:
        """The name without what people put around it: ``the payments team`` is ``payments``."""
        kept = [word for word in self.name.split() if word not in _ARTICLES]
        return " ".join(kept) or self.name


def read_term(text: str) -> Term:
    clean = _named(text.strip())
    lowered = clean.lower()
    if lowered in _ANYBODY or lowered in _WHOLE:
        return Term(clean, lowered, anybody=True)
    blocks = _blocks(clean)
    if blocks:
        return Term(clean, lowered, blocks=blocks)
    if _KEY.match(lowered):
        return Term(clean, lowered)
    rest = _SCHEME.sub("", clean)
    host, slash, path = rest.partition("/") if _SCHEME.match(clean) or _looks_like_host(rest) else (rest, "", "")
    found = _PORT.match(host)
    name = found["host"] if found else host
    plainly = clean == text.strip()
    return Term(clean, name.lower().strip(), int(found["port"]) if found else None, slash + path, plainly=plainly)


def _named(text: str) -> str:
    """The name in what old rule bases write: pods by their label, security groups with their id."""
    pod, group = _POD.fullmatch(text), _GROUP.fullmatch(text)
    if pod is not None:
        return f"{pod['namespace']}/{pod['name']}" if pod["namespace"] else pod["name"]
    return group["name"] if group is not None else text


def _looks_like_host(text: str) -> bool:
    """``shop/cart`` is a namespace and a name; ``api.shop.test/cart`` and ``payments:8080/x`` are a host and a path."""
    host = text.partition("/")[0]
    return "." in host or ":" in host


def _blocks(text: str) -> tuple[Block, ...]:
    """Nothing as soon as a part is no block."""
    parts = [part for part in _APART.split(text) if part]
    if not 0 < len(parts) <= MOST_BLOCKS:
        return ()
    try:
        return merge(read_block(part) for part in parts)
    except BadBlock:
        return ()


def read_call(text: str) -> tuple[str, str]:
    """A method and a path out of a sentence such as "POST /refunds, until Friday"; empty when there are none."""
    found = _CALL.search(text)
    return (found[1], found[2].rstrip(".")) if found else ("", "")


def end_of(day: date) -> datetime | None:
    """When a day is over, in UTC; None for the last day there is."""
    try:
        return datetime.combine(day + timedelta(days=1), time(), UTC)
    except OverflowError:
        return None


def read_direction(text: str) -> str:
    """``inbound`` is ``in``; empty where nothing is said. Raises BadDirection."""
    word = text.strip().lower()
    if word not in DIRECTION_CELLS:
        raise BadDirection(f"{text[:40]!r} is no direction: write inbound or outbound, or leave it out.")
    return DIRECTION_CELLS[word].value if word else ""


def read_ports(text: str) -> list[list[int]]:
    """``443``, ``80, 8000-8010``; empty for any. Raises BadPorts."""
    if text.strip().lower() in _ANYBODY:
        return []
    found: list[list[int]] = []
    for part in (one.strip() for one in text.replace(";", ",").split(",")):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise BadPorts(f"{part[:40]!r} is no port and no range such as 8000-8010.")
        low, high = int(match[1]), int(match[2] or match[1])
        if not 0 < low <= high <= 65535:
            raise BadPorts(f"{part} is no range of ports from 1 to 65535.")
        found.append([low, high])
    return sorted(found)
