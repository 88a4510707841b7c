"""What access does when something below it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apps.access import services
from apps.outbox.registry import News, handles_many


@handles_many("identity.subject.changed", lease_seconds=60)
def subjects_changed(*, news: Sequence[News], at: datetime) -> None:
    """A suspension ends what was held for a time; any change has what names the subject compiled again."""
    services.follow_subjects(subject_keys={one.key for one in news}, urgent=any(one.urgent for one in news), at=at)
