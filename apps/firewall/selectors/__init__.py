"""The reads of this app."""

from __future__ import annotations

from apps.firewall.selectors.naming import HEADINGS, Named, find_decommission, list_named
from apps.firewall.selectors.requests import (
    get_firewall_request,
    get_line,
    get_seen_line,
    list_firewall_requests,
    visible_firewall_requests,
)
from apps.firewall.selectors.ways import Ways, get_ways
from apps.firewall.selectors.zones import find_zone, get_matrix, view_of

__all__ = [
    "HEADINGS",
    "Named",
    "Ways",
    "find_decommission",
    "find_zone",
    "get_firewall_request",
    "get_line",
    "get_matrix",
    "get_seen_line",
    "get_ways",
    "list_firewall_requests",
    "list_named",
    "view_of",
    "visible_firewall_requests",
]
