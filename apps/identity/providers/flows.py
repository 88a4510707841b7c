"""A way to a provider that somebody is on. Kept in their session under the state we gave it, and good once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from apps.identity.verification import TokenRefused

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

    from apps.identity.models import Provider

STATES = "oidc_states"
LONGEST = 900
"""Seconds somebody may take at the provider."""


class Purpose(StrEnum):
    SIGN_IN = "sign_in"
    STEP_UP = "step_up"
    LINK = "link"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Flow:
    """``max_age`` is how lately, in seconds, the provider must have seen proof; None when it was not asked."""

    provider: str
    purpose: Purpose
    target: str
    begun_at: int
    max_age: int | None = None
    acr: str = ""
    nonce: str = ""
    code_verifier: str = ""

    def notes(self) -> dict[str, Any]:
        """What the session keeps beside the library's nonce and verifier."""
        return {
            "provider": self.provider,
            "purpose": self.purpose.value,
            "target": self.target,
            "begun_at": self.begun_at,
            "max_age": self.max_age,
            "acr": self.acr,
        }


def note(session: SessionBase, state: str, flow: Flow) -> None:
    """Complete what the library has put there."""
    session[STATES][state].update(flow.notes())
    session.modified = True


def take(session: SessionBase, state: str, provider: Provider, *, at: datetime) -> Flow:
    """The flow ``state`` belongs to, and no longer: an answer is used once, and by the provider it was begun with."""
    states = session.get(STATES)
    kept = states.pop(state, None) if isinstance(states, dict) else None
    if kept is None:
        raise TokenRefused("The answer belongs to no sign-in that was begun here.")
    session.modified = True
    session.save()
    if kept.get("provider") != provider.slug:
        raise TokenRefused(f"A sign-in begun at {kept.get('provider')!r} is answered by {provider.slug!r}.")
    if at.timestamp() - kept["begun_at"] > LONGEST:
        raise TokenRefused("The sign-in was begun too long ago.")
    return Flow(
        provider=kept["provider"],
        purpose=Purpose(kept["purpose"]),
        target=kept["target"],
        begun_at=kept["begun_at"],
        max_age=kept["max_age"],
        acr=kept["acr"],
        nonce=kept["nonce"],
        code_verifier=kept["code_verifier"],
    )
