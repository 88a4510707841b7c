"""The demo's command line answers a wrong name with what there is, and not with a stack."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.demo.client import Unknown, call_edge, edge_token

STATE: dict[str, Any] = {"tokens": {"ben": "b", "ada": "a"}, "edge": "http://api.shop.localhost:8080"}


def test_whom_the_demo_does_not_know_is_told_whom_it_knows() -> None:
    with pytest.raises(Unknown, match=r"^The demo knows nobody called zed\. It knows ada, ben\.$"):
        edge_token(STATE, "zed")


@pytest.mark.parametrize("url", ["/payments/refunds", "api.shop.localhost:8080/payments/refunds"])
def test_an_address_without_a_host_is_told_how_to_begin(url: str) -> None:
    with pytest.raises(Unknown, match=r"begin with http://api\.shop\.localhost:8080/\.$"):
        call_edge(STATE, None, "GET", url, None)
