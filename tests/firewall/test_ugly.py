"""Text as it comes out of spreadsheets, wikis, consoles and half a file: read as meant, or said to be unclear; never
read as more than it says.
"""

from __future__ import annotations

import json
from datetime import date

import pytest

from apps.firewall.lines import Action, Line
from apps.firewall.rulebase.analysis import analyse
from apps.firewall.rulebase.clean import clean
from apps.firewall.rulebase.findings import Code, Finding
from apps.firewall.rulebase.parse import Format, Parsed, parse, recognise, without

TODAY = date(2026, 11, 27)


def read(text: str) -> Parsed:
    found = recognise(text)
    assert found is not None, text
    return parse(text, found, TODAY)


def told(line: Line) -> tuple[object, ...]:
    return (line.source, line.destination, line.protocol, line.ports)


def problems(parsed: Parsed) -> list[str]:
    return [one.sentence for one in parsed.problems]


HTTPS = ("10.0.0.1", "payments", "tcp", ((443, 443),))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsource;destination;port;protocol\r\n10.0.0.1;payments;443;TCP\r\n",
        '\ufeff"Source"\t"Destination"\t"Port"\t"Protocol"\r\n"10.0.0.1"\t"payments"\t"443"\t"tcp"\r\n',
        "sep=;\r\nSource;Destination;Service\r\n10.0.0.1;payments;https\r\n",
        "Firewall for project X\t\t\n\t\t\nSource\tDestination\tPort\n10.0.0.1\tpayments\ttcp/443\n",
        "#\tSource\tDestination\tService\n1\t10.0.0.1\tpayments\tTCP 443\n",
        "| Source | Destination | Port |\n|---|:-:|--:|\n| 10.0.0.1 | payments | 443/tcp |\n",
        "||Source||Destination||Port||\n|10.0.0.1|payments|443 tcp|\n",
        "Quelle;Ziel;Protokoll;Zielport\n10.0.0.1;payments;TCP;443\n",
        "Adresse source;Adresse destination;Protocole;Port\n10.0.0.1;payments;TCP;443\n",
        "Origen;Destino;Protocolo;Puerto\n10.0.0.1;payments;TCP;443\n",
        "Sorgente;Destinazione;Protocollo;Porta\n10.0.0.1;payments;TCP;443\n",
        "Bron;Doel;Protocol;Poort\n10.0.0.1;payments;TCP;443\n",
        "Source\tDestination\tPort\tProtocol\n\u00a010.0.0.1\u200b\tpayments\u2060\t443\u00a0\tTLS\n",
        "Source,Destination,Protocol\nhost 10.0.0.1,payments,https\n",
    ],
)
def test_a_table_is_read_wherever_it_was_copied_from(text: str) -> None:
    parsed = read(text)
    assert ([told(one) for one in parsed.lines], parsed.problems) == ([HTTPS], ())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("443 tcp", [("tcp", ((443, 443),))]),
        ("80, 443 tcp", [("tcp", ((80, 80), (443, 443)))]),
        ("443 tcp 53 udp", [("tcp", ((443, 443),)), ("udp", ((53, 53),))]),
        ("any tcp", [("tcp", ())]),
        ("icmp any", [("icmp", ())]),
        ("TCP any", [("tcp", ())]),
        ("tcp-443", [("tcp", ((443, 443),))]),
        ("UDP_500-510", [("udp", ((500, 510),))]),
        ("TCP 443 / UDP 53", [("tcp", ((443, 443),)), ("udp", ((53, 53),))]),
        ("443 (HTTPS)", [("tcp", ((443, 443),))]),
        (">1023", [("any", ((1024, 65535),))]),
        (">= 1024", [("any", ((1024, 65535),))]),
        ("443.0", [("any", ((443, 443),))]),
        ("*", [("any", ())]),
    ],
)
def test_ports_are_no_more_than_what_is_written(written: str, expected: list[object]) -> None:
    parsed = read(f'source,destination,port\na,b,"{written}"\n')
    assert ([(one.protocol, one.ports) for one in parsed.lines], parsed.problems) == (expected, ())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("80/443", "'80/443' may be two ports or a range: write 80, 443 or 80-443."),
        ("443 tcp 8443", "It is not clear which protocol '8443' is: write it like tcp/443."),
        ("443 (ssh)", "'(ssh)' is no port, and no service we know by name."),
        ("8.000", "'8.000' is no port, and no service we know by name."),
    ],
)
def test_what_ports_may_be_in_two_ways_is_asked(written: str, said: str) -> None:
    assert problems(read(f'source,destination,port\na,b,"{written}"\n')) == [said]


@pytest.mark.parametrize(
    ("protocol", "port", "expected"),
    [
        ("tcp/udp", "53", [("tcp", ((53, 53),)), ("udp", ((53, 53),))]),
        ("TCP, UDP", "", [("tcp", ()), ("udp", ())]),
        ("tcp+udp", "tcp/443", [("tcp", ((443, 443),))]),
        ("https", "", [("tcp", ((443, 443),))]),
        ("https", "8443", [("tcp", ((8443, 8443),))]),
        ("dns", "", [("tcp", ((53, 53),)), ("udp", ((53, 53),))]),
        ("gRPC", "50051", [("tcp", ((50051, 50051),))]),
    ],
)
def test_a_column_of_protocols_may_hold_several_or_a_service(protocol: str, port: str, expected: list[object]) -> None:
    parsed = read(f'source,destination,protocol,port\na,b,"{protocol}",{port}\n')
    assert ([(one.protocol, one.ports) for one in parsed.lines], parsed.problems) == (expected, ())


def test_ports_of_a_protocol_the_line_does_not_name_are_refused() -> None:
    found = read("source;destination;protocol;port\na;b;tcp/icmp;udp/53\na;b;tcp/icmp;443\n")
    assert problems(found) == ["'udp/53' is udp, but the line says 'tcp/icmp'.", "icmp has no ports."]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.0 255.255.255.0", ["10.0.0.0/24"]),
        ("10.0.0.0/0.0.0.255", ["10.0.0.0/24"]),
        ("10.0.0.0 255.255.255.0 10.1.0.1", ["10.0.0.0/24", "10.1.0.1"]),
        ("10.0.0.1 - 10.0.0.2", ["10.0.0.1", "10.0.0.2"]),
        ("10.0.0.4-7", ["10.0.0.4/30"]),
        ("10.0.*.*", ["10.0.0.0/16"]),
        ("[2001:db8::1]", ["2001:db8::1"]),
        ("2001:DB8:0::/48", ["2001:db8::/48"]),
        ("::ffff:10.0.0.1", ["10.0.0.1"]),
    ],
)
def test_addresses_are_read_as_people_write_them(written: str, expected: list[str]) -> None:
    parsed = read(f"source,destination\n{written},b\n")
    assert ([one.source for one in parsed.lines], parsed.problems) == (expected, ())


@pytest.mark.parametrize("written", ["not 10.0.0.1", "!10.0.0.1", "any except 10.0.0.0/8", "alle außer 10.0.0.1"])
def test_what_is_not_meant_is_no_name(written: str) -> None:
    assert problems(read(f"source,destination\n{written},b\n")) == [
        f"The source '{written}' says what is not meant: write what is."
    ]


@pytest.mark.parametrize("written", ["=cmd|'/c calc'!A1", "@SUM(1)", "+1+1", "-2+3", "<script>alert(1)</script>"])
def test_what_a_spreadsheet_would_run_is_nobodys_name(written: str) -> None:
    parsed = read(f'source,destination\n"{written}",b\n')
    assert (parsed.lines, len(parsed.problems)) == ((), 1)


def test_a_merged_cell_is_not_filled_in_but_said() -> None:
    parsed = read("source\tdestination\tport\ncheckout\tpayments\t443\n\tcart\t443\n\t\t80\n")
    assert [told(one)[:2] for one in parsed.lines] == [("checkout", "payments")]
    assert problems(parsed) == [
        "There is no source. If its cell is merged with the one above it, write 'checkout' here too.",
        "There is no source. If its cell is merged with the one above it, write 'checkout' here too.",
        "There is no destination. If its cell is merged with the one above it, write 'cart' here too.",
    ]


@pytest.mark.parametrize("written", ["31.12.26", "2026/12/31", "31-Dec-2026", "31-Dez-26", "12/31/2026 0:00"])
def test_days_as_spreadsheets_write_them(written: str) -> None:
    (line,) = read(f"source,destination,until\na,b,{written}\n").lines
    assert line.until == date(2026, 12, 31)


def test_a_counted_day_is_not_guessed() -> None:
    assert problems(read("source,destination,until\na,b,46387\n")) == [
        "'46387' is how a spreadsheet counts days: write the day like 2026-12-31."
    ]


SAVED = """\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 192.0.2.0/24 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 203.0.113.5/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5:8443
COMMIT
*filter
:INPUT DROP [0:0]
:web - [0:0]
-A INPUT -m comment --comment "says \\"-j DROP\\" and <b>" -j web
-A web -p tcp -m multiport --dports 80,443,8000:8010 -m set ! --match-set bad src -j ACCEPT
-A web -p icmp -m icmp --icmp-type 8 -j ACCEPT
COMMIT
"""


def test_of_several_tables_only_the_filter_decides_and_the_rest_is_named() -> None:
    parsed = read(SAVED)
    assert [(*told(one), one.conditions) for one in parsed.lines] == [
        ("any", "any", "tcp", ((80, 80), (443, 443), (8000, 8010)), ("! --match-set bad src", "-m set")),
        ("any", "any", "icmp", (), ("--icmp-type 8",)),
    ]
    assert [(one.number, one.sentence) for one in parsed.notes] == [
        (1, "The table raw translates, marks or drops beforehand; left aside."),
        (3, "The table raw drops here, before this is asked; left aside."),
        (5, "The table nat translates, marks or drops beforehand; left aside."),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.5\nCOMMIT\n",
         "There is no filter table in it, so nothing of it decides what passes."),
        ("*filter\n-A INPUT -s 10.0.0.1 -j ACCEPT\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n",
         "A second filter table begins here: take IPv4 and IPv6 in apart, each decides for itself."),
        ('*filter\n-A INPUT -s 10.0.0.1 -m comment --comment "half -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n',
         "A quote is opened and not closed."),
        ("*filter\n-A INPUT -j ACCEPT -s 10.0.0.1\n-A INPUT -j DROP\nCOMMIT\n",
         "Something is matched behind the target: write the target last."),
    ],
)  # fmt: skip
def test_half_of_iptables_is_not_taken_for_all_of_it(text: str, said: str) -> None:
    assert said in problems(read(text))


def test_a_text_without_its_end_says_so() -> None:
    (note,) = read("*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.0.0.1 -j ACCEPT\n").notes
    assert note.sentence == "The text ends before its last table does: there is no COMMIT. Is all of it there?"


@pytest.mark.parametrize(
    "module", ["limit --limit 1/sec", "recent --set", "statistic --mode random", "quota --quota 9"]
)
def test_lines_that_count_are_like_no_other_and_never_said_to_be_superfluous(module: str) -> None:
    twice = f"-A INPUT -p tcp -m {module} -j ACCEPT\n" * 2
    lines = read(f"*filter\n:INPUT DROP [0:0]\n{twice}-A INPUT -p tcp -j ACCEPT\nCOMMIT\n").lines
    found = analyse(lines)
    assert [one.number for one in found.findings if one.code is not Code.TOO_WIDE] == []
    assert found.undecided == (3, 4)
    assert not clean(lines, [Finding(Code.REDUNDANT, 4, (), "")]).is_equivalent


def test_what_marks_say_is_another_thing_behind_a_line_that_marks() -> None:
    marked = "-A INPUT -p tcp -m mark --mark 0x1 -j ACCEPT\n"
    text = f"*filter\n:INPUT DROP [0:0]\n{marked}-A INPUT -s 10.0.0.1 -j MARK --set-xmark 0x1/0x1\n{marked}COMMIT\n"
    plain = f"*filter\n:INPUT DROP [0:0]\n{marked}{marked}COMMIT\n"
    found = [
        [one.number for one in analyse(read(one).lines).findings if one.code is Code.DUPLICATE] for one in (text, plain)
    ]
    assert found == [[], [4]]


def group(**permission: object) -> str:
    return "\ufeff" + json.dumps({"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [permission]}]})


def test_a_security_group_may_name_itself_lists_and_both_families() -> None:
    parsed = read(
        group(
            IpProtocol="tcp",
            FromPort=443,
            ToPort=443,
            IpRanges=[],
            Ipv6Ranges=[{"CidrIpv6": "::/0"}],
            PrefixListIds=[{"PrefixListId": "pl-1"}],
            UserIdGroupPairs=[{"GroupId": "sg-1"}],
        )
    )
    assert [told(one) for one in parsed.lines] == [
        ("::/0", "sg-1", "tcp", ((443, 443),)),
        ("pl-1", "sg-1", "tcp", ((443, 443),)),
        ("sg-1", "sg-1", "tcp", ((443, 443),)),
    ]


def test_a_port_that_is_no_number_is_not_every_port() -> None:
    parsed = read(group(IpProtocol="tcp", FromPort="22", ToPort="22", IpRanges=[{"CidrIp": "10.0.0.1/32"}]))
    assert (parsed.lines, problems(parsed)) == ((), ["sg-1, ingress: FromPort should be a number."])


POLICY = "kind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: b}}\n"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("  ingress:\n  - form: [{podSelector: {}}]\n", "The rule has 'form', which is none of from, ports."),
        ("  ingress:\n  - from: [{podSelector: {matchLabel: {app: a}}}]\n",
         "A selector has 'matchLabel', which is none of matchLabels, matchExpressions."),
        ("  ingress:\n  - from: [{podSelector: {matchLabels: [a]}}]\n", "'matchLabels' should be an object."),
        ("  ingress:\n  - from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]\n",
         "A peer that is an ipBlock is nothing else."),
        ("  ingress:\n  - from: [{ipBlock: {cidr: 10.0.0.0/8, exept: [10.1.0.0/16]}}]\n",
         "An ipBlock has 'exept', which is none of cidr, except."),
        ("  ingress:\n  - ports: [{endPort: 80}]\n", "endPort needs a port by number before it."),
        ("  ingress:\n  - ports: [{port: http, endPort: 80}]\n", "endPort needs a port by number before it."),
        ("  ingress:\n  - ports: [443]\n", "A port should be an object."),
    ],
)  # fmt: skip
def test_a_misspelt_policy_is_not_read_as_allowing_everything(rules: str, said: str) -> None:
    parsed = read(POLICY + rules)
    assert (parsed.lines, [one.rpartition(": ")[2] for one in problems(parsed)]) == ((), [said])


def test_a_rule_its_policy_does_not_govern_decides_nothing_and_covers_nothing() -> None:
    """Taken for a rule, it would make the same rule of another policy look superfluous."""
    idle = POLICY + "  policyTypes: [Ingress]\n  ingress:\n  - {}\n  egress:\n  - to: [{ipBlock: {cidr: 10.0.0.0/8}}]\n"
    live = POLICY.replace("name: a", "name: c") + "  egress:\n  - to: [{ipBlock: {cidr: 10.0.0.0/8}}]\n"
    parsed = read(f"{idle}---\n{live}---\nkind: Service\nmetadata: {{name: s}}\n")
    assert [(one.number, one.source, one.destination) for one in parsed.lines] == [
        (1, "any", "app=b in shop"),
        (3, "app=b in shop", "10.0.0.0/8"),
    ]
    assert [(one.number, one.sentence) for one in parsed.notes] == [
        (2, "shop/a, egress, line 9: policyTypes leaves that out, so it decides nothing."),
        (0, "'Service' is no NetworkPolicy; left aside."),
    ]


def test_a_list_exported_with_a_mark_and_formulas_is_read_and_its_formulas_are_only_words() -> None:
    one = {"listId": "1", "name": "=Partner", "type": "IP", "items": [{"value": "192.0.2.1", "description": "=1+1"}]}
    (line,) = read("\ufeff" + json.dumps({"content": [one]})).lines
    assert (line.source, line.destination, line.reason, line.action) == ("192.0.2.1", "=Partner", "=1+1", Action.ALLOW)


def test_a_line_taken_out_is_the_one_that_was_numbered_whatever_signs_break_lines_elsewhere() -> None:
    text = "open tcp 443 from a\u2028b to payments\nopen tcp 80 from c to payments\nopen tcp 22 from d to payments"
    assert without(text, Format.TICKET, {2}) == text.replace("open tcp 80 from c to payments\n", "")
