"""The addresses of firewall requests: who gets what there."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.arch.url_rows import GONE_ON, HIDDEN, NOT_YOURS, Row, act, page, payments
from tests.factories import firewall
from tests.factories.pages import House

NOBODY, WRONG_INPUT, WRONG_METHOD, NOT_READY = 401, 400, 405, 422


def written(there: House) -> list[object]:
    """A firewall request of Ada's, with a line to choose for."""
    return [firewall.drafted(there.shop.ada, there.shop.service, datetime.now(UTC)).public_id]


def first_line(there: House) -> list[object]:
    return [*written(there), 1]


def zoned(there: House) -> list[object]:
    return [firewall.quiet_zone(datetime.now(UTC)).slug]


def proposed(there: House) -> list[object]:
    """Proposed by Ben, who owns payments."""
    firewall.proposed(there.shop.ben, there.shop.service, datetime.now(UTC))
    return ["payments"]


def api(**more: object) -> Row:
    return page(**{"anonymous": NOBODY, **more})


def api_act(**more: object) -> Row:
    return api(**{"method": "post", "wrong": HIDDEN, "agent": HIDDEN, **more})


ROW = {"source": "me", "destination": "payments", "title": "x", "head_reason": "x", "duration": 900}
CELL = {"source": "shop", "destination": "shop", "verdict": "security", "why": "So."}
UNSEEN = {"wrong": HIDDEN, "agent": HIDDEN}
NOT_THEIRS = {"wrong": NOT_YOURS, "agent": NOT_YOURS}

FIREWALL = {
    "firewall": page(),
    "firewall_new": act(wrong=GONE_ON, changes=False, data=lambda there: ROW),
    "firewall_copy": page(),
    "firewall_request": page(args=written, **UNSEEN),
    "firewall_act": act(args=written, data=lambda there: {"act": "withdraw"}, **UNSEEN),
    "firewall_line": act(args=first_line, data=lambda there: {"act": "drop"}, **UNSEEN),
    "firewall_ways": page(args=first_line, **UNSEEN),
    "zones": page(),
    "zone": page(by="cyd", args=zoned, **NOT_THEIRS),
    "zone_remove": act(by="cyd", args=zoned),
    "decommission": page(by="ben", args=payments, **NOT_THEIRS),
    "decommission_decide": act(by="cyd", args=proposed, data=lambda there: {"outcome": "denied"}),
    "api:firewall-requests": api(),
    "api:firewall-request": api(args=written, **UNSEEN),
    "api:firewall-confirm": api_act(args=written),
    "api:firewall-narrowest": api_act(args=written, changes=True),
    "api:firewall-send": api_act(args=written, right=NOT_READY),
    "api:firewall-withdraw": api_act(args=written, changes=True),
    "api:firewall-line": api(args=first_line, right=WRONG_METHOD, wrong=WRONG_METHOD, agent=WRONG_METHOD),
    "api:firewall-line-choose": api_act(
        args=first_line, data=lambda there: {"side": "source", "key": "person:ada"}, changes=True
    ),
    "api:firewall-line-take": api_act(args=first_line, data=lambda there: {"proposal": "narrowest"}, changes=True),
    "api:firewall-line-drop": api_act(args=first_line, data=lambda there: {"dropped": True}, changes=True),
    "api:firewall-line-ways": api(args=first_line, **UNSEEN),
    "api:firewall-clone": api(method="post", right=WRONG_INPUT, wrong=WRONG_INPUT, agent=WRONG_INPUT),
    "api:firewall-zones": api(),
    "api:firewall-zone": api(args=zoned, right=WRONG_METHOD, wrong=WRONG_METHOD, agent=WRONG_METHOD),
    "api:firewall-zone-cells": api_act(
        by="cyd", data=lambda there: {**CELL, "source": zoned(there)[0]}, changes=True, **NOT_THEIRS
    ),
    "api:firewall-decommission": api(args=payments, by="ben", **NOT_THEIRS),
    "api:firewall-decommission-decide": api_act(
        by="cyd", args=proposed, data=lambda there: {"outcome": "denied"}, changes=True, **NOT_THEIRS
    ),
}
