"""How careful a target is with code: where staging is entered, and when code is taken back by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.audit.actors import Actor
from apps.rollout.models import DriverName, Target
from apps.rollout.services.akamai.typed import is_entry
from apps.rollout.services.evidence import record_target
from apps.rollout.services.targets import BadTarget, get_target

MOST_MINUTES = 24 * 60
FEWEST_CALLS = 20
"""With fewer calls than that a share says nothing."""


@dataclass(frozen=True, slots=True)
class Safety:
    """``staging_entry``: a machine of Akamai's staging network, or an address on this machine; empty: not known.

    Code is taken back when, within ``watch_minutes``, the edge's errors rise by more than ``error_share`` per cent of
    the calls over what they were in as many minutes before.
    """

    staging_entry: str = ""
    take_back: bool = True
    error_share: int = 5
    watch_minutes: int = 10

    @property
    def window(self) -> timedelta:
        return timedelta(minutes=self.watch_minutes)


def safety_of(target: Target) -> Safety:
    """How careful the target is with code; what nobody set is as usual."""
    given = target.config.get("safety", {})
    return Safety(**{name: given[name] for name in asdict(Safety()) if name in given})


def set_safety(*, slug: str, wish: Safety, actor: Actor, at: datetime) -> Target:
    """Raises BadTarget with what is wrong by field."""
    fields = _wrong(wish)
    if fields:
        raise BadTarget(fields=fields)
    with transaction.atomic():
        target = Target.objects.select_for_update().get(pk=get_target(slug).pk)
        if target.driver != DriverName.AKAMAI:
            raise BadTarget(f"{target.name} runs no code of ours.")
        before = asdict(safety_of(target))
        if asdict(wish) != before:
            target.config = {**target.config, "safety": asdict(wish)}
            target.save(update_fields=["config"])
            record_target("safety.changed", target, actor=actor, at=at, before=before, after=asdict(wish))
    return target


def _wrong(wish: Safety) -> Mapping[str, list[str]]:
    entry, fields = wish.staging_entry, {}
    if entry and not is_entry(entry):
        complaint = "Write a host of the staging network, such as api.example.com.edgekey-staging.net."
        fields["staging_entry"] = [complaint]
    if not 1 <= wish.error_share <= 100:
        fields["error_share"] = ["Write a number of per cent, from 1 to 100."]
    if not 1 <= wish.watch_minutes <= MOST_MINUTES:
        fields["watch_minutes"] = [f"Write a number of minutes, from 1 to {MOST_MINUTES}."]
    return fields
