"""AWS security groups, as ``aws ec2 describe-security-groups`` prints them.

Source of the shapes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html. A group
only ever allows, and what any of its rules allows passes. Each peer of a permission is a rule by itself, numbered from
1 in reading order: that is how AWS revokes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial

from apps.firewall.lines import ANY, Action, Direction, Line
from apps.firewall.rulebase.documents import Value, integer_of, misplaced, objects, read_json, text_of
from apps.firewall.rulebase.reading import Bad, Reading
from apps.firewall.rulebase.words import ALL_PORTS, LONGEST_NAME, WITH_PORTS, read_end, read_protocol, short, tidy_ports

_WAYS = (("IpPermissions", Direction.IN), ("IpPermissionsEgress", Direction.OUT))
_PEERS = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
_PEER_FIELD = {
    "IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId", "UserIdGroupPairs": "GroupId",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rule:
    """One peer of one permission, and where it is kept."""

    number: int
    group: str
    direction: Direction
    permission: dict[str, Value]
    kind: str
    peer: dict[str, Value]


def looks_so(text: str) -> bool:
    start = text.lstrip()[:1]
    return start in ("{", "[") and '"IpPermissions' in text


def read(text: str, reading: Reading, today: date | None) -> None:
    try:
        groups = _groups(read_json(text))
    except Bad as error:
        reading.blame(0, str(error))
        return
    names = _names(groups)
    reading.names.update(names.values())
    for group in groups:
        for sentence in _faults(group):
            reading.blame(0, sentence)
    for rule in _rules(groups):
        reading.attempt(rule.number, partial(_lines, rule, names))


def without(text: str, numbers: Collection[int]) -> str:
    """The same JSON without the peers of these numbers; a permission nobody is left in goes with its last peer."""
    whole = read_json(text)
    groups = _groups(whole)
    gone = {id(rule.peer) for rule in list(_rules(groups)) if rule.number in numbers}
    for group in groups:
        for way, _ in _WAYS:
            if way in group:
                group[way] = [one for one in objects(group[way]) if _thinned(one, gone)]
    return json.dumps(whole, indent=4, ensure_ascii=False) + "\n"


def _thinned(permission: dict[str, Value], gone: set[int]) -> bool:
    """Takes the peers out; False when that leaves a permission for nobody."""
    before = sum(len(objects(permission.get(kind))) for kind in _PEERS)
    for kind in _PEERS:
        if kind in permission:
            kept: list[Value] = [one for one in objects(permission[kind]) if id(one) not in gone]
            permission[kind] = kept
    after = sum(len(objects(permission.get(kind))) for kind in _PEERS)
    return after > 0 or before == 0


def _groups(whole: Value) -> list[dict[str, Value]]:
    found = whole.get("SecurityGroups") if isinstance(whole, dict) else whole
    if isinstance(whole, dict) and found is None and "IpPermissions" in whole:
        found = [whole]
    groups = objects(found)
    if not isinstance(found, list) or len(groups) != len(found):
        raise Bad("SecurityGroups should be a list of groups.")
    return groups


def _names(groups: list[dict[str, Value]]) -> dict[str, str]:
    """By id: ``payments (sg-1)`` for a group that is described here."""
    found = {}
    for group in groups:
        key, name = text_of(group, "GroupId"), text_of(group, "GroupName")
        if key:
            found[key] = f"{' '.join(name.split())} ({key})"[:LONGEST_NAME] if name else key[:LONGEST_NAME]
    return found


def _faults(group: dict[str, Value]) -> Iterator[str]:
    key = text_of(group, "GroupId")
    if not key:
        yield "A group has no GroupId."
    for way in misplaced(group, tuple(way for way, _ in _WAYS)):
        yield f"{key[:60]}: {way} should be a list of permissions."
    for way, _ in _WAYS:
        for permission in objects(group.get(way)):
            for kind in misplaced(permission, _PEERS):
                yield f"{key[:60]}: {kind} in {way} should be a list of objects."


def _rules(groups: list[dict[str, Value]]) -> Iterator[_Rule]:
    number = 0
    for group in groups:
        for way, direction in _WAYS:
            for permission in objects(group.get(way)):
                for kind in _PEERS:
                    for peer in objects(permission.get(kind)):
                        number += 1
                        yield _Rule(number, text_of(group, "GroupId"), direction, permission, kind, peer)


def _lines(rule: _Rule, names: dict[str, str]) -> Iterator[Line]:
    where = f"{rule.group[:60]}, {'ingress' if rule.direction is Direction.IN else 'egress'}"
    group = names.get(rule.group, rule.group)
    protocol, ports, conditions = _service(rule.permission, where)
    for peer in _peer(rule, names, where):
        source, destination = (peer, group) if rule.direction is Direction.IN else (group, peer)
        yield Line(
            rule.number,
            f"{where}: {json.dumps({**_bare(rule.permission), rule.kind: [rule.peer]}, ensure_ascii=False)}"[:2000],
            source,
            destination,
            protocol,
            ports,
            rule.direction,
            Action.ALLOW,
            text_of(rule.peer, "Description")[:2000],
            None,
            None,
            conditions,
        )


def _bare(permission: dict[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in permission.items() if name not in _PEERS}


def _peer(rule: _Rule, names: dict[str, str], where: str) -> tuple[str, ...]:
    written = text_of(rule.peer, _PEER_FIELD[rule.kind])
    if not written:
        raise Bad(f"{where}: a peer in {rule.kind} has no {_PEER_FIELD[rule.kind]}.")
    try:
        return (names[written],) if written in names else read_end(written, "peer")
    except Bad as error:
        raise Bad(f"{where}: {error}") from None


def _service(permission: dict[str, Value], where: str) -> tuple[str, tuple[tuple[int, int], ...], tuple[str, ...]]:
    written = permission.get("IpProtocol")
    low, high = integer_of(permission, "FromPort"), integer_of(permission, "ToPort")
    for name, read in (("FromPort", low), ("ToPort", high)):
        if read is None and permission.get(name) is not None:
            raise Bad(f"{where}: {name} should be a number.")
    if not isinstance(written, str | int) or isinstance(written, bool):
        raise Bad(f"{where}: a permission has no IpProtocol.")
    protocol = _located(partial(read_protocol, str(written)), where)
    if protocol == ANY:
        return ANY, (), ()
    if protocol in WITH_PORTS:
        low, high = (0, 65535) if low is None or low == -1 else (low, low if high is None else high)
        if not 0 <= low <= high <= 65535:
            raise Bad(f"{where}: {short(f'{low}-{high}')} is no range of ports.")
        return protocol, tidy_ports([(low, high)] if (low, high) != ALL_PORTS else [ALL_PORTS]), ()
    kind = [f"type {low}"] if low not in (None, -1) else []
    code = [f"code {high}"] if high not in (None, -1) else []
    return protocol, (), (" ".join([protocol, *kind, *code]),) if kind or code else ()


def _located(read_it: Callable[[], str], where: str) -> str:
    try:
        return read_it()
    except Bad as error:
        raise Bad(f"{where}: {error}") from None
