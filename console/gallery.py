"""What the gallery shows: each component in each of its states, with words as they occur."""

from __future__ import annotations

from datetime import UTC, datetime

from console.words import DOOR_STATES, STATES, Who

MOMENT = datetime(2026, 11, 23, 14, 3, 9, tzinfo=UTC)

DOORS = [state for state in DOOR_STATES if state not in ("", "allow", "deny")]
HOW = {
    "closed": "Nothing is asked of this door.",
    "opening": "The bundle is on its way to the network.",
    "open": "Active; no probe has come back yet.",
    "proven": "A probe was let through with this grant.",
    "failing": "The network answered 503; we try again in 8 seconds.",
    "closing": "Ended; the door has not confirmed yet.",
}
PEOPLE = [
    Who("person", "Ada Okafor"),
    Who("person", "Ben Lindqvist"),
    Who("team", "Storefront"),
    Who("agent", "release-bot"),
    Who("workload", "spiffe://shop.test/ns/shop/sa/payments"),
]
DIFF = """--- edgekv/services/payments
+++ edgekv/services/payments
@@ grants @@
-"grants":[]
+"grants":[["g_5f2c",[3],1795442589,1795471389]]
"""


def context() -> dict[str, object]:
    return {
        "door_pairs": [(state, state) for state in DOORS],
        "door_cards": [("edge" if number % 2 else "mesh", state, HOW[state]) for number, state in enumerate(DOORS)],
        "people": PEOPLE,
        "methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
        "states": list(STATES),
        "moment": MOMENT,
        "diff_text": DIFF,
        "risks": [
            ("low", ["It reads only."]),
            ("medium", ["It can change things (POST).", "It can be used from outside, through the edge."]),
            ("high", ["Payments is critical.", "It can change things (POST).", "It opens to a whole team: 9 people."]),
        ],
        "curl": 'curl -X POST http://api.shop.localhost/payments/refunds \\\n  -H "Authorization: Bearer $TOKEN"',
    }
