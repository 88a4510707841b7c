"""What access does when something below it changed."""

from __future__ import annotations

from datetime import datetime

from apps.access import services
from apps.outbox.registry import handles


@handles("identity.subject.changed", lease_seconds=30)
def subject_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    """A suspension ends what was held for a time; any change has what names the subject compiled again."""
    services.follow_subject(subject_key=key, at=at)
