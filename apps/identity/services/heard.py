"""Words of a provider that were acted on where they came in: noted beside the signals, so that one page shows all."""

from __future__ import annotations

from datetime import datetime

from apps.identity.models import Provider, ReceivedSignal, SignalAction, SignalChannel, SignalOutcome, Subject


def note_heard(
    *,
    provider: Provider,
    channel: SignalChannel,
    identifier: str,
    kind: str,
    outcome: SignalOutcome,
    subject: Subject | None,
    at: datetime,
    sub: str = "",
    sessions: int = 0,
    tokens: int = 0,
) -> None:
    """Called in the transaction that acted. The same word twice is noted once."""
    left = outcome == SignalOutcome.LEFT
    row = ReceivedSignal(
        provider=provider,
        channel=channel,
        identifier=identifier,
        kind=kind,
        action=SignalAction.LEAVE if left else SignalAction.END_SESSIONS,
        issuer=provider.issuer,
        sub=sub,
        subject=subject,
        received_at=at,
        outcome=outcome,
        done_at=at,
        sessions=sessions,
        tokens=tokens,
    )
    ReceivedSignal.objects.bulk_create([row], ignore_conflicts=True)
