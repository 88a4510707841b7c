"""What identity does after the fact."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from apps.audit.errors import Refusal
from apps.identity.identity_center import copying
from apps.identity.proofs import aws_syncing
from apps.identity.scim.people import welcome
from apps.identity.services.identity_centers import ASKED
from apps.identity.services.logins import MET
from apps.identity.services.refresh_tokens import RELEASED, revoke_released
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


@handles(ASKED, atomic=False, lease_seconds=1800)
def read_identity_center(*, key: str, payload: dict[str, object], at: datetime) -> None:
    """Somebody wants to see it now. What goes wrong stands on the directory's page; asking again is up to them."""
    with suppress(Refusal):
        copying.copy(slug=key, confirmed=payload.get("confirmed") is True, at=at)


@handles(RELEASED, atomic=False, lease_seconds=30)
def refresh_token_released(*, key: str, payload: dict[str, object], at: datetime) -> None:
    """A session ended: its refresh token is revoked at the provider, where that can be done."""
    revoke_released(token_id=int(key), at=at)


@handles(aws_syncing.ASKED, atomic=False, lease_seconds=300)
def aws_asked(*, key: str, payload: dict[str, object], at: datetime) -> None:
    """Somebody wants an AWS account copied now. AWS is asked outside a transaction."""
    aws_syncing.answer(role=key, at=at)
