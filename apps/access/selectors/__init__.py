"""The reads of this app."""

from __future__ import annotations

from apps.access.selectors.addresses import (
    SLACK,
    AddressPreview,
    address_graph,
    addresses_of,
    count_address_uses,
    get_guarded_host,
    list_address_doors,
    list_address_hosts,
    list_addresses_asked,
    list_guarded_hosts,
    meaning_of,
    preview_addresses,
)
from apps.access.selectors.circumstances import Circumstances, HeldGrant, Wish, read_circumstances
from apps.access.selectors.endings import Ending, list_endings_by_suspension
from apps.access.selectors.grants import (
    Reach,
    get_visible_grant,
    list_busy_doors,
    list_ending_soon,
    list_grants,
    list_held,
    list_held_briefly,
    list_open_at,
    list_open_to,
    list_proven_doors,
    list_proven_doors_at,
    list_running_of,
    reach_of,
    who_can_reach,
)
from apps.access.selectors.graph import denials_at, full_graph, graph_slice
from apps.access.selectors.naming import NamedGrant, NamedRequest, NamedRule, Naming, list_naming
from apps.access.selectors.pages import Page
from apps.access.selectors.policy import get_guardrail, get_rule, list_guardrails, list_rules
from apps.access.selectors.preview import Planned, Preview, planned_change, preview
from apps.access.selectors.requests import (
    Standing,
    Waiting,
    get_visible_request,
    list_inbox,
    list_requests,
    standings,
    waiting_for,
)
from apps.access.selectors.timeline import Moment, timeline
from apps.access.selectors.traffic import Rule, Rules, list_rules_of
from apps.access.selectors.upkeep import Opened, routes_used
from apps.access.selectors.visibility import Sight, sight_of, visible_grants, visible_requests

__all__ = [
    "SLACK",
    "AddressPreview",
    "Circumstances",
    "Ending",
    "HeldGrant",
    "Moment",
    "NamedGrant",
    "NamedRequest",
    "NamedRule",
    "Naming",
    "Opened",
    "Page",
    "Planned",
    "Preview",
    "Reach",
    "Rule",
    "Rules",
    "Sight",
    "Standing",
    "Waiting",
    "Wish",
    "address_graph",
    "addresses_of",
    "count_address_uses",
    "denials_at",
    "full_graph",
    "get_guarded_host",
    "get_guardrail",
    "get_rule",
    "get_visible_grant",
    "get_visible_request",
    "graph_slice",
    "list_address_doors",
    "list_address_hosts",
    "list_addresses_asked",
    "list_busy_doors",
    "list_ending_soon",
    "list_endings_by_suspension",
    "list_grants",
    "list_guarded_hosts",
    "list_guardrails",
    "list_held",
    "list_held_briefly",
    "list_inbox",
    "list_naming",
    "list_open_at",
    "list_open_to",
    "list_proven_doors",
    "list_proven_doors_at",
    "list_requests",
    "list_rules",
    "list_rules_of",
    "list_running_of",
    "meaning_of",
    "planned_change",
    "preview",
    "preview_addresses",
    "reach_of",
    "read_circumstances",
    "routes_used",
    "sight_of",
    "standings",
    "timeline",
    "visible_grants",
    "visible_requests",
    "waiting_for",
    "who_can_reach",
]
