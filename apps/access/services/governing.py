"""Changing rules and guardrails by hand: only what was seen is changed, and nothing that could never work is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction

from apps.access import policies, refusals
from apps.access.approvers import people_named
from apps.access.coverage import Covered, uncovered
from apps.access.models import ApprovalRule, Guardrail, SelectorKind
from apps.access.rules import Need
from apps.access.services.governance import GuardrailValues, RuleValues, set_guardrail, set_rule
from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.catalog import selectors as catalog
from apps.compiler.words import listed
from apps.identity import selectors as identity

NEW = 0
"""The version of what is not there yet."""

RowT = TypeVar("RowT", ApprovalRule, Guardrail)
FEW = 3


def save_rule(*, slug: str, values: RuleValues, version: int, actor: Actor, at: datetime) -> ApprovalRule:
    """Make the rule say this, if ``version`` is the one its author saw (NEW: there was none).

    Raises RuleMoved; BadRule for a rule that nobody could ever meet, or that would leave services without approvers.
    """
    policies.require_can_govern(actor)
    with transaction.atomic():
        _lock_all_rules()
        row = _seen(ApprovalRule.objects.filter(slug=slug).first(), version, refusals.BadRule)
        if row is not None and values_of_rule(row) == values:
            return row
        _require_known(values.services, "services", refusals.BadRule)
        _require_somebody(values)
        _require_covered(slug, values)
        return set_rule(slug=slug, values=values, actor=actor, at=at)


def save_guardrail(*, slug: str, values: GuardrailValues, version: int, actor: Actor, at: datetime) -> Guardrail:
    """As ``save_rule``. Raises BadGuardrail when it names what is not there: it would guard nothing."""
    policies.require_can_govern(actor)
    with transaction.atomic():
        held = Guardrail.objects.select_for_update().filter(slug=slug).first()
        row = _seen(held, version, refusals.BadGuardrail)
        if row is not None and values_of_guardrail(row) == values:
            return row
        _require_known(values.services, "services", refusals.BadGuardrail)
        _require_subjects(values.subjects)
        _require_routes(values)
        return set_guardrail(slug=slug, values=values, actor=actor, at=at)


def enable_rule(*, slug: str, enabled: bool, version: int, actor: Actor, at: datetime) -> ApprovalRule:
    """Retire the rule, or put it in force again. It stays on the list."""
    row = ApprovalRule.objects.filter(slug=slug).first()
    if row is None:
        raise refusals.UnknownRule
    values = replace(values_of_rule(row), enabled=enabled)
    return save_rule(slug=slug, values=values, version=version, actor=actor, at=at)


def enable_guardrail(*, slug: str, enabled: bool, version: int, actor: Actor, at: datetime) -> Guardrail:
    """Puts it in force or retires it, by the same write as any other change: a stale ``version`` is refused."""
    row = Guardrail.objects.filter(slug=slug).first()
    if row is None:
        raise refusals.UnknownGuardrail
    values = replace(values_of_guardrail(row), enabled=enabled)
    return save_guardrail(slug=slug, values=values, version=version, actor=actor, at=at)


def values_of_rule(row: ApprovalRule) -> RuleValues:
    """What a form or the API may change of it."""
    return RuleValues(**_read(row, RuleValues))


def values_of_guardrail(row: Guardrail) -> GuardrailValues:
    """What a form or the API may change of it."""
    return GuardrailValues(**_read(row, GuardrailValues))


def _read(row: ApprovalRule | Guardrail, shape: type[RuleValues] | type[GuardrailValues]) -> dict[str, Any]:
    found = {field.name: getattr(row, field.name) for field in fields(shape)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def as_row(slug: str, values: RuleValues) -> ApprovalRule:
    """Not saved: to see what it would match."""
    return ApprovalRule(slug=slug, **_written(asdict(values)))


def as_wall(slug: str, values: GuardrailValues) -> Guardrail:
    """Not saved: to see what it would close."""
    return Guardrail(slug=slug, **_written(asdict(values)))


def _written(values: Mapping[str, object]) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _lock_all_rules() -> None:
    """Whether a service has approvers depends on all of them."""
    list(ApprovalRule.objects.select_for_update().order_by("pk").values_list("pk", flat=True))


def _seen(row: RowT | None, version: int, refusal: type[InvalidInput]) -> RowT | None:
    if version == NEW and row is not None:
        complaint = "There is one of this name already."
        raise refusal(complaint, fields={"slug": [complaint]})
    if version != (NEW if row is None else row.version):
        raise refusals.RuleMoved
    return row


def _require_known(slugs: Collection[str], field: str, refusal: type[InvalidInput]) -> None:
    known = (
        set(catalog.list_living_services().filter(slug__in=slugs).values_list("slug", flat=True)) if slugs else set()
    )
    _complain(sorted(set(slugs) - known), "service", field, refusal)


def _require_subjects(keys: Collection[str]) -> None:
    missing = sorted(set(keys) - identity.list_by_keys(keys).keys()) if keys else []
    _complain(missing, "person, team, workload or agent", "subjects", refusals.BadGuardrail)


def _require_routes(values: GuardrailValues) -> None:
    """A route's key means something within its service only."""
    if not values.routes:
        return
    if not values.services:
        complaint = "Name the service whose routes these are."
        raise refusals.BadGuardrail(complaint, fields={"services": [complaint]})
    there = {route.id for one in catalog.graph_services(values.services).values() for route in one.routes}
    _complain(sorted(set(values.routes) - there), "route", "routes", refusals.BadGuardrail)


def _complain(missing: Iterable[str], what: str, field: str, refusal: type[InvalidInput]) -> None:
    names = list(missing)
    if names:
        complaint = f"There is no {what} {listed(names[:FEW])}."
        raise refusal(complaint, fields={field: [complaint]})


def _require_somebody(values: RuleValues) -> None:
    """A named role or team must have as many people as the rule asks for, or no request could ever be approved."""
    if not values.enabled or values.approver_kind not in (SelectorKind.ROLE, SelectorKind.TEAM):
        return
    need = Need(values.approver_kind, values.approver_value, values.count, "", "")
    found = len(people_named([need])[0])
    if found < values.count or not found:
        who = "hold the role" if need.kind == SelectorKind.ROLE else "are in"
        complaint = (
            f"{found} active people {who} {need.value or '(nobody is named)'}, and the rule asks for {need.count}."
        )
        raise refusals.BadRule(f"Nobody could approve: {complaint}", fields={"approver_value": [complaint]})


def _require_covered(slug: str, values: RuleValues) -> None:
    """Where somebody could be asked before, somebody can be asked after."""
    lost = newly_uncovered(slug, values)
    if lost:
        more = f" and {len(lost) - FEW} more" if len(lost) > FEW else ""
        names = ", ".join(service.title for service in lost[:FEW]) + more
        raise refusals.BadRule(
            f"Nobody could approve anything any more at {names}, whatever is asked."
            " Write another rule first; to close a service, set a guardrail."
        )


def newly_uncovered(slug: str, values: RuleValues) -> list[Covered]:
    """The services at which nobody could be asked once the rule says this, and can be now."""
    services = covered_services()
    rules = list(ApprovalRule.objects.filter(enabled=True))
    others = [rule for rule in rules if rule.slug != slug]
    lost = uncovered([*others, as_row(slug, values)], services) - uncovered(rules, services)
    return [service for service in services if service.slug in lost]


def covered_services() -> list[Covered]:
    """Every living service, with what decides which rules match."""
    rows = catalog.list_living_services().values_list("slug", "title", "sensitivity")
    return [Covered(*row) for row in rows]
