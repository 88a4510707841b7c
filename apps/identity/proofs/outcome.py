"""What a proof comes to."""

from __future__ import annotations

from dataclasses import dataclass


class ProofRefused(Exception):
    """The proof shows nothing. The message may go back to the sender: it speaks only of what was sent."""


class ProofUnavailable(Exception):
    """Whoever must be asked about the proof does not answer, or we are asking too much already. Try again."""


@dataclass(frozen=True, slots=True)
class Proven:
    """``way`` says how, for the tally: ``aws-sts:123456789012/deployer``.

    ``may_act`` is the agent that the proof itself names (RFC 8693, section 4.4), or empty.
    """

    subject_key: str
    way: str
    may_act: str = ""


def require(holds: bool, complaint: str) -> None:
    if not holds:
        raise ProofRefused(complaint)
