"""What a workload of this node sends to services of the mesh: plain HTTP in, mutual TLS out, or nothing goes out.

The kernel turns such connections to a listener on the loopback. Which service is meant is told by the host that was
called; whom NGINX talks to must hold the certificate that the signed bundle names for it. Where a service stands is
looked up here and not by NGINX, which would not start for as long as one name cannot be found.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.meshagent.layout import slug

FILE = "node_http_calls.conf"
NAMES = "door_names.json"
HTTP = 80
LOOK_SECONDS = 2.0
AT_ONCE = 8
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Way:
    """``at`` is the ``host:port`` where a service is found; ``names`` and ``ports`` are those it is called by."""

    at: str
    names: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Calls:
    """``workload`` is who calls, ``port`` where its calls are turned to, ``ways`` are by service folder."""

    workload: str
    port: int
    ways: Mapping[str, Way]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Calls:
        """Raises ValueError for what could be read as configuration of another kind."""
        ways = {str(service): _way(told) for service, told in data["ways"].items()}
        odd = [service for service in ways if not _PLAIN.fullmatch(service)]
        if odd:
            raise ValueError(f"{odd[0]!r} is no name of a service.")
        return cls(str(data["as"]), int(data["port"]), ways)


def _way(told: Mapping[str, Any]) -> Way:
    way = Way(str(told["at"]), tuple(map(str, told["names"])), tuple(map(int, told["ports"])))
    host, _, port = way.at.rpartition(":")
    odd = [name for name in (host, *way.names) if not _HOST.fullmatch(name)]
    if odd or not port.isdecimal():
        raise ValueError(f"A service is found at host:port, not at {way.at!r}, by names such as {odd[:1]!r}.")
    return way


def look_up(at: str) -> tuple[str, ...]:
    """The IPv4 addresses of a place with its port, in order; none when its name cannot be found."""
    host, _, port = at.rpartition(":")
    try:
        _, _, addresses = socket.gethostbyname_ex(host)
    except OSError:
        return ()
    return tuple(sorted({f"{address}:{port}" for address in addresses}))


class Finder:
    """Where services are. It waits no longer than a moment, and keeps what it knew where nobody answers."""

    def __init__(self, ask: Callable[[str], tuple[str, ...]] = look_up) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look-up")
        self._asked: dict[str, Future[tuple[str, ...]]] = {}
        self._known: dict[str, tuple[str, ...]] = {}

    def find(self, places: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Addresses by place; none for one that was never found."""
        wanted = set(places)
        for place in wanted:
            if place not in self._asked:
                self._asked[place] = self._pool.submit(self._ask, place)
        wait([self._asked[place] for place in wanted], LOOK_SECONDS)
        for place in wanted:
            if self._asked[place].done():
                self._known[place] = self._asked.pop(place).result() or self._known.get(place, ())
        return {place: self._known.get(place, ()) for place in wanted}


def conf(revision: Path, calls: Calls, finder: Finder) -> str:
    """The listener, for a revision: a service it does not know has no way, and calls to it fail."""
    path = revision / NAMES
    told: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    names = {service: name for service, name in told.items() if _PLAIN.fullmatch(name)}
    ways = {service: way for service, way in sorted(calls.ways.items()) if service in names}
    found = finder.find(way.at for way in ways.values())
    places = {service: found[way.at] for service, way in ways.items()}
    return _CONF.format(
        identity=slug(calls.workload),
        port=calls.port,
        unknown=_refusal(421, "no_such_callee", "No service of the mesh is called that."),
        unreachable=_refusal(502, "callee_unreachable", "The door of the service could not be reached, or is another."),
        by_place=_rows(_called_at(ways, places)),
        by_name=_rows(_called_by_name(ways)),
        names=_rows((_upstream(service), names[service]) for service in ways),
        upstreams="".join(_block(_upstream(service), places[service]) for service in ways),
    )


def _refusal(status: int, code: str, title: str) -> str:
    return f"{status} '{json.dumps({'title': title, 'status': status, 'code': code})}'"


def _upstream(service: str) -> str:
    """NGINX compares names without respect to case."""
    return f"sp_call_{service if service.islower() else hashlib.sha256(service.encode()).hexdigest()[:32]}"


def _called_at(ways: Mapping[str, Way], places: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    """By host and port: what a client says. It leaves the usual port out."""
    for service, way in ways.items():
        hosts = {*way.names, *(place.rpartition(":")[0] for place in places[service])}
        for host in hosts:
            for port in way.ports:
                yield f"{host.lower()}:{port}", _upstream(service)
                if port == HTTP:
                    yield host.lower(), _upstream(service)


def _called_by_name(ways: Mapping[str, Way]) -> Iterator[tuple[str, str]]:
    """By host alone, for a client that keeps the port to itself."""
    for service, way in ways.items():
        for name in way.names:
            yield name.lower(), _upstream(service)


def _rows(found: Iterable[tuple[str, str]]) -> str:
    """Lines of a map. What means two things means neither."""
    meant: defaultdict[str, set[str]] = defaultdict(set)
    for key, value in found:
        meant[key].add(value)
    sure = sorted((key, *values) for key, values in meant.items() if len(values) == 1)
    return "".join(f'    "{key}" {value};\n' for key, value in sure)


def _block(name: str, addresses: Iterable[str]) -> str:
    servers = "".join(f"    server {address};\n" for address in addresses) or "    server 127.0.0.1:9 down;\n"
    return f"upstream {name} {{\n{servers}    keepalive 32;\n    keepalive_timeout 30s;\n}}\n"


_CONF = """\
map $http_host $sp_callee {{
    default $sp_callee_by_name;
{by_place}}}
map $host $sp_callee_by_name {{
    default "";
{by_name}}}
map $sp_callee $sp_callee_name {{
    default "";
{names}}}
{upstreams}server {{
    listen 127.0.0.1:{port};
    default_type application/problem+json;
    # Where no door stands, nothing else says this, and the log that doors share speaks of it.
    set $sp_point calls;
    proxy_ssl_certificate ../../identities/{identity}/cert.pem;
    proxy_ssl_certificate_key ../../identities/{identity}/key.pem;
    proxy_ssl_trusted_certificate ../../ca.pem;
    proxy_ssl_verify on;
    proxy_ssl_verify_depth 3;
    proxy_ssl_server_name on;
    proxy_ssl_name $sp_callee_name;
    proxy_set_header Host $http_host;
    proxy_set_header Connection $sp_connection;
    proxy_set_header Upgrade $http_upgrade;
    error_page 502 504 @unreachable;

    location / {{
        if ($sp_callee = "") {{
            return {unknown};
        }}
        proxy_pass https://$sp_callee;
    }}

    location @unreachable {{
        return {unreachable};
    }}
}}
"""
