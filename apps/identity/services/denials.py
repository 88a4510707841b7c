"""Turning somebody away at both doors for as long as a token of theirs may be about.

Each of these is a part of a use case that holds the subject's lock, says in the record what happened, and announces the
subject, so that what names it is compiled again.
"""

from __future__ import annotations

from collections.abc import Collection
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


def deny_tokens(subjects: Collection[Subject], *, at: datetime) -> None:
    """What was given out until now; a new token works."""
    start = _whole(at)
    _write(subjects, DenialCause.REVOKED, at, until=start + longest_life(), issued_until=start)


def deny_until(subject: Subject, *, until: datetime, at: datetime) -> None:
    """Its budget is spent."""
    _write([subject], DenialCause.BUDGET, at, until=until, issued_until=None)


def _write(
    subjects: Collection[Subject], cause: DenialCause, at: datetime, *, until: datetime, issued_until: datetime | None
) -> None:
    """One statement for all; one of the same cause is written over."""
    values = {"starts_at": at, "until": until, "issued_until": issued_until}
    Denial.objects.bulk_create(
        [Denial(subject=subject, cause=cause, **values) for subject in subjects],
        update_conflicts=True,
        unique_fields=["subject", "cause"],
        update_fields=list(values),
    )


def settle(subjects: Collection[Subject], *, at: datetime) -> None:
    """After their state, or their owner's, changed: turned away while suspended, whatever they show.

    Nobody gives the suspended a token any more, so that is enough when the last one is dead. After that only what was
    given out before is turned away.
    """
    rows = Denial.objects.filter(subject__in=subjects, cause=DenialCause.SUSPENDED)
    known = {row.subject_id: row for row in rows}
    fresh = [one for one in subjects if not one.is_active and not _is_whole(known.get(one.pk))]
    _write(fresh, DenialCause.SUSPENDED, at, until=_whole(at) + longest_life(), issued_until=None)
    active = [one.pk for one in subjects if one.is_active and _is_whole(known.get(one.pk))]
    Denial.objects.filter(subject__in=active, cause=DenialCause.SUSPENDED).update(issued_until=_whole(at))


def _is_whole(denial: Denial | None) -> bool:
    return denial is not None and denial.issued_until is None


def is_budget_denied(subject: Subject, *, at: datetime) -> bool:
    return Denial.objects.filter(subject=subject, cause=DenialCause.BUDGET, until__gt=at).exists()


def lift_budget(subject: Subject) -> bool:
    """Whether there was one to lift."""
    return Denial.objects.filter(subject=subject, cause=DenialCause.BUDGET).delete()[0] > 0


def forget(*, at: datetime) -> int:
    """Take away what ended a day ago; returns how many rows. Meant to be swept."""
    return Denial.objects.filter(until__lt=at - KEPT_FOR).delete()[0]
