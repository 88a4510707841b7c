"""The pages of old rule bases: pasted, explained, cleaned up, and asked for as access. Works without a script."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.firewall.models import RuleBase, RuleBaseCleaning
from apps.identity.models import Subject
from tests.bench.rulebase import written
from tests.factories import pages
from tests.factories import rule_bases as factory
from tests.firewall.samples import TEXT
from tests.pages.test_addresses import text

pytestmark = pytest.mark.django_db
Browse = Callable[[Subject], Client]
HERE = "/firewall/rulebases/"


def test_a_pasted_rule_base_leads_to_what_is_wrong_with_it(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    answer = client.post(HERE, {"name": "Old firewall", "text": TEXT}, follow=True)
    base = RuleBase.objects.get()
    assert answer.redirect_chain[-1][0] == f"{HERE}{base.public_id}/"
    shown = text(answer)
    for words in (
        "Old firewall: 10 findings",
        "Line 2 says exactly the same.",
        "It is open from anywhere and to anywhere and for every port.",
        "Nobody here knows ghost.",
        "It never denies anything: line 2 allows all of it earlier.",
    ):
        assert words in shown, words
    only = text(client.get(f"{HERE}{base.public_id}/?code=orphaned"))
    assert "Nobody here knows ghost." in only
    assert "It is open from anywhere" not in only


def test_every_bad_line_is_shown_nothing_typed_is_lost_and_nothing_kept(house: pages.House, browse: Browse) -> None:
    answer = browse(house.shop.ada).post(HERE, {"name": "Old", "text": "src,dst\n10.0.0.1/8,web\n,web\n"})
    shown = text(answer)
    assert answer.status_code == 422
    for words in ("2 things to put right first", "has bits beyond its prefix", "There is no source.", "10.0.0.1/8,web"):
        assert words in shown, words
    assert not RuleBase.objects.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_is_read_however_a_spreadsheet_saved_it(house: pages.House, browse: Browse, encoding: str) -> None:
    raw = "Quelle;Ziel;Dienst\n10.0.0.1;Küche;https\n".encode(encoding)
    browse(house.shop.ada).post(HERE, {"name": "Küche", "file": SimpleUploadedFile("x.csv", raw)})
    assert list(RuleBase.objects.get().lines.values_list("destination", "ports")) == [("Küche", [[443, 443]])]


@pytest.mark.parametrize("raw", [b"PK\x03\x04 xl/workbook.xml", b"\xd0\xcf\x11\xe0 old"])
def test_a_workbook_is_told_what_to_do_with_it(house: pages.House, browse: Browse, raw: bytes) -> None:
    answer = browse(house.shop.ada).post(HERE, {"name": "Sheet", "file": SimpleUploadedFile("x.xlsx", raw)})
    assert "This is a workbook. Save its sheet as CSV, or copy its cells and paste." in text(answer)
    assert not RuleBase.objects.exists()


def test_one_that_is_being_read_says_so(house: pages.House, browse: Browse) -> None:
    base = factory.taken(house.shop.ada, text=written(2_000), at=datetime.now(UTC))
    shown = text(browse(house.shop.ada).get(f"{HERE}{base.public_id}/"))
    assert "Old firewall is being read" in shown
    assert "<progress" in shown
    assert "Look again" in shown


def test_a_clean_up_is_proposed_proven_approved_by_somebody_else_and_taken_out(
    house: pages.House, browse: Browse
) -> None:
    base = factory.taken(house.shop.ada, at=datetime.now(UTC))
    ada, cyd = browse(house.shop.ada), browse(house.shop.cyd)
    nothing = ada.post(f"{HERE}{base.public_id}/propose", {"reason": "x"})
    assert (nothing.status_code, "Choose at least one finding" in text(nothing)) == (422, True)
    answer = ada.post(
        f"{HERE}{base.public_id}/propose",
        {"codes": ["duplicate", "shadowed", "redundant"], "reason": "Nobody needs them."},
        follow=True,
    )
    there = f"{HERE}cleanings/{RuleBaseCleaning.objects.get().public_id}/"
    shown = text(answer)
    for words in ("5 lines can go, and nothing changes", "Proven: every packet", "Somebody else decides"):
        assert words in shown, words
    ada.post(f"{there}decide", {"verdict": "approve"})
    assert RuleBaseCleaning.objects.get().outcome == ""
    assert "Take 5 lines out" in text(cyd.get(there))
    done = text(cyd.post(f"{there}decide", {"verdict": "approve"}, follow=True))
    assert "Old firewall (cleaned)" in done
    taken = ada.get(f"{there}text")
    assert taken["Content-Disposition"] == f'attachment; filename="{base.public_id}-cleaned.txt"'
    assert taken.content.decode().splitlines() == [TEXT.splitlines()[0], "any,any,any,any,allow,7"]
    assert ada.get(f"{HERE}{base.public_id}/text").content.decode() == TEXT


def test_lines_are_found_ticked_and_carried_into_a_firewall_request(house: pages.House, browse: Browse) -> None:
    base = factory.taken(house.shop.ada, at=datetime.now(UTC))
    client = browse(house.shop.ada)
    assert "10.1.2.0/24" in text(client.get(f"{HERE}{base.public_id}/lines/?q=10.1.2"))
    assert "No line like this" in text(client.get(f"{HERE}{base.public_id}/lines/?q=192.0.2"))
    assert "No line is ticked" in text(client.get(f"{HERE}{base.public_id}/ask/"))
    shown = text(client.get(f"{HERE}{base.public_id}/ask/?number=3"))
    assert "1 line to ask for as access" in shown
    line = "10.1.2.0/24,payments,tcp,443,both,allow,,"
    assert line in shown
    carried = text(
        client.post("/firewall/new", {"pasted": f"source,destination,protocol,port,direction\n{line}", "add": "1"})
    )
    assert line in carried


def test_one_is_deleted_after_its_name_was_written(house: pages.House, browse: Browse) -> None:
    base = factory.taken(house.shop.ada, at=datetime.now(UTC))
    client, here = browse(house.shop.ada), f"{HERE}{base.public_id}/delete"
    assert f'href="{here}"' in client.get(f"{HERE}{base.public_id}/").content.decode()
    answer = client.post(here, {"name": "Something else"})
    assert (answer.status_code, RuleBase.objects.count()) == (422, 1)
    assert "Write the name of the rule base as it stands" in text(answer)
    assert "Old firewall is deleted." in text(client.post(here, {"name": "Old firewall"}, follow=True))
    assert not RuleBase.objects.exists()
