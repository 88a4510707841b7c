"""Setting the approval rules and the guardrails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms.models import model_to_dict

from apps.access import policies, refusals
from apps.access.models import ApprovalRule, Guardrail, SelectorKind
from apps.access.services.records import announce_guardrail
from apps.audit import services as audit
from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import InvalidInput

RowT = TypeVar("RowT", ApprovalRule, Guardrail)

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HOUR = 3600


@dataclass(frozen=True, slots=True)
class RuleValues:
    """What a rule says, besides its name. Empty selectors match everything."""

    sentence: str
    enabled: bool = True
    sensitivities: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    subject_kinds: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    approver_kind: str = ""
    approver_value: str = ""
    count: int = 0
    max_duration: int | None = None


@dataclass(frozen=True, slots=True)
class GuardrailValues:
    """What a guardrail says, besides its name. Empty selectors match everything."""

    sentence: str
    enabled: bool = True
    kinds: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    points: tuple[str, ...] = ()


DEFAULT_RULES: Mapping[str, RuleValues] = {
    "owner-approves": RuleValues(
        sentence="The team that owns the service decides.", approver_kind=SelectorKind.OWNER_TEAM, count=1
    ),
    "security-agrees": RuleValues(
        sentence="Sensitive and critical services also need security.",
        sensitivities=("sensitive", "critical"),
        approver_kind=SelectorKind.ROLE,
        approver_value="security",
        count=1,
    ),
    "critical-writes-are-short": RuleValues(
        sentence="Changing things on a critical service is open for a working day at most.",
        sensitivities=("critical",),
        methods=WRITES,
        max_duration=8 * HOUR,
    ),
    "agents-are-short": RuleValues(
        sentence="An agent's access lasts four hours at most, then a person looks again.",
        subject_kinds=("agent",),
        approver_kind=SelectorKind.OWNER_TEAM,
        count=1,
        max_duration=4 * HOUR,
    ),
    "outside-addresses": RuleValues(
        sentence="Addresses of an outside party also need security, and are looked at again after 90 days.",
        subject_kinds=("party",),
        approver_kind=SelectorKind.ROLE,
        approver_value="security",
        count=1,
        max_duration=90 * 24 * HOUR,
    ),
}


def ensure_default_rules(*, at: datetime, actor: Actor = SYSTEM) -> None:
    """Create the default rules that are not there. Rules somebody changed or switched off stay as they are."""
    for slug, values in DEFAULT_RULES.items():
        if not ApprovalRule.objects.filter(slug=slug).exists():
            set_rule(slug=slug, values=values, actor=actor, at=at)


def set_rule(*, slug: str, values: RuleValues, actor: Actor, at: datetime) -> ApprovalRule:
    """Create the rule or make it say this. Open requests keep the rules they were opened under."""
    policies.require_can_govern(actor)
    with transaction.atomic():
        rule = ApprovalRule.objects.select_for_update().filter(slug=slug).first()
        return _write(rule or ApprovalRule(slug=slug), asdict(values), refusals.BadRule, actor, at)


def remove_rule(*, slug: str, actor: Actor, at: datetime) -> None:
    """Gone for good, unlike a retired one. Requests that are open keep what was resolved when they were asked."""
    policies.require_can_govern(actor)
    with transaction.atomic():
        rule = ApprovalRule.objects.select_for_update().filter(slug=slug).first()
        if rule is None:
            raise refusals.UnknownRule
        before = _described(rule)
        rule.delete()
        _record("removed", rule, actor, at, before=before)


def set_guardrail(*, slug: str, values: GuardrailValues, actor: Actor, at: datetime) -> Guardrail:
    """Create the guardrail or make it say this. Every service it touches is compiled again."""
    policies.require_can_govern(actor)
    with transaction.atomic():
        guardrail = Guardrail.objects.select_for_update().filter(slug=slug).first()
        reach = _reach(guardrail)
        guardrail = _write(guardrail or Guardrail(slug=slug), asdict(values), refusals.BadGuardrail, actor, at)
        announce_guardrail(guardrail.slug, _joined(reach, guardrail), at)
    return guardrail


def remove_guardrail(*, slug: str, actor: Actor, at: datetime) -> None:
    """Gone for good, unlike a retired one. What it forbade is compiled anew."""
    policies.require_can_govern(actor)
    with transaction.atomic():
        guardrail = Guardrail.objects.select_for_update().filter(slug=slug).first()
        if guardrail is None:
            raise refusals.UnknownGuardrail
        before = _described(guardrail)
        guardrail.delete()
        _record("removed", guardrail, actor, at, before=before)
        announce_guardrail(guardrail.slug, guardrail.services, at)


def _reach(guardrail: Guardrail | None) -> list[str] | None:
    """The services it stood in front of: None for nowhere, an empty list for everywhere."""
    return None if guardrail is None else list(guardrail.services)


def _joined(before: list[str] | None, now: Guardrail) -> list[str]:
    if before == [] or not now.services:
        return []
    return sorted({*(before or ()), *now.services})


def _write(row: RowT, values: Mapping[str, object], refusal: type[InvalidInput], actor: Actor, at: datetime) -> RowT:
    before = None if row.pk is None else _described(row)
    row.version += before is not None
    for name, value in values.items():
        setattr(row, name, list(value) if isinstance(value, tuple) else value)
    try:
        row.full_clean()
    except ValidationError as error:
        fields = {name: list(complaints) for name, complaints in error.message_dict.items()}
        raise refusal(" ".join(error.messages), fields=fields) from error
    row.save()
    _record("changed" if before else "created", row, actor, at, before=before, after=_described(row))
    return row


def _described(row: ApprovalRule | Guardrail) -> dict[str, object]:
    return model_to_dict(row, exclude=["id"])


def _record(
    verb: str,
    row: ApprovalRule | Guardrail,
    actor: Actor,
    at: datetime,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    what = "rule" if isinstance(row, ApprovalRule) else "guardrail"
    audit.record(
        action=f"access.{what}.{verb}",
        actor=actor,
        target_type=f"access.{what}",
        target_id=row.slug,
        target_name=row.sentence,
        before=before,
        after=after,
        at=at,
    )
