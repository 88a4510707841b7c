"""The writes of this app, one function per use case: lock, guard, write, record, enqueue, in that order."""

from __future__ import annotations

from apps.firewall.services.cloning import CALLEE, CALLER, SIDES, clone_access
from apps.firewall.services.decommissioning import decide_end, propose_end
from apps.firewall.services.drafting import Head, Written, draft_request
from apps.firewall.services.lines import choose, confirm, drop, drop_held_up, edit_line, look_again, withdraw
from apps.firewall.services.parties import name_party
from apps.firewall.services.submitting import NARROWEST, Sent, submit, take, take_narrowest
from apps.firewall.services.zones import ZoneValues, remove_zone, set_cell, set_zone

__all__ = [
    "CALLEE",
    "CALLER",
    "NARROWEST",
    "SIDES",
    "Head",
    "Sent",
    "Written",
    "ZoneValues",
    "choose",
    "clone_access",
    "confirm",
    "decide_end",
    "draft_request",
    "drop",
    "drop_held_up",
    "edit_line",
    "look_again",
    "name_party",
    "propose_end",
    "remove_zone",
    "set_cell",
    "set_zone",
    "submit",
    "take",
    "take_narrowest",
    "withdraw",
]
