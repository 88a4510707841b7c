"""The writes of this app, one function per use case: lock, guard, write, record, enqueue, in that order."""

from __future__ import annotations

from apps.access.services.addresses import NewParty, guard_host, open_address_request, stop_guarding
from apps.access.services.cleaning import propose_clean_up
from apps.access.services.doors import DoorReport, activate, mark_door, mark_doors, record_error, record_errors
from apps.access.services.governance import (
    GuardrailValues,
    RuleValues,
    ensure_default_rules,
    remove_guardrail,
    remove_rule,
    set_guardrail,
    set_rule,
)
from apps.access.services.grants import (
    create_standing_grant,
    end_grant,
    expire_due_grants,
    follow_subjects,
)
from apps.access.services.requests import cancel_request, expire_due_requests, open_request
from apps.access.services.retiring import end_all_of
from apps.access.services.reviews import ItemResult, review, review_many

__all__ = [
    "DoorReport",
    "GuardrailValues",
    "ItemResult",
    "NewParty",
    "RuleValues",
    "activate",
    "cancel_request",
    "create_standing_grant",
    "end_all_of",
    "end_grant",
    "ensure_default_rules",
    "expire_due_grants",
    "expire_due_requests",
    "follow_subjects",
    "guard_host",
    "mark_door",
    "mark_doors",
    "open_address_request",
    "open_request",
    "propose_clean_up",
    "record_error",
    "record_errors",
    "remove_guardrail",
    "remove_rule",
    "review",
    "review_many",
    "set_guardrail",
    "set_rule",
    "stop_guarding",
]
