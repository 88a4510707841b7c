"""Kubernetes NetworkPolicy objects, in YAML or JSON, one or many, lists of them too.

Source of the meaning: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1. Policies
only ever allow, and what any of them allows passes; a pod that none selects is open, which no line can say, so removing
a rule never removes its policy. Each rule is numbered from 1 in reading order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import product
from typing import Any

import yaml

from apps.catalog.imports.documents import UnreadableYamlError, Value
from apps.catalog.imports.documents import read as read_yaml
from apps.compiler.addresses import BadBlock, Block, merge, read_block, within, write
from apps.firewall.lines import ANY, Action, Direction, Line, PortRange
from apps.firewall.rulebase.reading import MAX_PER_RULE, Bad, Reading
from apps.firewall.rulebase.words import LONGEST_NAME, WITH_PORTS, read_protocol, read_range, short, tidy_ports

EVERY_POD = "every pod"

_WAYS = (("ingress", Direction.IN, "from"), ("egress", Direction.OUT, "to"))
_SPEC = ("podSelector", "policyTypes", "ingress", "egress")
_PEER = ("ipBlock", "podSelector", "namespaceSelector")
_SELECTOR = ("matchLabels", "matchExpressions")
_PORT = ("protocol", "port", "endPort")
_Ports = tuple[str, tuple[PortRange, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Rule:
    """``idle`` when its policy does not govern this direction, so that it allows nothing."""

    number: int
    policy: str
    namespace: str
    selected: str
    direction: Direction
    side: str
    rule: Value
    idle: bool
    line: int | None

    @property
    def where(self) -> str:
        place = f", line {self.line}" if self.line else ""
        return f"{self.policy}, {'ingress' if self.direction is Direction.IN else 'egress'}{place}"


def looks_so(text: str) -> bool:
    return "NetworkPolicy" in text and re.search(r"\bkind[\"']?\s{0,4}:", text[:200_000]) is not None


def read(text: str, reading: Reading, today: date | None) -> None:
    try:
        documents = read_yaml(text)
    except UnreadableYamlError as error:
        place = f"Line {error.line}: " if error.line else ""
        reading.blame(0, f"{place}{error.message}")
        return
    number = 0
    for document in documents:
        for kind in _others(document.value):
            reading.note(0, f"{short(kind)} is no NetworkPolicy; left aside.")
        for path, policy in _policies(document.value):
            name, rules = _name(policy), list(_rules(policy, number, reading))
            number += len(rules)
            if not rules:
                reading.note(0, f"{name} allows nothing; it only closes what it selects.")
            for rule in rules:
                key = "ingress" if rule.direction is Direction.IN else "egress"
                at = rule.number - number + len(rules) - 1
                first = sum(1 for one in rules if one.direction is Direction.IN)
                line = document.line(*path, "spec", key, at if key == "ingress" else at - first)
                located = replace(rule, line=line)
                reading.names.add(rule.selected)
                if rule.idle:
                    reading.note(rule.number, f"{located.where}: policyTypes leaves that out, so it decides nothing.")
                else:
                    reading.attempt(rule.number, partial(_lines, located))


def without(text: str, numbers: Collection[int]) -> str:
    """The same policies without the rules of these numbers, as YAML; which ways a policy closes stays as it was."""
    read_yaml(text)  # bounds its size, its depth and the weight of its aliases
    documents = json.loads(json.dumps([one for one in yaml.safe_load_all(text) if one is not None], default=str))
    number = 0
    for document in documents:
        for _, policy in _policies(document):
            spec: Any = policy.get("spec")
            if isinstance(spec, dict):
                spec.setdefault("policyTypes", ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
                for way, _, _ in _WAYS:
                    rules = spec.get(way)
                    if isinstance(rules, list):
                        spec[way] = [one for at, one in enumerate(rules, number + 1) if at not in numbers]
                        number += len(rules)
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)


def _policies(document: Value) -> Iterator[tuple[tuple[str | int, ...], dict[str, Value]]]:
    """The policies of a document, which may be a list of objects; with the path to each."""
    if not isinstance(document, dict):
        return
    if document.get("kind") == "NetworkPolicy":
        yield (), document
    items = document.get("items")
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("kind") == "NetworkPolicy":
            yield ("items", number), item


def _others(document: Value) -> Iterator[str]:
    """Of what kinds the objects are that are no policies."""
    if not isinstance(document, dict) or document.get("kind") == "NetworkPolicy":
        return
    items = document.get("items")
    held = items if isinstance(items, list) else [document]
    for item in held:
        kind = item.get("kind") if isinstance(item, dict) else None
        if kind != "NetworkPolicy":
            yield str(kind)


def _part(value: Value, name: str) -> dict[str, Value]:
    held = value.get(name) if isinstance(value, dict) else None
    return held if isinstance(held, dict) else {}


def _only(value: dict[str, Value], names: tuple[str, ...], what: str) -> None:
    """A misspelt name would be read as if it were not there, and what is not there allows everything."""
    for name in value:
        if name not in names:
            raise Bad(f"{what} has {short(str(name))}, which is none of {', '.join(names)}.")


def _text(value: Value, name: str) -> str:
    held = value.get(name) if isinstance(value, dict) else None
    return " ".join(held.split()) if isinstance(held, str) else ""


def _name(policy: dict[str, Value]) -> str:
    meta = _part(policy, "metadata")
    return f"{_text(meta, 'namespace') or 'default'}/{_text(meta, 'name') or 'without a name'}"[:LONGEST_NAME]


def _rules(policy: dict[str, Value], number: int, reading: Reading) -> Iterator[_Rule]:
    namespace, spec = _text(_part(policy, "metadata"), "namespace") or "default", _part(policy, "spec")
    try:
        _only(spec, _SPEC, "The policy")
        selected = _pods(namespace, spec.get("podSelector"))
    except Bad as error:
        reading.blame(0, f"{_name(policy)}: {error}")
        selected = EVERY_POD
    types = spec.get("policyTypes")
    for way, direction, side in _WAYS:
        idle = isinstance(types, list) and bool(types) and way.capitalize() not in types
        rules = spec.get(way)
        if rules is not None and not isinstance(rules, list):
            reading.blame(0, f"{_name(policy)}: {way} should be a list of rules.")
            continue
        for rule in rules or ():
            number += 1
            yield _Rule(number, _name(policy), namespace, selected, direction, side, rule, idle, None)


def _lines(rule: _Rule) -> Iterator[Line]:
    try:
        peers, ports = _peers(rule), _ports(rule.rule)
        if len(peers) * len(ports) > MAX_PER_RULE:
            raise Bad(f"This is more than {MAX_PER_RULE} lines at once: write it apart.")
    except Bad as error:
        raise Bad(f"{rule.where}: {error}") from None
    text = f"{rule.where}: {json.dumps(rule.rule, ensure_ascii=False)}"[:2000]
    for peer, (protocol, ranges, conditions) in product(peers, ports):
        inbound = rule.direction is Direction.IN
        source, destination = (peer, rule.selected) if inbound else (rule.selected, peer)
        yield Line(
            rule.number, text, source, destination, protocol, ranges, rule.direction, Action.ALLOW, rule.policy, None,
            None, conditions,
        )  # fmt: skip


def _peers(rule: _Rule) -> tuple[str, ...]:
    if rule.rule is None:
        return (ANY,)
    if not isinstance(rule.rule, dict):
        raise Bad("A rule should be an object.")
    _only(rule.rule, (rule.side, "ports"), "The rule")
    peers = rule.rule.get(rule.side)
    if peers is None or peers == []:
        return (ANY,)
    if not isinstance(peers, list):
        raise Bad(f"'{rule.side}' should be a list.")
    return tuple(dict.fromkeys(end for peer in peers for end in _peer(rule.namespace, peer)))


def _peer(namespace: str, peer: Value) -> tuple[str, ...]:
    if not isinstance(peer, dict) or not peer.keys() & {"ipBlock", "podSelector", "namespaceSelector"}:
        raise Bad("A peer is an ipBlock, a podSelector or a namespaceSelector.")
    _only(peer, _PEER, "A peer")
    if "ipBlock" in peer and len(peer) > 1:
        raise Bad("A peer that is an ipBlock is nothing else.")
    if "ipBlock" in peer:
        return tuple(write(block) for block in _blocks(peer["ipBlock"]))
    if "namespaceSelector" not in peer:
        return (_pods(namespace, peer["podSelector"]),)
    spaces = _selector(peer["namespaceSelector"])
    pods = _selector(peer.get("podSelector"))
    if not spaces and not pods:
        return (EVERY_POD,)
    return (f"{pods or EVERY_POD} in {f'namespaces {spaces}' if spaces else 'any namespace'}"[:LONGEST_NAME],)


def _pods(namespace: str, selector: Value) -> str:
    return f"{_selector(selector) or EVERY_POD} in {namespace}"[:LONGEST_NAME]


def _selector(selector: Value) -> str:
    """A selector in one normal form: ``app=payments tier in (a,b)``; empty selects everything."""
    if selector is not None and not isinstance(selector, dict):
        raise Bad("A selector should be an object.")
    _only(selector or {}, _SELECTOR, "A selector")
    for name, kind in (("matchLabels", dict), ("matchExpressions", list)):
        if selector and selector.get(name) is not None and not isinstance(selector[name], kind):
            raise Bad(f"'{name}' should be {'an object' if kind is dict else 'a list'}.")
    labels = _part(selector, "matchLabels")
    words = [f"{key}={value if isinstance(value, str) else str(value).lower()}" for key, value in labels.items()]
    expressions = selector.get("matchExpressions") if isinstance(selector, dict) else None
    for one in expressions if isinstance(expressions, list) else ():
        values = one.get("values") if isinstance(one, dict) else None
        inside = ",".join(sorted(str(value) for value in values)) if isinstance(values, list) else ""
        words.append(f"{_text(one, 'key')} {_text(one, 'operator')} ({inside})")
    found = " ".join(sorted(words))
    if len(found) > LONGEST_NAME - 80:
        raise Bad(f"The selector {short(found)} is too long to stand for a name.")
    return found


def _blocks(block: Value) -> tuple[Block, ...]:
    """The addresses of a block without its exceptions."""
    _only(block if isinstance(block, dict) else {}, ("cidr", "except"), "An ipBlock")
    excepted = block.get("except") if isinstance(block, dict) else None
    if excepted is not None and not isinstance(excepted, list):
        raise Bad("'except' should be a list of blocks.")
    try:
        left = [read_block(_text(block, "cidr"))]
        for hole in merge(read_block(str(one)) for one in excepted or ()):
            left = [piece for one in left for piece in _apart(one, hole)]
            if len(left) > MAX_PER_RULE:
                raise Bad("The block has too many exceptions.")
    except BadBlock as error:
        raise Bad(str(error)) from None
    if not left:
        raise Bad("The exceptions leave nothing of the block.")
    return tuple(left)


def _apart(block: Block, hole: Block) -> list[Block]:
    if within(block, hole):
        return []
    return list(block.address_exclude(hole)) if within(hole, block) else [block]  # type: ignore[arg-type]


def _ports(rule: Value) -> tuple[_Ports, ...]:
    ports = rule.get("ports") if isinstance(rule, dict) else None
    if ports is None or ports == []:
        return ((ANY, (), ()),)
    if not isinstance(ports, list):
        raise Bad("'ports' should be a list.")
    numbered: dict[str, list[PortRange]] = {}
    named: list[_Ports] = []
    for one in ports:
        if not isinstance(one, dict):
            raise Bad("A port should be an object.")
        _only(one, _PORT, "A port")
        protocol = read_protocol(_text(one, "protocol") or "tcp")
        port, end = _text(one, "port"), _text(one, "endPort")
        if protocol not in WITH_PORTS:
            raise Bad(f"{protocol} has no ports.")
        if end and not port[:1].isdigit():
            raise Bad("endPort needs a port by number before it.")
        if port and not port[:1].isdigit():
            named.append((protocol, (), (f"the port is the one named {port[:60]}",)))
        else:
            numbered.setdefault(protocol, []).append(read_range(f"{port}-{end or port}") if port else (0, 65535))
    return (*((protocol, tidy_ports(ranges), ()) for protocol, ranges in numbered.items()), *named)
