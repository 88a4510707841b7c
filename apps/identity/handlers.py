"""What identity does about its own news."""

from __future__ import annotations

from datetime import datetime

from apps.identity.scim.people import welcome
from apps.identity.services.logins import MET
from apps.outbox.registry import handles


@handles(MET)
def on_met(*, key: str, payload: dict[str, object], at: datetime) -> None:
    welcome(subject_key=key, at=at)
