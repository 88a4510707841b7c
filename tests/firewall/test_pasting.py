"""What is pasted becomes lines, whatever it is written as; what cannot be read stays, with why."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from apps.firewall.standing import Stand, stand_of
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


def test_a_text_that_is_nothing_we_know_is_kept_with_why(at: datetime) -> None:
    there = factory.shop()
    (line,) = firewall.lines_of(firewall.request(there.ada, pasted="What a nice day.", at=at))
    assert stand_of(line) is Stand.UNREADABLE
    assert line.text == "There is no line in it."
