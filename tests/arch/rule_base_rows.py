"""The addresses of old rule bases: who gets what there."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.arch.firewall_rows import UNSEEN, api, api_act
from tests.arch.url_rows import act, page
from tests.factories import rule_bases
from tests.factories.pages import House


def based(there: House) -> list[object]:
    """A rule base Ada took in."""
    return [rule_bases.quiet(there.shop.ada, datetime.now(UTC)).public_id]


def cleaning(there: House) -> list[object]:
    """A clean-up of it that waits."""
    return [rule_bases.quiet_cleaning(there.shop.ada, datetime.now(UTC)).public_id]


def cleaned(there: House) -> list[object]:
    """One that Cyd agreed to."""
    return [rule_bases.quiet_cleaning(there.shop.ada, datetime.now(UTC), by=there.shop.cyd).public_id]


RULE_BASES = {
    "rule_bases": page(),
    "rule_base": page(args=based, **UNSEEN),
    "rule_base_lines": page(args=based, **UNSEEN),
    "rule_base_ask": page(args=based, **UNSEEN),
    "rule_base_text": page(args=based, **UNSEEN),
    "rule_base_delete": act(args=based, data=lambda there: {"name": "Old firewall"}, **UNSEEN),
    "rule_base_propose": act(args=based, data=lambda there: {"codes": "duplicate", "reason": "So."}, **UNSEEN),
    "rule_base_cleaning": page(args=cleaning, by="cyd", **UNSEEN),
    "rule_base_decide": act(args=cleaning, by="cyd", data=lambda there: {"verdict": "deny"}, **UNSEEN),
    "rule_base_cleaned": page(args=cleaned, **UNSEEN),
    "api:rule-bases": api(),
    "api:rule-base": api(args=based, **UNSEEN),
    "api:rule-base-findings": api(args=based, **UNSEEN),
    "api:rule-base-lines": api(args=based, **UNSEEN),
    "api:rule-base-cleanings": api_act(
        args=based, right=201, data=lambda there: {"codes": ["duplicate"], "reason": "So."}, changes=True
    ),
    "api:rule-base-cleaning": api(args=cleaning, by="cyd", **UNSEEN),
    "api:rule-base-decide": api_act(args=cleaning, by="cyd", data=lambda there: {"approve": False}, changes=True),
}
