"""Under which tier a target's policy is rehearsed."""

from __future__ import annotations

import pytest

from apps.localedge.tiers import load_tiers, tier_named
from apps.rollout.models import Target
from apps.rollout.services.compiling import TIERS, tier_of


@pytest.mark.parametrize(
    ("config", "tier"),
    [
        ({"resource_tier_id": 100}, "basic"),
        ({"resource_tier_id": "200"}, "dynamic"),
        ({"resource_tier_id": 300}, "enterprise"),
        ({"resource_tier_id": 999}, "basic"),
        ({"resource_tier_id": 100, "tier": "enterprise"}, "enterprise"),
    ],
)
def test_the_tier_is_that_of_the_edgeworker(config: dict[str, object], tier: str) -> None:
    assert tier_of(Target(config=config)) == tier


def test_the_names_are_those_of_the_tiers() -> None:
    assert {number: tier_named(load_tiers(), name).id for number, name in TIERS.items()} == {n: n for n in TIERS}
