"""What NetworkPolicy objects mean, as a pure function of them: the reference for what is emitted.

After the Kubernetes documentation "Network Policies" (networking.k8s.io/v1). Allow only, order-free, unions; a pod is
isolated in a direction once a policy of that direction selects it; both sides must agree. Replies are implied.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]
NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that every namespace has by itself."""


@dataclass(frozen=True)
class Pod:
    """``named`` are its container ports by name: number and protocol."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    address: str = ""
    named: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """A machine that is no pod."""

    name: str
    address: str


End = Pod | Outside


@dataclass(frozen=True)
class Model:
    """``namespaces``: their own labels, besides the one they all have."""

    policies: Sequence[Policy]
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def is_open(self, source: End, destination: End, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection may be made. A pod always reaches itself."""
        if source == destination:
            return True
        out = not isinstance(source, Pod) or self._lets("Egress", source, destination, destination, port, protocol)
        return out and (
            not isinstance(destination, Pod) or self._lets("Ingress", destination, source, destination, port, protocol)
        )

    def isolates(self, direction: str, pod: Pod) -> bool:
        return bool(self._of(direction, pod))

    def _of(self, direction: str, pod: Pod) -> list[Policy]:
        return [
            policy
            for policy in self.policies
            if direction in _types(policy["spec"])
            and policy["metadata"]["namespace"] == pod.namespace
            and selects(policy["spec"]["podSelector"], pod.labels)
        ]

    def _lets(self, direction: str, own: Pod, other: End, destination: End, port: int, protocol: str) -> bool:
        concerned = self._of(direction, own)
        if not concerned:
            return True
        key, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        return any(
            self._meets(rule.get(peers), other, own.namespace)
            and _has_port(rule.get("ports"), destination, port, protocol)
            for policy in concerned
            for rule in policy["spec"].get(key) or ()
        )

    def _meets(self, peers: Sequence[Mapping[str, Any]] | None, other: End, namespace: str) -> bool:
        return not peers or any(self._is_peer(peer, other, namespace) for peer in peers)

    def _is_peer(self, peer: Mapping[str, Any], other: End, namespace: str) -> bool:
        if "ipBlock" in peer:
            return _in_block(peer["ipBlock"], other.address)
        if isinstance(other, Outside):
            return False
        if "namespaceSelector" in peer:
            labels = {NAME_LABEL: other.namespace, **self.namespaces.get(other.namespace, {})}
            there = selects(peer["namespaceSelector"], labels)
        else:
            there = other.namespace == namespace
        return there and selects(peer.get("podSelector", {}), other.labels)


def _types(spec: Mapping[str, Any]) -> Sequence[str]:
    """Left out: always ingress, and egress if there are rules for it."""
    return spec.get("policyTypes") or ("Ingress", *(("Egress",) if spec.get("egress") else ()))


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """All of a label selector must be met; an empty one is always met."""
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        _meets_expression(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _meets_expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(expression["operator"])


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    found = ipaddress.ip_address(address)
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(one) for one in block.get("except") or ()
    )


def _has_port(ports: Iterable[Mapping[str, Any]] | None, destination: End, port: int, protocol: str) -> bool:
    return not ports or any(_is_port(one, destination, port, protocol) for one in ports)


def _is_port(wanted: Mapping[str, Any], destination: End, port: int, protocol: str) -> bool:
    if wanted.get("protocol", "TCP") != protocol:
        return False
    first = wanted.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return isinstance(destination, Pod) and destination.named.get(first) == (port, protocol)
    return bool(first <= port <= wanted.get("endPort", first))
