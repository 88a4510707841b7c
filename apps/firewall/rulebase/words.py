"""The words of a firewall line, whatever they were written in: ends, protocols, ports and service names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from apps.compiler.addresses import BadBlock, Block, read_block, write
from apps.firewall.lines import ANY, PortRange
from apps.firewall.rulebase.reading import MAX_PER_RULE, Bad

LONGEST_NAME = 200
LONGEST_CELL = 20_000
ALL_PORTS: PortRange = (0, 65535)

ANYTHING = frozenset({"any", "all", "*", "alle", "alles", "beliebig", "jeder", "everywhere", "anywhere", "every"})
# https://www.iana.org/assignments/protocol-numbers
PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58,
    "ospf": 89, "pim": 103, "vrrp": 112, "sctp": 132, "udplite": 136,
}  # fmt: skip
_NUMBERED = frozenset({"6", "17"})
"""Protocols by number that stand behind a port, as in ``443/6``."""
PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
ABOVE_TCP = frozenset({"tls", "ssl", "grpc", "http2"})
"""What runs on tcp, on no port of its own."""
WITH_PORTS = frozenset({"tcp", "udp", "dccp", "sctp", "udplite"})
_ALIASES = {"ipv6-icmp": "icmpv6", "icmp6": "icmpv6", "icmpv4": "icmp", "ping": "icmp", "ip": ANY, "-1": ANY, "0": ANY}
# https://www.iana.org/assignments/service-names-port-numbers, and what the usual products listen on
SERVICES: dict[str, tuple[str, tuple[int, ...]]] = {
    "ftp": ("tcp", (21,)), "ssh": ("tcp", (22,)), "sftp": ("tcp", (22,)), "telnet": ("tcp", (23,)),
    "smtp": ("tcp", (25,)), "dns": (ANY, (53,)), "domain": (ANY, (53,)), "tftp": ("udp", (69,)), "http": ("tcp", (80,)),
    "kerberos": (ANY, (88,)), "pop3": ("tcp", (110,)), "ntp": ("udp", (123,)), "imap": ("tcp", (143,)),
    "snmp": ("udp", (161,)), "bgp": ("tcp", (179,)), "ldap": ("tcp", (389,)), "https": ("tcp", (443,)),
    "smb": ("tcp", (445,)), "syslog": ("udp", (514,)), "ldaps": ("tcp", (636,)), "imaps": ("tcp", (993,)),
    "pop3s": ("tcp", (995,)), "mssql": ("tcp", (1433,)), "oracle": ("tcp", (1521,)), "radius": ("udp", (1812, 1813)),
    "mysql": ("tcp", (3306,)), "rdp": ("tcp", (3389,)), "postgres": ("tcp", (5432,)), "postgresql": ("tcp", (5432,)),
    "amqp": ("tcp", (5672,)), "vnc": ("tcp", (5900,)), "redis": ("tcp", (6379,)), "mqtt": ("tcp", (1883,)),
    "elasticsearch": ("tcp", (9200,)), "kafka": ("tcp", (9092,)), "mongodb": ("tcp", (27017,)),
}  # fmt: skip

NO_ENDS: tuple[str, ...] = ()
NO_SERVICES: tuple[tuple[str, tuple[PortRange, ...]], ...] = ()

_SEPARATORS = re.compile(r"[,;\n\r]+")
_LIKE_ADDRESS = re.compile(
    r"[0-9.]+(?:[/-][0-9./]+)?|[0-9a-fA-F.]*:[0-9a-fA-F:./-]*|\[[0-9a-fA-F:.]+\]|(?:[0-9]{1,3}\.){1,3}\*(?:\.\*){0,2}"
)
_MASK = re.compile(r"(?:255|0)(?:\.[0-9]{1,3}){3}")
_SHORT_RANGE = re.compile(r"((?:[0-9]{1,3}\.){3})([0-9]{1,3})-([0-9]{1,3})")
_STARS = re.compile(r"((?:[0-9]{1,3}\.){1,3})(\*(?:\.\*){0,2})")
_NEGATED = re.compile(r"(?:!|(?:not|except|(?:any|all|every\w*) (?:but|except)|nicht|außer|alle außer)\s)", re.I)
_NAME = re.compile(r"[^\W][\w .:/@+=()*&'|!,-]*", re.UNICODE)
_RANGE = re.compile(r"([0-9]{1,5})(?:\.0)?(?:\s?[-:\u2013]\s?([0-9]{1,5}))?")
_FROM_ON = re.compile(r"(>=|≥|>)([0-9]{1,5})|([0-9]{1,5})\+")
_JOINED = re.compile(r"(tcp|udp|sctp)[-_:]([0-9].*)")
_NAMED_PORT = re.compile(r"(?<![\w/.-])([0-9]{1,5})\s?\(\s?([a-z0-9]{2,15})\s?\)", re.IGNORECASE)


def short(text: str) -> str:
    """What was written, fit for a sentence."""
    clean = " ".join(text[:200].split())
    return f"'{clean[:60]}…'" if len(clean) > 60 else f"'{clean}'"


def read_ends(text: str, what: str) -> tuple[str, ...]:
    """The sources or destinations of a cell: blocks in their normal form, ``any``, names. Raises Bad."""
    if len(text) > LONGEST_CELL:
        raise Bad(f"The {what} is longer than {LONGEST_CELL} characters.")
    parts = [part.strip() for part in _SEPARATORS.split(text)]
    written = [one for part in parts if part for one in _apart(part)]
    if not written:
        raise Bad(f"There is no {what}.")
    found = tuple(dict.fromkeys(end for one in written for end in read_end(one, what)))
    if len(found) > MAX_PER_RULE:
        raise Bad(f"The {what} is more than {MAX_PER_RULE} blocks.")
    return (ANY,) if ANY in found else found


def _apart(part: str) -> list[str]:
    """Addresses may be set apart by a blank; a name may hold one. A mask behind its address belongs to it."""
    joined = re.sub(r"\s[-\u2013]\s", "-", part)
    words = (joined[5:] if joined[:5].lower() == "host " else joined).split()
    if len(words) < 1 or not all(_LIKE_ADDRESS.fullmatch(word) for word in words):
        return [part]
    found: list[str] = []
    for word in words:
        if found and _MASK.fullmatch(word) and "/" not in found[-1]:
            found[-1] += f"/{word}"
        else:
            found.append(word)
    return found


def read_end(text: str, what: str) -> tuple[str, ...]:
    if text.lower() in ANYTHING:
        return (ANY,)
    if _LIKE_ADDRESS.fullmatch(text):
        return tuple(write(block) for block in read_blocks(text))
    if _NEGATED.match(text):
        raise Bad(f"The {what} {short(text)} says what is not meant: write what is.")
    if len(text) > LONGEST_NAME or not _NAME.fullmatch(text):
        raise Bad(f"The {what} {short(text)} is neither an address nor a name.")
    return (text,)


def read_blocks(text: str) -> tuple[Block, ...]:
    """A block, or a range ``10.0.0.1-10.0.0.9`` as the fewest blocks that make it up. Raises Bad."""
    first, dash, last = _spelled_out(text).partition("-")
    try:
        if not dash:
            return (read_block(first),)
        low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
        return tuple(ipaddress.summarize_address_range(low, high))
    except BadBlock as error:
        raise Bad(str(error)) from None
    except (ValueError, TypeError):
        raise Bad(f"{short(text)} is no range such as 10.0.0.1-10.0.0.9.") from None


def _spelled_out(text: str) -> str:
    """``[2001:db8::1]``, ``10.0.0.1-20`` and ``10.0.0.*`` as everybody else writes them."""
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    if found := _SHORT_RANGE.fullmatch(bare):
        return f"{found[1]}{found[2]}-{found[1]}{found[3]}"
    if found := _STARS.fullmatch(bare):
        stars = found[2].count("*")
        return f"{found[1]}{'.'.join(['0'] * stars)}/{32 - 8 * stars}"
    return bare


def read_protocol(text: str) -> str:
    """``any``, a name, or a number nobody here has a name for. Raises Bad."""
    word = text.strip().lower()
    word = _ALIASES.get(word, word)
    if word in ANYTHING or not word:
        return ANY
    if word in PROTOCOLS:
        return word
    if re.fullmatch(r"[0-9]{1,3}", word) and int(word) <= 255:
        return PROTOCOL_NAMES.get(int(word), str(int(word)))
    raise Bad(f"{short(text)} is no protocol such as tcp, udp or icmp.")


def read_protocols(text: str) -> tuple[tuple[str, str], ...]:
    """What a column of protocols says, which may be several: each protocol, and the service it names where it is one.

    ``tcp/udp`` are two; ``https`` is tcp, on 443 where no other port is named. Raises Bad.
    """
    parts = [
        part for part in re.split(r"[\s,;/+&]+", text.strip()) if part and part.lower() not in ("and", "und", "or")
    ]
    found = [one for part in parts for one in _protocol(part)]
    return tuple(dict.fromkeys(found)) or ((ANY, ""),)


def _protocol(part: str) -> list[tuple[str, str]]:
    word = part.lower()
    if word in ABOVE_TCP:
        return [("tcp", "")]
    if word in SERVICES:
        return [(one, word) for one in _both(SERVICES[word][0])]
    return [(read_protocol(part), "")]


def read_range(text: str) -> PortRange:
    """``443``, ``8000-8099``, ``1024:65535``, ``>1023``. Raises Bad."""
    if on := _FROM_ON.fullmatch(text.strip()):
        return read_range(f"{int(on[2]) + 1 if on[1] == '>' else on[2] or on[3]}-65535")
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise Bad(f"{short(text)} is no port, and no service we know by name.")
    low, high = int(found[1]), int(found[2] or found[1])
    if high > 65535 or low > high:
        raise Bad(f"{short(text)} is no range of ports: they go up to 65535, the lower first.")
    return low, high


def tidy_ports(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """In order and apart; nothing at all when it is every port."""
    done: list[PortRange] = []
    for low, high in sorted(ranges):
        if done and low <= done[-1][1] + 1:
            done[-1] = (done[-1][0], max(high, done[-1][1]))
        else:
            done.append((low, high))
    return () if done == [ALL_PORTS] else tuple(done)


def read_services(text: str, protocol: str = ANY) -> tuple[tuple[str, tuple[PortRange, ...]], ...]:
    """Ports as people write them, by protocol: ``443``, ``tcp/443 udp/53``, ``https, 8000-8099``, ``icmp``, ``any``.

    ``protocol`` is what another column says; a part that says another one is refused. Raises Bad.
    """
    if len(text) > LONGEST_CELL:
        raise Bad(f"The ports are longer than {LONGEST_CELL} characters.")
    found: dict[str, list[PortRange] | None] = {}
    for part in _service_parts(text):
        for own, ranges in _service(part):
            agreed = _agree(protocol, own, part)
            held = found.setdefault(agreed, [])
            if ranges and held is not None:
                held.extend(ranges)
            elif not ranges:
                found[agreed] = None
    if not found:
        return ((protocol, ()),)
    return tuple((_ported(name, ranges), tidy_ports(ranges or ())) for name, ranges in found.items())


def read_both(protocols: str, ports: str) -> tuple[tuple[str, tuple[PortRange, ...]], ...]:
    """What a column of protocols and one of ports say together. Raises Bad."""
    said = read_protocols(protocols)
    if not ports.strip():
        named = ((name, read_services(service) if service else ((name, ()),)) for name, service in said)
        return tuple(one for name, found in named for one in found if one[0] == name)
    if len(said) == 1:
        return read_services(ports, said[0][0])
    names = dict(said)
    both: list[tuple[str, tuple[PortRange, ...]]] = []
    for own, ranges in read_services(ports):
        if own not in names and own != ANY:
            raise Bad(f"{short(ports)} is {own}, but the line says {short(protocols)}.")
        both += [(_ported(name, list(ranges)), ranges) for name in (names if own == ANY else (own,))]
    return tuple(dict.fromkeys(both))


def _ported(protocol: str, ranges: list[PortRange] | None) -> str:
    if ranges and protocol not in WITH_PORTS and protocol != ANY:
        raise Bad(f"{protocol} has no ports.")
    return protocol


def _agree(protocol: str, own: str, part: str) -> str:
    if ANY in (protocol, own) or protocol == own:
        return own if protocol == ANY else protocol
    raise Bad(f"{short(part)} is {own}, but the line says {protocol}.")


def _service_parts(text: str) -> Iterator[str]:
    """Joins ``tcp 443`` and ``8000 - 8099`` again, which blanks set apart.

    In ``tcp 80, 443`` and in ``80, 443 tcp`` both are tcp.
    """
    clean = _NAMED_PORT.sub(_same_port, " ".join(text.split()))
    clean = re.sub(r"\s?[-\u2013]\s(?=[0-9])", "-", clean.replace("&", ",").replace(" / ", ",").replace(" and ", ","))
    said, bare = "", list[str]()
    for part in _SEPARATORS.split(re.sub(r"(>=|>|≥)\s", r"\1", clean)):
        words = _without_any(part.split())
        if _stands_behind(words):
            yield from _with_protocol_behind([*bare, *words])
            said, bare = "", []
        elif not said and all(word[:1].isdigit() and "/" not in word for word in words):
            bare += words
        else:
            found = list(_with_protocol_before(words, said))
            yield from found
            said = found[-1].partition("/")[0] if found and found[-1].partition("/")[0].lower() in WITH_PORTS else ""
    yield from bare


def _same_port(found: re.Match[str]) -> str:
    """``443 (https)`` says the same twice; where the two differ it stays as it is, and is refused."""
    protocol, ports = SERVICES.get(found[2].lower(), ("", ()))
    same = ports == (int(found[1]),)
    return (found[1] if protocol == ANY else f"{protocol}/{found[1]}") if same else found[0]


def _without_any(words: list[str]) -> list[str]:
    """In ``icmp any`` and ``any tcp``, any is of that protocol's ports and not of every protocol."""
    spoken = any(word.lower() in PROTOCOLS for word in words)
    return [word for word in words if word.lower() not in ANYTHING] if spoken else words


def _stands_behind(words: list[str]) -> bool:
    """``443 tcp``: the protocol comes after its ports."""
    return bool(words) and words[0][:1].isdigit() and any(word.lower() in WITH_PORTS for word in words)


def _with_protocol_behind(words: list[str]) -> Iterator[str]:
    waiting: list[str] = []
    for word in words:
        if word.lower() in WITH_PORTS:
            if not waiting:
                raise Bad(f"It is not clear which ports are {word.lower()}: write it like tcp/443.")
            yield from (f"{word}/{one}" if "/" not in one else one for one in waiting)
            waiting = []
        else:
            waiting.append(word)
    if waiting:
        raise Bad(f"It is not clear which protocol {short(waiting[0])} is: write it like tcp/443.")


def _with_protocol_before(words: list[str], said: str) -> Iterator[str]:
    protocol, used = said if words and words[0][:1].isdigit() else "", True
    for word in words:
        if word.lower() in WITH_PORTS:
            yield from () if used else (protocol,)
            protocol, used = word, False
        else:
            yield f"{protocol}/{word}" if protocol and "/" not in word else word
            used = True
    yield from () if used else (protocol,)


def _service(part: str) -> tuple[tuple[str, tuple[PortRange, ...]], ...]:
    word = part.strip().lower()
    if word in ANYTHING:
        return ((ANY, ()),)
    if word in SERVICES:
        protocol, ports = SERVICES[word]
        return tuple((one, tuple((port, port) for port in ports)) for one in _both(protocol))
    if joined := _JOINED.fullmatch(word):
        return ((joined[1], _ranges(joined[2])),)
    first, slash, last = word.partition("/")
    if slash and first.isdigit() and last.isdigit() and last not in _NUMBERED:
        raise Bad(f"{short(part)} may be two ports or a range: write {first}, {last} or {first}-{last}.")
    if slash:
        protocol, ports_text = (last, first) if first[:1].isdigit() else (first, last)
        return ((read_protocol(protocol), _ranges(ports_text)),)
    if not word[:1].isdigit() and (word in PROTOCOLS or word in _ALIASES):
        return ((read_protocol(word), ()),)
    return ((ANY, (read_range(word),)),)


def _ranges(word: str) -> tuple[PortRange, ...]:
    if word in ANYTHING:
        return ()
    return tuple((port, port) for port in SERVICES[word][1]) if word in SERVICES else (read_range(word),)


def _both(protocol: str) -> tuple[str, ...]:
    return ("tcp", "udp") if protocol == ANY else (protocol,)
