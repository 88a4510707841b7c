"""Which connections of a workload are turned: told from networks and ports, so that no new address slips past."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.compiler.emitters.cluster.calls import BadCall, Calls, Way, between_machines, chain, in_cluster
from tests.compiler.estate import CART, PAYMENTS

BOTH = (CART, PAYMENTS)


def test_a_service_is_called_by_the_names_a_cluster_gives_it() -> None:
    cart, payments = in_cluster(BOTH, "front", {"payments": "payments.shop.svc:80"})
    assert cart == Way(
        "cart", "cart.shop.svc:9201", ("cart.shop", "cart.shop.svc", "cart.shop.svc.cluster.local"), (9201,)
    )
    assert payments.ports == (80, 9202)
    assert "payments" not in payments.names
    assert "payments" in in_cluster([PAYMENTS], "shop", {})[0].names


def test_on_a_machine_only_what_was_told_of_is_turned() -> None:
    [way] = between_machines(BOTH, {"payments": "10.20.0.7:9102"})
    assert way == Way("payments", "10.20.0.7:9102", ("10.20.0.7",), (9102, 9202))
    with pytest.raises(BadCall, match="nothing is no service"):
        between_machines(BOTH, {"nothing": "10.20.0.7:1"})


@pytest.mark.parametrize("place", ["", "till", "till:", "till:0", "till:65536", "a;b:80", ":80"])
def test_a_place_is_a_host_and_a_port(place: str) -> None:
    with pytest.raises(BadCall, match="host:port"):
        between_machines(BOTH, {"payments": place})


def test_rules_spare_the_sidecar_what_stays_here_and_what_was_named() -> None:
    ways = in_cluster(BOTH, "shop", {})
    assert chain(Calls(ways, leave=("10.9.0.0/16", "10.9.1.0/24", "fd00::/64")), "26262") == (
        "  chain output {\n"
        "    type nat hook output priority -100; policy accept;\n"
        '    oifname "lo" return\n'
        "    meta skuid 26262 return\n"
        "    ip daddr { 10.9.0.0/16 } return\n"
        "    ip6 daddr { fd00::/64 } return\n"
        "    ip daddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 } "
        "tcp dport { 9201, 9202 } redirect to :15001\n"
        "    ip6 daddr { fc00::/7 } tcp dport { 9201, 9202 } redirect to :15001\n"
        "  }\n"
    )


def test_who_calls_nobody_has_no_rules_and_a_network_has_to_be_one() -> None:
    assert chain(Calls(), "26262") == ""
    with pytest.raises(BadCall, match="no network"):
        Calls(in_cluster(BOTH, "shop", {}), inside=("shop",))
    assert in_cluster([replace(PAYMENTS, mesh=None)], "shop", {}) == ()
