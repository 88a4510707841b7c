"""NetworkPolicy objects turned into packet rules, as a cluster's network plugin does: sets of addresses, and nftables.

Written apart from the model on purpose: the model asks of one connection, this makes rules for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.agreement.network_model import Pod, Policy
from tests.netpol.lab import Lab, run, tool_path

REFUSE = "    meta l4proto tcp reject with tcp reset\n    reject with icmp type port-unreachable\n"


def enforce(lab: Lab, policies: Sequence[Policy], namespaces: Mapping[str, Mapping[str, str]]) -> None:
    """Replaces what the lab's node enforces, in one step."""
    rules = Rules(lab, policies, namespaces).text()
    run("ip", "netns", "exec", lab.node, str(tool_path("nft")), "-f", "-", stdin=rules)


class Rules:
    def __init__(self, lab: Lab, policies: Sequence[Policy], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._pods = [end for end in lab.ends if isinstance(end, Pod)]
        self._policies, self._namespaces = policies, namespaces

    def text(self) -> str:
        chains, jumps = [], []
        for place, pod in enumerate(self._pods):
            for side, key, mine in (("egress", "to", "saddr"), ("ingress", "from", "daddr")):
                concerned = [policy for policy in self._policies if self._concerns(policy, side, pod)]
                if concerned:
                    lines = [
                        line
                        for policy in concerned
                        for rule in policy["spec"].get(side) or ()
                        for line in self._lines(rule, rule.get(key), policy["metadata"]["namespace"], side, pod)
                    ]
                    chains.append(f"  chain {side}{place} {{\n{''.join(lines)}{REFUSE}  }}\n")
                    jumps.append(f"    ip {mine} {pod.address} jump {side}{place}\n")
        hook = "    type filter hook forward priority 0; policy accept;\n    ct state established,related accept\n"
        return f"flush ruleset\ntable ip netpol {{\n{''.join(chains)}  chain node {{\n{hook}{''.join(jumps)}  }}\n}}\n"

    def _concerns(self, policy: Policy, side: str, pod: Pod) -> bool:
        spec = policy["spec"]
        sides = {one.lower() for one in spec.get("policyTypes") or ()}
        if not sides:
            sides = {"ingress", "egress"} if spec.get("egress") else {"ingress"}
        return side in sides and pod in self._selected(spec["podSelector"], policy["metadata"]["namespace"])

    def _selected(self, selector: Mapping[str, Any], namespace: str) -> list[Pod]:
        return [pod for pod in self._pods if pod.namespace == namespace and _fits(selector, pod.labels)]

    def _lines(
        self, rule: Mapping[str, Any], peers: Sequence[Mapping[str, Any]] | None, namespace: str, side: str, own: Pod
    ) -> Iterator[str]:
        """A peer that is nobody gives no line."""
        theirs = "saddr" if side == "ingress" else "daddr"
        froms = [""] if not peers else [match for peer in peers for match in self._from(peer, namespace, theirs)]
        for match in froms:
            for ports in self._ports(rule.get("ports"), side, own):
                yield f"    {match}{ports}return\n"

    def _from(self, peer: Mapping[str, Any], namespace: str, theirs: str) -> Iterator[str]:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            but = f"ip {theirs} != {{ {', '.join(block['except'])} }} " if block.get("except") else ""
            yield f"ip {theirs} {block['cidr']} {but}"
            return
        if "namespaceSelector" in peer:
            everywhere = {pod.namespace for pod in self._pods}
            spaces = [one for one in everywhere if _fits(peer["namespaceSelector"], self._labels(one))]
        else:
            spaces = [namespace]
        found = sorted(pod.address for one in spaces for pod in self._selected(peer.get("podSelector") or {}, one))
        if found:
            yield f"ip {theirs} {{ {', '.join(found)} }} "

    def _labels(self, namespace: str) -> dict[str, str]:
        return {**self._namespaces.get(namespace, {}), "kubernetes.io/metadata.name": namespace}

    def _ports(self, ports: Iterable[Mapping[str, Any]] | None, side: str, own: Pod) -> Iterator[str]:
        if not ports:
            yield ""
        for port in ports or ():
            protocol, number = port.get("protocol", "TCP").lower(), port.get("port")
            if number is None:
                yield f"meta l4proto {protocol} "
            elif isinstance(number, int):
                last = port.get("endPort")
                yield f"{protocol} dport {number}{f'-{last}' if last else ''} "
            else:
                yield from self._named(number, protocol, [own] if side == "ingress" else self._pods)

    def _named(self, name: str, protocol: str, among: Iterable[Pod]) -> Iterator[str]:
        for pod in among:
            if name in pod.named and pod.named[name][1].lower() == protocol:
                yield f"ip daddr {pod.address} {protocol} dport {pod.named[name][0]} "


def _fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    if not wanted.items() <= labels.items():
        return False
    for one in selector.get("matchExpressions") or ():
        has, among = one["key"] in labels, labels.get(one["key"]) in (one.get("values") or ())
        if not {"In": among, "NotIn": not among, "Exists": has, "DoesNotExist": not has}[one["operator"]]:
            return False
    return True
