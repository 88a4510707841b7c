"""What identity does after the fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apps.identity.scim.people import welcome
from apps.identity.services.logins import MET
from apps.identity.services.signals import RECEIVED, act_on_signals
from apps.outbox.registry import News, handles, handles_many


@handles_many(RECEIVED)
def signals_received(*, news: Sequence[News], at: datetime) -> None:
    """Act on what providers said about people."""
    act_on_signals(signal_ids=[int(one.key) for one in news], at=at)


@handles(MET)
def on_met(*, key: str, payload: dict[str, object], at: datetime) -> None:
    """A person has a sign-in that a directory had described: its groups and its state count from now on."""
    welcome(subject_key=key, at=at)
