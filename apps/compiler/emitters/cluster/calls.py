"""What a workload sends out: plain HTTP to a service of the mesh becomes mutual TLS on its way, without its doing.

The kernel turns such connections to the NGINX beside the workload, which shows the workload's certificate and talks to
nobody but whoever holds that of the service. Who may call is asked where the call arrives, never here.

What is turned is told from port and network, not from single addresses: those of a service change, and a rule that had
missed the change would let a call go out in plain text. What else lies behind the same ports is named as left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from apps.compiler.emitters.cluster.objects import Object, service_name
from apps.compiler.emitters.edgekv import item_key
from apps.compiler.graph import Service

PORT = 15001
"""Where the NGINX beside a workload takes its calls, on the loopback."""

PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Networks in which services of a mesh stand: RFC 1918, 6598 and 4193. The metadata service of a cloud is in none."""

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


class BadCall(ValueError):
    """How a workload's calls were described cannot be; the message says why."""


@dataclass(frozen=True, slots=True)
class Way:
    """One service: ``at`` is the ``host:port`` where it is found; ``names`` are hosts that a workload calls it by.

    ``ports`` are those at which a workload finds it: that of ``at``, and the application's own.
    """

    service: str
    at: str
    names: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Calls:
    """``inside`` are the networks in which connections are turned, ``leave`` those in them that are left alone."""

    ways: tuple[Way, ...] = ()
    inside: tuple[str, ...] = PRIVATE
    leave: tuple[str, ...] = ()
    port: int = PORT

    def __post_init__(self) -> None:
        for network in (*self.inside, *self.leave):
            try:
                ip_network(network)
            except ValueError as error:
                raise BadCall(f"{network} is no network: {error}.") from error


NO_CALLS = Calls()


def in_cluster(services: Iterable[Service], namespace: str, places: Mapping[str, str]) -> tuple[Way, ...]:
    """Ways from a pod of a namespace; ``places`` by service where it is not found by its usual name and port."""
    found = (service for service in services if service.mesh is not None)
    return tuple(_in_cluster(service, namespace, places) for service in sorted(found, key=lambda one: one.id))


def _in_cluster(service: Service, namespace: str, places: Mapping[str, str]) -> Way:
    if service.mesh is None:
        raise BadCall(f"{service.id} is in no mesh.")
    name, its = service_name(service.id), service.mesh.namespace
    names = [f"{name}.{its}", f"{name}.{its}.svc", f"{name}.{its}.svc.cluster.local"]
    if its == namespace:
        names.append(name)
    return _way(service, places.get(service.id, f"{name}.{its}.svc:{service.mesh.upstream_port}"), names)


def between_machines(services: Iterable[Service], places: Mapping[str, str]) -> tuple[Way, ...]:
    """Ways from a machine: to the services whose place is told, and to no others."""
    by_id = {service.id: service for service in services if service.mesh is not None}
    unknown = sorted(places.keys() - by_id.keys())
    if unknown:
        raise BadCall(f"{unknown[0]} is no service of the mesh.")
    return tuple(_way(by_id[service], places[service], []) for service in sorted(places))


def _way(service: Service, at: str, names: Iterable[str]) -> Way:
    host, _, port = at.rpartition(":")
    if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadCall(f"The place of {service.id} is host:port, not '{at}'.")
    its = [] if service.mesh is None else [service.mesh.upstream_port]
    return Way(item_key(service.id), at, tuple(sorted({*names, host.lower()})), tuple(sorted({int(port), *its})))


def settings(calls: Calls, workload: str) -> Object:
    """What the node agent is told of them."""
    return {
        "as": workload,
        "port": calls.port,
        "ways": {way.service: {"at": way.at, "names": way.names, "ports": way.ports} for way in calls.ways},
    }


def chain(calls: Calls, user: str) -> str:
    """Rules of nftables for what leaves: all but what the user ``user`` sends, which is the NGINX beside.

    An address on this node itself is left alone; there is no wire. Over IPv6 nobody listens, so that is closed.
    """
    ports = sorted({port for way in calls.ways for port in way.ports})
    if not ports:
        return ""
    lines = ['oifname "lo" return', f"meta skuid {user} return"]
    lines += [f"{family} daddr {{ {', '.join(found)} }} return" for family, found in _by_family(calls.leave)]
    told = f"tcp dport {{ {', '.join(map(str, ports))} }} redirect to :{calls.port}"
    lines += [f"{family} daddr {{ {', '.join(found)} }} {told}" for family, found in _by_family(calls.inside)]
    body = "".join(f"    {line}\n" for line in lines)
    return f"  chain output {{\n    type nat hook output priority -100; policy accept;\n{body}  }}\n"


def _by_family(networks: Iterable[str]) -> tuple[tuple[str, list[str]], ...]:
    """Networks as nftables takes them, overlapping ones merged, by the name of their family."""
    known = [ip_network(one) for one in networks]
    v4 = collapse_addresses(one for one in known if isinstance(one, IPv4Network))
    v6 = collapse_addresses(one for one in known if isinstance(one, IPv6Network))
    found = (("ip", [str(one) for one in v4]), ("ip6", [str(one) for one in v6]))
    return tuple((family, addresses) for family, addresses in found if addresses)
