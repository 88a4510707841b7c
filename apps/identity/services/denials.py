"""Turning somebody away at both doors for as long as a token of theirs may be about.

Each of these is a part of a use case that holds the subject's lock, says in the record what happened, and announces the
subject, so that what names it is compiled again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from apps.compiler.tokens import CONTEXT_TOKEN_SECONDS, LEEWAY_SECONDS
from apps.identity.models import Denial, DenialCause, Subject

KEPT_FOR = timedelta(days=1)


def longest_life() -> timedelta:
    """For how long a token that is given out now may open anything: the edge token, and what the edge makes of it."""
    return timedelta(seconds=settings.SALLYPORT_EDGE_TOKEN_SECONDS + CONTEXT_TOKEN_SECONDS + 2 * LEEWAY_SECONDS)


def _whole(at: datetime) -> datetime:
    """The next whole second: tokens are made out in whole seconds, and one may be on its way."""
    return at.replace(microsecond=0) + timedelta(seconds=1)


def deny_suspended(subject: Subject, *, at: datetime) -> None:
    """Whatever it shows. Nobody gives it a token any more, so that is enough when the last one is dead."""
    _write(subject, DenialCause.SUSPENDED, at, until=_whole(at) + longest_life(), issued_until=None)


def deny_tokens(subject: Subject, *, at: datetime) -> None:
    """What was given out until now; a new token works."""
    start = _whole(at)
    _write(subject, DenialCause.REVOKED, at, until=start + longest_life(), issued_until=start)


def deny_until(subject: Subject, *, until: datetime, at: datetime) -> None:
    """Its budget is spent."""
    _write(subject, DenialCause.BUDGET, at, until=until, issued_until=None)


def _write(
    subject: Subject, cause: DenialCause, at: datetime, *, until: datetime, issued_until: datetime | None
) -> None:
    values = {"starts_at": at, "until": until, "issued_until": issued_until}
    Denial.objects.update_or_create(subject=subject, cause=cause, defaults=values)


def settle(subject: Subject, *, at: datetime) -> None:
    """After its state, or its owner's, changed: turned away while suspended; then only with a token from before."""
    known = Denial.objects.filter(subject=subject, cause=DenialCause.SUSPENDED).first()
    if not subject.is_active:
        if known is None or known.issued_until is not None:
            deny_suspended(subject, at=at)
    elif known is not None and known.issued_until is None:
        known.issued_until = _whole(at)
        known.save(update_fields=["issued_until"])


def is_budget_denied(subject: Subject, *, at: datetime) -> bool:
    return Denial.objects.filter(subject=subject, cause=DenialCause.BUDGET, until__gt=at).exists()


def lift_budget(subject: Subject) -> bool:
    """Whether there was one to lift."""
    return Denial.objects.filter(subject=subject, cause=DenialCause.BUDGET).delete()[0] > 0


def forget(*, at: datetime) -> int:
    """Take away what ended a day ago; returns how many rows. Meant to be swept."""
    return Denial.objects.filter(until__lt=at - KEPT_FOR).delete()[0]
