"""What is written down about a provider, whoever changes it and whatever hangs on it: its secrets, signals, rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.identity.models import Provider


def note_provider(
    provider: Provider,
    action: str,
    *,
    actor: Actor,
    at: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Part of the caller's transaction. ``before`` and ``after`` hold no secret."""
    audit.record(
        action=action,
        actor=actor,
        target_type="identity.provider",
        target_id=provider.slug,
        target_name=provider.name,
        before=before,
        after=after,
        at=at,
    )
