"""Trying new code on staging, and watching it on production: good, or taken back, or a person is needed.

One release is taken back by itself once and no more; what was put back for it is never taken back by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db import transaction

from apps.audit.actors import SYSTEM
from apps.audit.errors import Refusal
from apps.rollout.drivers.akamai.api import PRODUCTION, STAGING
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.models import PendingChange, Release, Target
from apps.rollout.services import releases, trying, undoing
from apps.rollout.services.compiling import current_code
from apps.rollout.services.evidence import announce_release, record_target
from apps.rollout.services.holding import hold_target
from apps.rollout.services.safety import FEWEST_CALLS, safety_of
from apps.rollout.services.trying import Answer
from apps.rollout.services.watched import Counts, counts_of
from apps.rollout.states import OPEN_RELEASES, ReleaseState, move

PAUSES, LONG_PAUSE = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), 30.0
"""Seconds between tries. A network needs a moment, and a wrong answer is only believed when it stays."""

MOST_SILENT = 20
"""After so many tries silence counts as wrong: what is behind the door may have been down meanwhile, not the door."""

MOST_TOLD = 3


def next_due(target: Target) -> datetime | None:
    """When something is to be done about the release under way; None while nothing is."""
    row = Release.objects.filter(target=target, state__in=OPEN_RELEASES).exclude(due_at=None).first()
    return row.due_at if row else None


def step(*, target: Target, at: datetime) -> bool:
    """Ask what is due of the code that is on its way. False when nothing is. The caller holds the target's lock.

    No row is locked while the edge is asked.
    """
    release = Release.objects.filter(target=target, state__in=OPEN_RELEASES, due_at__lte=at).first()
    if release is None:
        return False
    release.target = target
    if release.state == ReleaseState.STAGING:
        _try_on_staging(release, at)
    elif release.state == ReleaseState.WATCHED:
        _watch(release, at)
    else:
        _change(release, lambda held: _wait_for(held, None))
    return True


def _wait_for(held: Release, until: datetime | None) -> None:
    held.due_at = until
    held.save(update_fields=["due_at"])


def _change(release: Release, change: Callable[[Release], None]) -> bool:
    """Held, and only while it is still where it was when it was read."""
    with transaction.atomic():
        hold_target(release.target_id)
        held = Release.objects.select_for_update(of=("self",)).select_related("target").get(pk=release.pk)
        if held.state != release.state:
            return False
        change(held)
    return True


# -- staging -----------------------------------------------------------------------------------------------------------
def _try_on_staging(release: Release, at: datetime) -> None:
    asked = trying.questions(release.target, at)
    answers = trying.ask(release.target, STAGING, asked, at)
    bad = [answer for answer in answers or () if not answer["good"]]
    if bad and (release.tries < len(PAUSES) or any(one["said"] for one in bad)):
        _change(release, lambda held: _fail(held, answers or [], bad, at))
        return
    now = trying.ask(release.target, PRODUCTION, asked, at) or []
    if bad and not _are_excused(answers or [], bad, now):
        _change(release, lambda held: _fail(held, answers or [], bad, at))
        return
    before = [str(one["call"]) for one in now if not one["good"]]
    _change(release, lambda held: _pass(held, answers, before, at))


def _are_excused(answers: list[Answer], bad: list[Answer], now: list[Answer]) -> bool:
    """What is silent here and on production alike says nothing of the code: what is behind the edge is down."""
    silent = {one["call"] for one in now if not one["said"]}
    return len(bad) < len(answers) and all(one["call"] in silent for one in bad)


def _fail(held: Release, answers: list[Answer], bad: list[Answer], at: datetime) -> None:
    if held.tries < _most_tries(bad):
        _ask_again(held, "staging", answers, at)
    else:
        _refuse(held, answers, bad, at)


def _most_tries(bad: list[Answer]) -> int:
    return len(PAUSES) if any(answer["said"] for answer in bad) else MOST_SILENT


def _ask_again(held: Release, where: str, answers: list[Answer], at: datetime) -> None:
    setattr(held, where, answers)
    held.due_at = at + timedelta(seconds=PAUSES[held.tries] if held.tries < len(PAUSES) else LONG_PAUSE)
    held.tries += 1
    held.save(update_fields=[where, "due_at", "tries"])


def _refuse(held: Release, answers: list[Answer], bad: list[Answer], at: datetime) -> None:
    held.staging, held.tried_at = answers, at
    words = f"On staging, {_told(bad, answers)} It was not asked for on production."
    releases.end(held, ReleaseState.REFUSED, words, at)
    _announce(held, "code.refused", at)


def _pass(held: Release, answers: list[Answer] | None, before: list[str], at: datetime) -> None:
    """Without a way into staging it goes on untried, which is said."""
    move(held, ReleaseState.TRIED)
    held.staging, held.before, held.tried_at, held.due_at, held.tries = answers or [], before, at, None, 0
    if answers is None:
        held.words = "It was not tried on staging: no way into the staging network is set."
    held.save()
    Target.objects.filter(pk=held.target_id, error="").update(retry_at=None)


def _told(bad: list[Answer], answers: list[Answer]) -> str:
    """The first few in words."""
    few = "; ".join(f"{one['call']}: {one['answered']} instead of {one['expected']}" for one in bad[:MOST_TOLD])
    more = f"; and {len(bad) - MOST_TOLD} more" if len(bad) > MOST_TOLD else ""
    return f"{len(bad)} of {len(answers)} calls were not answered as the policy says: {few}{more}."


# -- production --------------------------------------------------------------------------------------------------------
def _watch(release: Release, at: datetime) -> None:
    if errors := _too_many_errors(release):
        _not_good(release, errors, at, older_would_help=True)
    elif release.proven_at is None:
        _prove(release, at)
    elif release.watch_until is not None and at >= release.watch_until:
        _change(release, lambda held: _end_well(held, at))
    else:
        _change(release, lambda held: _wait_for(held, held.watch_until))


def _prove(release: Release, at: datetime) -> None:
    answers = trying.ask(release.target, PRODUCTION, trying.questions(release.target, at), at) or []
    bad = [answer for answer in answers if not answer["good"]]
    if not bad:
        _change(release, lambda held: _proven(held, answers, at))
    elif release.tries < _most_tries(bad):
        _change(release, lambda held: _ask_again(held, "production", answers, at))
    else:
        release.production = answers
        fresh = [one for one in bad if one["call"] not in release.before]
        _not_good(release, f"On production, {_told(bad, answers)}", at, older_would_help=bool(fresh))


def _proven(held: Release, answers: list[Answer], at: datetime) -> None:
    held.production, held.proven_at, held.due_at = answers, at, held.watch_until
    held.save(update_fields=["production", "proven_at", "due_at"])


def _end_well(held: Release, at: datetime) -> None:
    words = f"{len(held.production)} calls were answered on production as the policy says. {_counted(held)}".strip()
    releases.end(held, ReleaseState.GOOD, words, at)
    announce_release(held, at)


def _counted(release: Release) -> str:
    before, after = counts_of(release)
    if not after.calls:
        return "No calls of other people were reported meanwhile."
    return f"Errors of the edge: {after.words} after it came, {before.words} before."


def _too_many_errors(release: Release) -> str:
    """In words; empty when they are not."""
    before, after = counts_of(release)
    most = safety_of(release.target).error_share / 100
    if after.calls < FEWEST_CALLS or after.share - before.share <= most:
        return ""
    return f"The edge answered more calls with an error of its own: {after.words} after it came, {before.words} before."


def heard(*, release_id: int, before: Counts, after: Counts, at: datetime) -> str | None:
    """Note how many calls there were and how many errors. The target's slug when it should be looked at now."""
    with transaction.atomic():
        release = Release.objects.select_for_update(of=("self",)).select_related("target").get(pk=release_id)
        if release.state != ReleaseState.WATCHED:
            return None
        release.counts = {"before": [before.calls, before.errors], "after": [after.calls, after.errors]}
        worse = bool(_too_many_errors(release))
        release.due_at = at if worse else release.due_at
        release.save(update_fields=["counts", "due_at"])
    return release.target.slug if worse else None


# -- not good ----------------------------------------------------------------------------------------------------------
def _not_good(release: Release, why: str, at: datetime, *, older_would_help: bool) -> None:
    """Put the last good code back, once; where that is not possible or no help, say so and leave it to a person."""
    good = releases.last_good(release)
    keep = _why_not(release, good, older_would_help=older_would_help)
    if keep or good is None:
        _change(release, lambda held: _stick(held, release.production, f"{why} {keep}", at))
        return
    try:
        older = undoing.prepare(release.target, good.number, at)
        _change(release, lambda held: _take_back(held, release.production, older, why, at))
    except Refusal as refusal:
        unfit = f"Version {good.version} could not be put back: {refusal.message}"
        _change(release, lambda held: _stick(held, release.production, f"{why} {unfit}", at))


def _why_not(release: Release, good: Release | None, *, older_would_help: bool) -> str:
    if release.straight:
        return "It was put back itself, so nothing further is done without a person."
    if not safety_of(release.target).take_back:
        return "Taking code back by itself is switched off for this target."
    if not older_would_help:
        return "The same calls failed before it came, so older code would not help."
    return "" if good else "There is no earlier code here that was seen to be good."


def _stick(held: Release, answers: list[Answer], words: str, at: datetime) -> None:
    held.production = answers
    releases.end(held, ReleaseState.STUCK, f"{words} A person is needed.", at)
    _announce(held, "code.not_good", at)


def _take_back(held: Release, answers: list[Answer], older: undoing.OlderCode, why: str, at: datetime) -> None:
    """Code that was compiled after it, and had no turn yet, is compiled again afterwards."""
    if code_version(current_code(held.target)) != held.version:
        PendingChange.objects.create(
            target=held.target, topic="rollout.code.taken_back", cause=held.version, at=at, retry_at=at
        )
    held.production = answers
    releases.end(held, ReleaseState.TAKEN_BACK, f"{why} Version {older.version} was put back.", at)
    undoing.write(target=held.target, older=older, straight=True, asked_by=SYSTEM.name, instead_of=held, at=at)
    _announce(held, "code.taken_back", at, put_back=older.version)


def _announce(held: Release, verb: str, at: datetime, **more: str) -> None:
    said: Mapping[str, object] = {"version": held.version, "revision": held.number, "why": held.words, **more}
    record_target(verb, held.target, actor=SYSTEM, at=at, after=said)
    announce_release(held, at)
    Target.objects.filter(pk=held.target_id).update(retry_at=None)
