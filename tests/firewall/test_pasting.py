"""What is pasted becomes lines, whatever it is written as; what cannot be read stays, with why."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from apps.firewall.models import FirewallRequest
from apps.firewall.refusals import BadFirewallRequest
from apps.firewall.standing import Stand, stand_of, text_of, why_unreadable
from tests.factories import access as factory
from tests.factories import firewall

pytestmark = pytest.mark.django_db


def test_a_spreadsheet_is_read_row_by_row(at: datetime) -> None:
    there = factory.shop()
    rows = ("Source;Destination;Port;Direction;Valid until;Reason", "Ada;payments;443;Inbound;2026-03-05;Audit")
    pasted = "\n".join((*rows, "Ben;;443;egress;;\n"))
    asked = firewall.request(there.ada, pasted=pasted, duration=3600, at=at)
    good, bad = firewall.lines_of(asked)
    assert (asked.format, asked.pasted) == ("table", pasted)
    assert (good.meaning.subject, good.meaning.service, good.ports) == (there.ada, there.service, [[443, 443]])
    assert (good.until, good.reason, good.direction) == (datetime(2026, 3, 6, tzinfo=UTC), "Audit", "in")
    assert stand_of(bad) is Stand.UNREADABLE
    assert bad.text.startswith("Ben;;443;egress;;\n")


def test_a_ticket_is_read_sentence_by_sentence(at: datetime) -> None:
    there = factory.shop()
    wish = "please open inbound tcp 443 from storefront to payments until 31 Mar because POST /refunds is refused"
    pasted = f"Hello,\n{wish}\nThanks"
    (line,) = firewall.lines_of(firewall.request(there.ada, pasted=pasted, at=at))
    assert (line.meaning.subject, line.meaning.service) == (there.storefront, there.service)
    assert (line.method, line.path, line.meaning.routes) == ("POST", "/refunds", ["refund"])
    assert (line.until, line.direction) == (datetime(2026, 4, 1, tzinfo=UTC), "in")


def test_an_old_rule_base_is_read_and_says_what_it_cannot_be(at: datetime) -> None:
    there = factory.shop()
    factory.service("billing", team=there.storefront)
    pasted = (
        "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -s 10.1.0.0/16 -d 10.2.0.7/32 -p tcp --dport 9101 -j ACCEPT\nCOMMIT\n"
    )
    asked = firewall.request(there.ada, pasted=pasted, at=at)
    (line,) = firewall.lines_of(asked)
    assert asked.format == "iptables"
    assert "10.1.0.0/16 is too wide" in line.meaning.problem
    assert [one["key"] for one in line.meaning.found["destination"]] == ["payments"]
    assert line.meaning.found["destination"][0]["confidence"] == 0.5


def test_security_groups_are_read(at: datetime) -> None:
    there = factory.shop()
    port = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "203.0.113.0/28"}]}
    group = {"GroupId": "sg-1", "GroupName": "payments", "IpPermissions": [port], "IpPermissionsEgress": []}
    asked = firewall.request(there.ada, pasted=json.dumps({"SecurityGroups": [group]}), at=at)
    (line,) = firewall.lines_of(asked)
    assert (asked.format, line.meaning.blocks, line.meaning.service) == (
        "security_groups",
        ["203.0.113.0/28"],
        there.service,
    )


def test_policies_of_a_cluster_are_read_by_what_their_pods_are_called(at: datetime) -> None:
    there = factory.shop()
    factory.service("billing", team=there.storefront)
    pasted = (
        "kind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec:\n"
        "  podSelector: {matchLabels: {app: payments}}\n  ingress:\n"
        "  - from: [{podSelector: {matchLabels: {app: billing}}}]\n    ports: [{port: 9101}]\n"
    )
    (line,) = firewall.lines_of(firewall.request(there.ada, pasted=pasted, at=at))
    assert line.meaning.subject is not None
    assert line.meaning.subject.key == "workload:spiffe://shop.test/ns/shop/sa/billing"
    assert (line.meaning.service, line.meaning.points, stand_of(line)) == (there.service, ["mesh"], Stand.UNCONFIRMED)


def test_a_list_of_an_edge_names_addresses_and_no_service_until_somebody_says_which(at: datetime) -> None:
    there = factory.shop()
    one = {"uniqueId": "1_OFFICE", "name": "Office", "type": "IP", "list": ["203.0.113.0/28"], "syncPoint": 3}
    asked = firewall.request(there.ada, pasted="\ufeff" + json.dumps({"networkLists": [one]}), at=at)
    (line,) = firewall.lines_of(asked)
    assert (asked.format, line.meaning.blocks) == ("address_lists", ["203.0.113.0/28"])
    assert line.meaning.problem == "No service of the catalogue answers to 'Office'."


def test_what_an_earlier_line_denied_a_part_of_says_so(at: datetime) -> None:
    """Line by line, an old rule base asks for more than it let through."""
    pasted = (
        "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -s 203.0.113.7/32 -j DROP\n"
        "-A FORWARD -s 203.0.113.0/28 -p tcp -j ACCEPT\n-A FORWARD -s 198.51.100.0/28 -p tcp -j ACCEPT\nCOMMIT\n"
    )
    asked = firewall.request(factory.shop().ada, pasted=pasted, at=at)
    said = "Line 3 came first and denied a part of what this allows: ask for less here, or have a guardrail forbid it."
    assert list(asked.aside) == [(4, said)]


def test_a_denial_among_too_many_ranges_is_said_to_be_uncompared(at: datetime) -> None:
    ports = ",".join(str(port) for port in range(1, 4_000, 2))
    pasted = f'source,destination,port,action\nada,payments,"{ports}",deny\nada,payments,"{ports}",allow\n'
    asked = firewall.request(factory.shop().ada, pasted=pasted, at=at)
    assert [number for number, _ in asked.aside] == [0]


def _refused(pasted: str, at: datetime) -> str:
    with pytest.raises(BadFirewallRequest) as refused:
        firewall.request(factory.shop().ada, pasted=pasted, at=at)
    assert not FirewallRequest.objects.exists()
    (complaint,) = refused.value.fields["pasted"]
    return complaint


@pytest.mark.parametrize("pasted", ["What a nice day.", "me\tpayments\t443\nada\tcart\t443\n", "10.1.2.3;payments;443"])
def test_a_text_of_which_nothing_can_be_read_is_refused_with_what_is_wanted(pasted: str, at: datetime) -> None:
    assert "a first row that names its columns, such as source, destination, port" in _refused(pasted, at)


def test_broken_json_and_json_of_something_else_are_told_apart(at: datetime) -> None:
    assert _refused('{"SecurityGroups": [', at).startswith("This is not JSON: Expecting value, line 1")


def test_json_of_something_else_says_what_it_is_not(at: datetime) -> None:
    assert _refused('{"weather": "nice"}', at).startswith("This JSON holds no AWS security groups")


def test_what_asks_for_nothing_is_kept_with_where_it_stood(at: datetime) -> None:
    there = factory.shop()
    pasted = "Hello,\nopen tcp 443 from ada to payments\nThe cart needs to reach email as well.\n"
    asked = firewall.request(there.ada, pasted=pasted, at=at)
    assert len(firewall.lines_of(asked)) == 1
    asked.refresh_from_db()
    assert asked.aside == [
        [1, "'Hello,' asks for no access; left aside."],
        [3, "'The cart needs to reach email as well.' asks for no access; left aside."],
    ]


def test_everything_that_is_wrong_with_a_row_is_one_line(at: datetime) -> None:
    there = factory.shop()
    pasted = "source,destination,port,until\n,payments,99999,soon\n"
    (line,) = firewall.lines_of(firewall.request(there.ada, pasted=pasted, at=at))
    assert stand_of(line) is Stand.UNREADABLE
    assert text_of(line) == ",payments,99999,soon"
    assert why_unreadable(line) == (
        "There is no source. '99999' is no range of ports: they go up to 65535, the lower first. "
        "'soon' is no day such as 2026-12-31."
    )


def test_a_bad_rule_of_json_is_named_by_its_sentence_and_not_by_a_row_of_the_text(at: datetime) -> None:
    there = factory.shop()
    good = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "203.0.113.0/28"}]}
    group = {"GroupId": "sg-1", "IpPermissions": [good, {**good, "IpRanges": [{"CidrIp": "1.2.3.4/99"}]}]}
    asked = firewall.request(there.ada, pasted=json.dumps({"SecurityGroups": [group]}, indent=1), at=at)
    _, bad = firewall.lines_of(asked)
    assert bad.text == "sg-1, ingress: '1.2.3.4/99' is no address and no block such as 203.0.113.0/28."


def test_good_rules_of_iptables_stay_beside_a_bad_one(at: datetime) -> None:
    there = factory.shop()
    pasted = (
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 203.0.113.7 -p tcp --dport 443 -j ACCEPT\n"
        "-A INPUT -p tcp --dport 99999 -j ACCEPT\n-A INPUT -s 198.51.100.9 -j NOWHERE\nCOMMIT\n"
    )
    good, bad, unknown = firewall.lines_of(firewall.request(there.ada, pasted=pasted, at=at))
    assert (good.source, good.ports) == ("203.0.113.7", [[443, 443]])
    assert [stand_of(one) for one in (bad, unknown)] == [Stand.UNREADABLE, Stand.UNREADABLE]
