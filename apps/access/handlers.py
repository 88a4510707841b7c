"""What access does when something below it changed."""

from __future__ import annotations

from datetime import datetime

from apps.access import services
from apps.outbox.registry import handles


@handles("identity.subject.changed", atomic=False, lease_seconds=60)
def subject_changed(*, key: str, payload: dict[str, object], at: datetime) -> None:
    """A suspension ends what was held for a time; any change has what names the subject compiled again.

    Each grant is its own transaction: holding several at once while recording could block those who end one.
    """
    services.follow_subject(subject_key=key, at=at)
