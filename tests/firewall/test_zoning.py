"""Which zones a thing is in, and which cell judges: as pure data, and as people set it."""

from __future__ import annotations

import pytest

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.compiler.addresses import read_block
from apps.firewall import refusals, services
from apps.firewall.models import Zone, ZoneRule
from apps.firewall.zoning import Matrix, Place, ZoneView, members_words, zones_of
from tests.factories import access as factory
from tests.factories import firewall

SHOP = ZoneView("shop", "Shop", namespaces=frozenset({"shop"}), kinds=frozenset({"workload"}))
CARDS = ZoneView("cards", "Cards", services=frozenset({"payments"}))
SECRET = ZoneView("secret", "Secret", sensitivities=frozenset({"critical"}))
OFFICE = ZoneView("office", "Office", networks=(read_block("203.0.113.0/24"),))
OUTSIDE = ZoneView("outside", "Outside", kinds=frozenset({"party", "person"}))
ZONES = (SHOP, CARDS, SECRET, OFFICE, OUTSIDE)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place(service="payments", namespace="shop", sensitivity="critical"), ["cards"]),
        (Place(service="orders", namespace="shop", sensitivity="critical"), ["shop"]),
        (Place(service="ledger", namespace="bank", sensitivity="critical"), ["secret"]),
        (Place(kind="party", blocks=(read_block("203.0.113.7"),)), ["office"]),
        (Place(kind="party", blocks=(read_block("198.51.100.7"),)), ["outside"]),
        (Place(kind="agent"), []),
    ],
)
def test_the_closest_name_wins(place: Place, expected: list[str]) -> None:
    assert [zone.slug for zone in zones_of(place, ZONES)] == expected


def test_an_empty_cell_needs_security_and_a_zone_reaches_itself() -> None:
    matrix = Matrix(ZONES)
    assert matrix.cell(SHOP, CARDS).verdict == "security"
    assert matrix.cell(SHOP, SHOP).verdict == "allowed"
    assert not matrix.cell(SHOP, CARDS).said


def test_of_several_cells_the_strictest_judges() -> None:
    twin = ZoneView("twin", "Twin", services=frozenset({"payments"}))
    said = {("shop", "cards"): ("allowed", "Fine."), ("shop", "twin"): ("forbidden", "Never.")}
    found = Matrix((SHOP, CARDS, twin), said).judge(Place(namespace="shop"), Place(service="payments"))
    assert found is not None
    assert (found.verdict, found.sentence) == ("forbidden", "Shop to Twin: forbidden. Never.")


def test_what_is_in_no_zone_is_judged_by_none() -> None:
    assert Matrix(ZONES).judge(Place(kind="agent"), Place(service="payments")) is None


def test_members_are_told_in_words() -> None:
    assert members_words(SHOP) == "namespace shop and workloads"
    assert members_words(ZoneView("x", "X")) == "nothing yet"


@pytest.mark.django_db
def test_setting_zones_and_cells_is_on_the_record() -> None:
    factory.shop()
    firewall.zone("cards", services=["payments"], networks=["203.0.113.0/25", "203.0.113.128/25"])
    firewall.zone("web", kinds=["person"])
    firewall.cell("web", "cards", "forbidden")
    firewall.cell("web", "cards", "security", "Ask first.")
    assert Zone.objects.get(slug="cards").networks == ["203.0.113.0/24"]
    assert ZoneRule.objects.get().verdict == "security"
    last = Event.objects.filter(action="firewall.zonerule.changed").latest("seq")
    assert (last.before, last.after) == (
        {"verdict": "forbidden", "why": "Because of the audit."},
        {"verdict": "security", "why": "Ask first."},
    )
    services.remove_zone(slug="web", actor=SYSTEM, at=factory.AT)
    assert not ZoneRule.objects.exists()
    assert Event.objects.filter(action="firewall.zone.removed").count() == 1


@pytest.mark.django_db
def test_only_security_and_administrators_set_them() -> None:
    there = factory.shop()
    for who in (there.ben, there.flo, there.bot):
        with pytest.raises(refusals.NotYoursToZone):
            services.set_zone(slug="x", values=services.ZoneValues(name="X"), actor=who.actor, at=factory.AT)
    services.set_zone(slug="x", values=services.ZoneValues(name="X"), actor=there.cyd.actor, at=factory.AT)
    assert list(Zone.objects.values_list("slug", flat=True)) == ["x"]


@pytest.mark.django_db
def test_what_is_not_there_is_complained_about_by_field() -> None:
    factory.shop()
    wrong = services.ZoneValues(
        name="X", services=("nothing",), networks=("10.0.0.1/8",), sensitivities=("huge",), kinds=("robot",)
    )
    with pytest.raises(refusals.BadZone) as refused:
        services.set_zone(slug="x", values=wrong, actor=SYSTEM, at=factory.AT)
    assert refused.value.fields.keys() == {"services", "networks", "sensitivities", "kinds"}
    assert not Zone.objects.exists()
