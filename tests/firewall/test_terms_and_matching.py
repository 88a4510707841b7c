"""What written names may mean, how sure that is, and why."""

from __future__ import annotations

import pytest

from apps.catalog.selectors import Placed
from apps.compiler.addresses import read_block
from apps.firewall.matching import Caller, callers_for, services_for, settled
from apps.firewall.terms import BadPorts, read_call, read_ports, read_term

PAYMENTS = Placed(
    slug="payments",
    title="Payments",
    upstream_name="paymentservice",
    team="team:payments",
    sensitivity="sensitive",
    host="api.shop.test",
    base_path="/payments",
    namespace="shop",
    port=9105,
    upstream_port=50051,
    workload="workload:spiffe://shop.test/ns/shop/sa/payments",
)
ORDERS = Placed("orders", "Order desk", "", "team:orders", "internal", host="api.shop.test", base_path="/orders")
ALONE = Placed("search", "Search", "", "team:web", "open", host="search.shop.test")
KNOWN = (PAYMENTS, ORDERS, ALONE)
ADA = Caller("person:ada", "person", "Ada Lovelace", "ada@shop.test")
TEAM = Caller("team:storefront", "team", "Storefront")
ACME = Caller("party:acme", "party", "Acme", blocks=(read_block("203.0.113.0/28"),))


@pytest.mark.parametrize(
    ("written", "confidence", "why"),
    [
        ("payments", 1.0, "payments is its short name."),
        ("the Payments service", 0.95, "It is called Payments."),
        ("PaymentService", 0.95, "Its authors call it paymentservice."),
        ("payments.shop.svc.cluster.local:50051", 0.95, "It runs in the namespace shop under this name."),
        ("app.kubernetes.io/name=payments in shop", 0.95, "It runs in the namespace shop under this name."),
        ("Payments (sg-0a1b2c)", 0.95, "It is called Payments."),
        ("shop/payments", 0.95, "It runs in the namespace shop under this name."),
        ("https://api.shop.test/payments/refunds", 0.95, "It answers at api.shop.test/payments."),
        ("spiffe://shop.test/ns/shop/sa/payments", 0.95, "It answers with this workload identity."),
    ],
)
def test_a_service_is_known_by_each_of_its_names(written: str, confidence: float, why: str) -> None:
    (best, *_) = services_for(read_term(written), [], KNOWN)
    assert (best.key, best.confidence, best.why) == ("payments", confidence, why)
    assert settled([best]) == best


def test_a_host_with_several_services_is_offered_as_a_choice() -> None:
    found = services_for(read_term("api.shop.test"), [], KNOWN)
    assert [(one.key, one.confidence) for one in found] == [("orders", 0.5), ("payments", 0.5)]
    assert settled(found) is None


def test_a_host_of_one_service_is_that_service() -> None:
    assert [one.key for one in services_for(read_term("search.shop.test"), [[443, 443]], KNOWN)] == ["search"]


def test_a_port_alone_is_a_guess() -> None:
    (found,) = services_for(read_term("192.0.2.9"), [[9105, 9105]], KNOWN)
    assert (found.key, found.confidence) == ("payments", 0.5)


def test_a_port_the_service_has_not_makes_it_doubtful() -> None:
    (found,) = services_for(read_term("payments"), [[5432, 5432]], KNOWN)
    assert found.confidence == 0.8
    assert found.why.endswith("But it listens on none of the ports named.")
    assert settled([found]) is None


def test_a_slip_of_the_pen_is_asked_about() -> None:
    (found,) = services_for(read_term("paymemts"), [], KNOWN)
    assert found.key == "payments"
    assert 0.6 < found.confidence < 0.8
    assert found.why == "Payments is spelled almost like that."


@pytest.mark.parametrize(
    ("written", "key", "confidence"),
    [
        ("person:ada", "person:ada", 1.0),
        ("Ada Lovelace", "person:ada", 0.95),
        ("ADA@shop.test", "person:ada", 0.95),
        ("storefront team", "team:storefront", 0.95),
        ("me", "person:ada", 0.95),
        ("203.0.113.4, 203.0.113.5", "party:acme", 0.95),
        ("paymentservice", "workload:spiffe://shop.test/ns/shop/sa/payments", 0.95),
    ],
)
def test_a_caller_is_known_by_each_of_its_names(written: str, key: str, confidence: float) -> None:
    (best, *_) = callers_for(read_term(written), ADA, (ADA, TEAM, ACME), KNOWN)
    assert (best.key, best.confidence) == (key, confidence)


@pytest.mark.parametrize("written", ["any", "*", "0.0.0.0/0", "::/0", "internet"])
def test_anybody_is_nobody(written: str) -> None:
    assert read_term(written).anybody
    assert callers_for(read_term(written), ADA, (ADA,), KNOWN) == []


def test_two_callers_of_one_name_are_a_choice() -> None:
    other = Caller("team:ada", "team", "Ada Lovelace")
    found = callers_for(read_term("ada lovelace"), ADA, (ADA, other), KNOWN)
    assert [one.key for one in found] == ["person:ada", "team:ada"]
    assert settled(found) is None


def test_a_team_and_a_workload_of_one_name_are_told_apart_by_the_word_beside_it() -> None:
    team = Caller("team:payments", "team", "Payments")
    both = [one.key for one in callers_for(read_term("payments"), ADA, (ADA, team), KNOWN)]
    assert both == ["team:payments", PAYMENTS.workload]
    for written, key in (("the payments team", "team:payments"), ("payments service", PAYMENTS.workload)):
        found = callers_for(read_term(written), ADA, (ADA, team), KNOWN)
        assert [one.key for one in found] == [key]
        assert settled(found) is not None


def test_methods_and_paths_are_read_out_of_sentences() -> None:
    assert read_call("please open POST /refunds/{id}, until Friday") == ("POST", "/refunds/{id}")
    assert read_call("GET /payments.") == ("GET", "/payments")
    assert read_call("open port 443") == ("", "")


def test_ports_are_read_and_wrong_ones_refused() -> None:
    assert read_ports("80; 8000-8010,443") == [[80, 80], [443, 443], [8000, 8010]]
    assert read_ports("any") == []
    for wrong in ("https", "70000", "90-80"):
        with pytest.raises(BadPorts):
            read_ports(wrong)
