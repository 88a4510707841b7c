"""Every proof is good once. Kept in the database: a broker that forgets would let the used ones in again."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import IntegrityError, transaction

from apps.identity.models import ProofSeen
from apps.identity.proofs.outcome import ProofRefused

USED = "This proof was used before; make a new one for each token."


def digest_of(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


def require_unused(digest: str) -> None:
    """A look before work is done on the proof. ``spend`` is what decides."""
    if ProofSeen.objects.filter(pk=digest).exists():
        raise ProofRefused(USED)


def spend(digest: str, *, expires_at: datetime) -> None:
    """Use it up. Of two at the same moment one gets a ProofRefused: the primary key decides."""
    try:
        with transaction.atomic():
            ProofSeen.objects.create(digest=digest, expires_at=expires_at)
    except IntegrityError as error:
        raise ProofRefused(USED) from error


def forget(*, at: datetime, limit: int = 20_000) -> int:
    """Take away what nobody would take any more; returns how many. Meant to be swept."""
    due = ProofSeen.objects.filter(expires_at__lt=at).order_by("expires_at").values("pk")[:limit]
    return ProofSeen.objects.filter(pk__in=due).delete()[0]
