"""An edge after some weeks: changed by hand, code tried and taken back, a log with gaps, lists with entries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from apps.rollout.models import AddressList, Drift, PropertyChange, Release, Target
from apps.telemetry.models import LogMinute
from tests.factories import addresses, edges, pages

DIFF = """--- before
+++ after
@@ -1,5 +1,5 @@
 {
   "grants": [
-    ["g_1a2b3c4d5e6f", [0], 1772442000, 1772445600]
+    ["g_1a2b3c4d5e6f", [0, 1, 2, 3], 1772442000, null]
   ]
 }"""
ITEM, CODE, PLACE = "services/payments", "code", "property/shop-www-production-eu-central/position"
ANSWER = {
    "call": "POST api.shop.test/payments/refunds as person:ada",
    "expected": "allow (granted)",
    "answered": "deny (no_grant)",
    "good": False,
}
SINCE = timedelta(days=1)


def fill(at: datetime) -> Target:
    target = edges.edge_target(at)
    pages.revise(target, 1, at)
    attached(target, at)
    drift(target, at)
    releases(target, at)
    log(at)
    lists(target, at)
    edges.property_change(at)
    return target


def attached(target: Target, at: datetime) -> None:
    """Our rule is live in the property that somebody changed."""
    found = {"id": "prp_1", "name": PLACE.split("/")[1], "contract_id": "ctr_1", "group_id": "grp_1"}
    known = {"email": "ops@shop.test", "asked_by": "Olga", "asked_at": at, "retry_at": at}
    PropertyChange.objects.create(target=target, hostname="www.shop.test", state="done", found=found, **known)


def drift(target: Target, at: datetime) -> None:
    """Something that leaves a door open, something to adopt, and something of a property."""
    rows: list[dict[str, Any]] = [
        {"path": ITEM, "detail": "The item was changed.", "diff": DIFF, "opens": True, "why_not": "By hand: never."},
        {"path": CODE, "detail": "The live version is sp-1.", "why_not": "Nobody knows this code."},
        {"path": PLACE, "detail": "A rule stands behind ours.", "diff": DIFF},
    ]
    for row in rows:
        known = {"expected": "a" * 64, "observed": "b" * 64, "found_at": at - SINCE, "seen_at": at}
        Drift.objects.create(target=target, **{**known, **row})


def releases(target: Target, at: datetime) -> None:
    """One that was good, one that was taken back for it, and one that is tried on staging."""
    long = "Of 12 calls on production, 1 was not answered as the policy says. sp-good was put back by Sallyport."
    rows: list[dict[str, Any]] = [
        {"version": "sp-good", "state": "good", "words": "Twelve calls were answered as the policy says."},
        {"version": "sp-bad", "state": "taken_back", "words": long, "production": [ANSWER, {**ANSWER, "good": True}]},
        {"version": "sp-next", "state": "staging", "staging": [ANSWER], "ended_at": None, "production_at": None},
    ]
    for number, row in enumerate(rows, start=1):
        began = at - SINCE + timedelta(hours=number)
        times = {"began_at": began, "tried_at": began, "production_at": began, "ended_at": began}
        Release.objects.create(target=target, number=number, **{**times, **row})


def log(at: datetime) -> None:
    stream = edges.edge_stream(at, secrets=2)
    for minutes, missing in ((3, 0), (9, 2), (20, 1)):
        minute = at.replace(second=0, microsecond=0) - timedelta(minutes=minutes)
        LogMinute.objects.create(stream=stream, minute=minute, lines=12, repeated=3, bad=2, missing=missing)


def lists(target: Target, at: datetime) -> None:
    """One that somebody changed, one with many entries, one whose host is guarded no longer."""
    edges.address_list(at)
    addresses.guard("198.51.100.0/24, 2001:db8::/32", at=at)
    addresses.guard(host="partners.shop.test", at=at)
    entries = [{"value": f"203.0.113.{one}/32", "ends_at": None, "grants": ["g_1a2b3c4d5e6f"]} for one in range(60)]
    known = {"target": target, "product": "network", "list_id": "1002_PARTNERS", "retry_at": at, "created_at": at}
    AddressList.objects.create(**known, host="partners.shop.test", entries=entries, settled="0" * 64, settled_at=at)
    AddressList.objects.create(**known, host="gone.shop.test", waiting_for="Version 4 is going live on staging.")
