"""Any text a firewall's rules come in becomes lines, or says of each bad one what is wrong with it."""

from __future__ import annotations

import json
from datetime import date

import pytest

from apps.firewall.lines import ANY, Direction, Line, ports_words
from apps.firewall.rulebase.parse import Format, Parsed, parse, recognise, without
from apps.firewall.rulebase.reading import MAX_CHARACTERS
from tests.firewall.samples import ADDRESS_LISTS, GROUPS, IPTABLES, NETWORK_LIST, POLICIES, TABLE, TICKET

TODAY = date(2026, 11, 26)


def read(text: str) -> Parsed:
    format_ = recognise(text)
    assert format_ is not None
    return parse(text, format_, TODAY)


def line_words(line: Line) -> str:
    """The line as a sentence's middle: ``allow tcp 443 from 10.1.2.0/24 to payments``."""
    what = line.protocol if line.protocol != ANY else "any protocol"
    ports = f" {ports_words(line.ports)}" if line.ports else ""
    only = f" if {' and '.join(line.conditions)}" if line.conditions else ""
    way = "" if line.direction is Direction.BOTH else f" ({line.direction.value})"
    return f"{line.action.value} {what}{ports} from {line.source} to {line.destination}{way}{only}"


def words(parsed: Parsed) -> list[str]:
    return [f"{line.number}: {line_words(line)}" for line in parsed.lines]


def problems(parsed: Parsed) -> list[tuple[int, str]]:
    return [(one.number, one.sentence) for one in parsed.problems]


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        (TABLE, Format.TABLE),
        (TABLE.replace(",", "\t"), Format.TABLE),
        (TICKET, Format.TICKET),
        (IPTABLES, Format.IPTABLES),
        ("-A INPUT -s 10.0.0.1 -j ACCEPT", Format.IPTABLES),
        (GROUPS, Format.SECURITY_GROUPS),
        (POLICIES, Format.NETWORK_POLICY),
        (ADDRESS_LISTS, Format.ADDRESS_LISTS),
        (NETWORK_LIST, Format.ADDRESS_LISTS),
        ("Hello there.", None),
        ("", None),
        ("{}", None),
    ],
)
def test_a_text_says_itself_what_it_is(text: str, format_: Format | None) -> None:
    assert recognise(text) == format_


def test_a_table() -> None:
    parsed = read(TABLE)
    assert problems(parsed) == []
    assert words(parsed) == [
        "2: allow tcp 443 from 10.1.2.0/24 to payments (in)",
        "3: allow tcp 80, 8000-8099 from 10.1.0.0/16 to web if zone is dmz",
        "3: allow tcp 80, 8000-8099 from 10.2.0.0/16 to web if zone is dmz",
        "5: deny any protocol from any to 10.9.0.1",
        "6: allow tcp 53 from office to dns",
        "6: allow udp 53 from office to dns",
    ]
    first = parsed.lines[0]
    assert (first.reason, first.until, first.hits) == ("the audit", date(2026, 12, 31), 1200)
    assert first.text == '10.1.2.0/24,payments,https,tcp,allow,in,the audit,2026-12-31,"1,200",yes,'
    assert first.conditions == ()
    assert parsed.lines[1].conditions == ("zone is dmz",)
    assert [(one.number, one.sentence) for one in parsed.notes] == [(7, "The line is switched off, and left aside.")]


def test_a_german_table_from_a_spreadsheet() -> None:
    parsed = read("Quelle\tZiel\tDienst\tAktion\tGültig bis\n10.0.0.1\tKasse\thttps\tsperren\t31.12.2026\n")
    assert words(parsed) == ["2: deny tcp 443 from 10.0.0.1 to Kasse"]
    assert parsed.lines[0].until == date(2026, 12, 31)


def test_every_bad_row_is_reported_and_every_fault_of_it() -> None:
    parsed = read(
        "source,destination,port,protocol,action,until\n"
        "10.0.0.999,web,80,tcp,allow,\n"
        "10.0.0.1/24,web,99999,tcp,maybe,soon\n"
        ",,443,icmp,allow,\n"
        "10.0.0.1,web,443,tcp,allow,03/04/2026\n"
        "10.0.0.1,web,443,tcp,allow,\n"
    )
    assert problems(parsed) == [
        (2, "'10.0.0.999' is no address and no block such as 203.0.113.0/28."),
        (3, "10.0.0.1/24 has bits beyond its prefix: write 10.0.0.1 or 10.0.0.0/24."),
        (3, "'99999' is no range of ports: they go up to 65535, the lower first."),
        (3, "'soon' is no day such as 2026-12-31."),
        (3, "'maybe' says neither allow nor deny."),
        (4, "There is no source. If its cell is merged with the one above it, write '10.0.0.1/24' here too."),
        (4, "There is no destination. If its cell is merged with the one above it, write 'web' here too."),
        (4, "icmp has no ports."),
        (5, "'03/04/2026' may be two different days: write it like 2026-12-31."),
    ]
    assert words(parsed) == ["6: allow tcp 443 from 10.0.0.1 to web"]


def test_a_range_of_addresses_is_the_fewest_blocks_that_make_it_up() -> None:
    parsed = read("src,dst\n10.0.0.1-10.0.0.4,any\n")
    assert [line.source for line in parsed.lines] == ["10.0.0.1", "10.0.0.2/31", "10.0.0.4"]


def test_sentences_of_a_ticket() -> None:
    parsed = read(TICKET)
    assert problems(parsed) == []
    assert words(parsed) == [
        "3: allow tcp 443 from 10.1.2.0/24 to payments",
        "4: allow tcp 5432 from web to 10.9.0.1",
        "4: allow tcp 5432 from web to 10.9.0.2",
        "5: deny tcp 22 from any to bastion",
        "6: allow udp 53, 123 from 10.3.0.0/16 to time",
        "7: allow tcp 443 from 10.4.0.1 to Kasse",
    ]
    assert [line.until for line in parsed.lines] == [date(2026, 12, 31), None, None, None, None, date(2027, 1, 15)]
    assert parsed.lines[1].reason == "the report reads orders"
    assert [one.number for one in parsed.notes] == [1, 8]


def test_several_sentences_may_stand_on_one_line_and_german_ones_end_with_their_verb() -> None:
    parsed = read(
        "We build a desk. Could you please open tcp 443 from web to payments until 31. Dec 2026? Thanks, Gus\n"
        "bitte Port 443 von web nach Kasse freischalten bis 31.12.\nBitte tcp 22 von web nach Kasse sperren.\n"
    )
    assert problems(parsed) == []
    assert words(parsed) == [
        "1: allow tcp 443 from web to payments",
        "2: allow any protocol 443 from web to Kasse",
        "3: deny tcp 22 from web to Kasse",
    ]
    assert [line.until for line in parsed.lines] == [date(2026, 12, 31), date(2026, 12, 31), None]
    assert [(one.number, one.sentence[:7]) for one in parsed.notes] == [(1, "'We bui"), (1, "'Thanks")]


def test_a_sentence_that_leaves_something_out_is_a_problem_not_a_guess() -> None:
    parsed = parse("please open tcp 443 to payments\nopen frobnicate from 10.0.0.1 to web\n", Format.TICKET, TODAY)
    assert problems(parsed) == [
        (1, "There is no source."),
        (2, "'frobnicate' is no port, no protocol, and no service we know by name."),
    ]
    assert parsed.lines == ()


def test_a_day_without_its_year_is_the_next_one_and_a_problem_where_nobody_knows_today() -> None:
    text = "open tcp 1 from 10.0.0.1 to web until 1 Feb"
    assert parse(text, Format.TICKET, TODAY).lines[0].until == date(2027, 2, 1)
    assert problems(parse(text, Format.TICKET)) == [(1, "'1 Feb' has no year: write the day like 2026-12-31.")]


def test_iptables_chains_are_laid_flat_in_the_order_they_are_asked() -> None:
    parsed = read(IPTABLES)
    assert problems(parsed) == []
    assert words(parsed) == [
        "10: allow any protocol from any to any (in) if -i lo",
        "11: allow any protocol from any to any (in) if state ESTABLISHED,RELATED",
        "16: deny tcp 22 from 10.1.9.0/24 to any (in)",
        "17: allow tcp 22 from 10.1.0.0/16 to any (in)",
        "13: allow tcp 80, 443 from any to 10.9.0.1 (in)",
        "14: deny any protocol from any to any (in) if ! -p icmp",
        "18: allow tcp 1024-65535 from 10.1.0.0/16 to 10.9.0.0/24 (through)",
    ]
    assert [line.hits for line in parsed.lines] == [10, 2000, 0, 7, 90, 3, None]
    assert parsed.lines[4].reason == 'the "shop"'
    assert [(way.value, action.value) for way, action in parsed.defaults] == [("out", "allow")]
    assert (15, "LOG decides nothing; left aside.") in [(one.number, one.sentence) for one in parsed.notes]


def test_not_from_a_block_is_from_every_other_one() -> None:
    parsed = read("*filter\n-A INPUT ! -s 128.0.0.0/1 -j ACCEPT\n-A INPUT -p tcp ! --dport 80 -j DROP\nCOMMIT\n")
    assert words(parsed) == [
        "2: allow any protocol from 0.0.0.0/1 to any (in)",
        "3: deny tcp 0-79, 81-65535 from any to any (in)",
    ]


def test_every_bad_iptables_line_is_reported() -> None:
    parsed = parse(
        "*filter\n:INPUT MAYBE\n-A INPUT -s 10.0.0.300 -j ACCEPT\n-A INPUT -p tcp --dport nosuch -j ACCEPT\n"
        "-A INPUT -j NOWHERE\nfrobnicate\n-A INPUT --dport 80 -j DROP\n",
        Format.IPTABLES,
    )
    assert problems(parsed) == [
        (2, "A chain is declared like ':INPUT DROP [0:0]'."),
        (3, "'10.0.0.300' is no address and no block such as 203.0.113.0/28."),
        (4, "'nosuch' is no port, and no service we know by name."),
        (6, "'frobnicate' stands where an option should."),
        (7, "The line names ports, but no protocol that has them."),
        (5, "What NOWHERE decides is not in this text: it is no chain here."),
    ]


def test_chains_that_call_themselves_or_explode_are_refused() -> None:
    loop = "*filter\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\n"
    assert problems(parse(loop, Format.IPTABLES))[0][1].startswith("The chain A leads back to itself")
    wide = "*filter\n-A INPUT -j C0\n" + "".join(f"-A C{n} -j C{n + 1}\n" * 8 for n in range(12)) + "-A C12 -j LOG\n"
    assert problems(parse(wide, Format.IPTABLES)) == [(0, "The chains call one another too often to be laid flat.")]


def test_security_groups() -> None:
    parsed = read(GROUPS)
    assert problems(parsed) == []
    assert words(parsed) == [
        "1: allow tcp 443 from 0.0.0.0/0 to web (sg-1) (in)",
        "2: allow tcp 443 from ::/0 to web (sg-1) (in)",
        "3: allow any protocol from web (sg-1) to 0.0.0.0/0 (out)",
        "4: allow tcp 5432 from pl-77 to db (sg-2) (in)",
        "5: allow tcp 5432 from web (sg-1) to db (sg-2) (in)",
        "6: allow icmp from 10.0.0.0/8 to db (sg-2) (in) if icmp type 8",
    ]
    assert parsed.lines[0].reason == "the world"
    assert parsed.names == {"web (sg-1)", "db (sg-2)"}


def test_every_bad_rule_of_a_group_is_reported() -> None:
    text = json.dumps(
        {
            "SecurityGroups": [
                {
                    "GroupId": "sg-1",
                    "IpPermissions": [
                        {"IpProtocol": "tcp", "FromPort": 9, "ToPort": 2, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
                        {"IpProtocol": "tcp", "FromPort": 9, "IpRanges": [{"CidrIp": "10.0.0.1/8"}, {}]},
                        {"IpRanges": [{"CidrIp": "10.0.0.0/8"}], "Ipv6Ranges": "all"},
                    ],
                }
            ]
        }
    )
    assert problems(parse(text, Format.SECURITY_GROUPS)) == [
        (0, "sg-1: Ipv6Ranges in IpPermissions should be a list of objects."),
        (1, "sg-1, ingress: '9-2' is no range of ports."),
        (2, "sg-1, ingress: 10.0.0.1/8 has bits beyond its prefix: write 10.0.0.1 or 10.0.0.0/8."),
        (3, "sg-1, ingress: a peer in IpRanges has no CidrIp."),
        (4, "sg-1, ingress: a permission has no IpProtocol."),
    ]


def test_network_policies() -> None:
    parsed = read(POLICIES)
    assert problems(parsed) == []
    assert words(parsed) == [
        "1: allow tcp 8080 from app=web in shop to app=payments in shop (in)",
        "1: allow tcp 8080 from 10.0.0.0/25 to app=payments in shop (in)",
        "2: allow tcp from app=probe in namespaces team=sre to app=payments in shop (in)"
        " if the port is the one named metrics",
        "3: allow udp 53 from app=payments in shop to every pod (out)",
        "3: allow tcp 53, 1000-2000 from app=payments in shop to every pod (out)",
    ]
    assert [one.sentence for one in parsed.notes] == ["shop/closed allows nothing; it only closes what it selects."]


def test_every_bad_rule_of_a_policy_is_reported_with_its_line() -> None:
    text = (
        "kind: NetworkPolicy\nmetadata: {name: a}\nspec:\n  podSelector: {}\n  ingress:\n"
        "    - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/7]}}]\n"
        "    - ports: [{port: 70000}]\n    - from: [{}]\n    - from: web\n"
    )
    assert problems(parse(text, Format.NETWORK_POLICY)) == [
        (1, "default/a, ingress, line 6: The exceptions leave nothing of the block."),
        (2, "default/a, ingress, line 7: '70000-70000' is no range of ports: they go up to 65535, the lower first."),
        (3, "default/a, ingress, line 8: A peer is an ipBlock, a podSelector or a namespaceSelector."),
        (4, "default/a, ingress, line 9: 'from' should be a list."),
    ]


def test_address_lists() -> None:
    parsed = read(ADDRESS_LISTS)
    assert words(parsed) == [
        "1: allow any protocol from 203.0.113.0/28 to partners (in)",
        "2: allow any protocol from 2001:db8::7 to partners (in)",
    ]
    assert (parsed.lines[0].until, parsed.lines[0].reason) == (date(2026, 12, 31), "Parcel Ltd")
    assert [one.sentence for one in parsed.notes] == ["countries is a list of GEO, not of addresses; left aside."]
    assert words(read(NETWORK_LIST)) == ["1: allow any protocol from 198.51.100.7 to office (in)"]
    bad = NETWORK_LIST.replace("198.51.100.7", "198.51.100.777")
    assert problems(read(bad)) == [(1, "office: '198.51.100.777' is no address and no block such as 203.0.113.0/28.")]


def test_a_text_that_is_too_long_or_holds_control_characters_is_refused() -> None:
    long = "a" * (MAX_CHARACTERS + 1)
    assert recognise(long) is None
    assert problems(parse(long, Format.TABLE)) == [(0, "The text is longer than 5,242,880 characters.")]
    assert problems(parse("src,dst\n10.0.0.1,a\x00b\n", Format.TABLE)) == [
        (2, "There are signs in it that no text holds.")
    ]
    smuggled = NETWORK_LIST.replace('"office"', '"off\\u0000ice"')
    assert all("\x00" not in line.text for line in parse(smuggled, Format.ADDRESS_LISTS).lines)


def bare(line: Line) -> tuple[object, ...]:
    return (line.source, line.destination, line.protocol, line.ports, line.direction, line.action, line.conditions)


@pytest.mark.parametrize("text", [TABLE, TICKET, IPTABLES, GROUPS, POLICIES, ADDRESS_LISTS, NETWORK_LIST])
def test_a_text_without_a_line_reads_as_all_the_others(text: str) -> None:
    format_ = recognise(text)
    assert format_ is not None
    lines = parse(text, format_, TODAY).lines
    for number in dict.fromkeys(line.number for line in lines):
        again = parse(without(text, format_, {number}), format_, TODAY)
        assert [bare(line) for line in again.lines] == [bare(line) for line in lines if line.number != number]
