"""The rows of releases: which code is on its way, how far it is, and what is held back until a person says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from apps.rollout.drivers.akamai.api import PRODUCTION
from apps.rollout.drivers.base import Step
from apps.rollout.models import Release, Target
from apps.rollout.services.holding import hold_target
from apps.rollout.services.safety import safety_of
from apps.rollout.states import HELD_RELEASES, OPEN_RELEASES, ReleaseState, move

TROUBLES: Mapping[str, str] = {
    ReleaseState.REFUSED: "staging_refused",
    ReleaseState.TAKEN_BACK: "code_taken_back",
    ReleaseState.STUCK: "code_not_good",
}
PAGE = 20


def current(target: Target) -> Release | None:
    """The release that is under way, if one is."""
    return Release.objects.filter(target=target, state__in=OPEN_RELEASES).first()


def held_versions(target: Target) -> dict[str, str]:
    """Versions whose last release ended badly, each with the name of the trouble."""
    newest = Release.objects.filter(target=target).order_by("version", "-pk").distinct("version")
    rows = newest.values_list("version", "state", "forgiven")
    return {version: TROUBLES[state] for version, state, forgiven in rows if state in TROUBLES and not forgiven}


def was_good(target: Target, version: str) -> bool:
    return Release.objects.filter(target=target, version=version, state=ReleaseState.GOOD).exists()


def last_good(release: Release) -> Release | None:
    """The newest other version of which production was seen to answer as it should, before this one."""
    rows = Release.objects.filter(target=release.target_id, pk__lt=release.pk).exclude(version=release.version)
    seen = rows.filter(state__in=[ReleaseState.GOOD, ReleaseState.OVERTAKEN]).exclude(production=[])
    held = held_versions(release.target)
    return next((one for one in seen.order_by("-pk")[:PAGE] if one.version not in held and all_good(one)), None)


def all_good(release: Release) -> bool:
    return all(answer["good"] for answer in release.production)


def ensure(*, target: Target, version: str, number: int, at: datetime) -> None:
    """There is an open release of this code, unless it is held back. Another one that was open is overtaken."""
    with transaction.atomic():
        held = hold_target(target.pk)
        if held.latest_number != number or version in held_versions(target):
            return
        begin(target=target, version=version, number=number, at=at)


def begin(
    *,
    target: Target,
    version: str,
    number: int,
    at: datetime,
    straight: bool = False,
    instead_of: Release | None = None,
    asked_by: str = "",
) -> Release:
    """The caller holds the target. What is open already for the same version goes on."""
    opened = Release.objects.select_for_update().filter(target=target, state__in=OPEN_RELEASES).first()
    if opened is not None and opened.version == version:
        return opened
    if opened is not None:
        end(opened, ReleaseState.OVERTAKEN, f"Version {version} came instead.", at)
    return Release.objects.create(
        target=target,
        version=version,
        number=number,
        straight=straight,
        instead_of=instead_of,
        asked_by=asked_by,
        began_at=at,
    )


def end(release: Release, state: ReleaseState, words: str, at: datetime) -> None:
    """The caller holds the row."""
    move(release, state)
    release.words, release.due_at, release.ended_at = words, None, at
    release.save()


def note(target: Target, step: Step, at: datetime) -> None:
    """What a step said of the code: live on staging and to be tried, or live on production and to be watched.

    The caller holds the target.
    """
    release = Release.objects.select_for_update().filter(target=target, state__in=OPEN_RELEASES).first()
    if release is None or release.state == ReleaseState.WATCHED:
        return
    if step.live.get(PRODUCTION) == release.version:
        watch(release, at)
    elif step.to_try == release.version and release.due_at is None:
        release.due_at = at
        release.save(update_fields=["due_at"])


def watch(release: Release, at: datetime) -> None:
    """It is live on production: it is asked about at once, and its errors are watched for a while."""
    move(release, ReleaseState.WATCHED)
    release.tries, release.due_at, release.production_at = 0, at, at
    release.watch_until = at + safety_of(release.target).window
    release.save()


def forgive(target: Target, version: str) -> Release | None:
    """A person wants this version once more though it ended badly; that ending. The caller holds the target."""
    held = Release.objects.filter(target=target, version=version, state__in=HELD_RELEASES, forgiven=False)
    last = held.order_by("-pk").first()
    held.update(forgiven=True)
    return last


def ask_again(stuck: Release, *, asked_by: str, at: datetime) -> None:
    """What is live on production though it was not good is asked about anew. The caller holds the target."""
    fresh = begin(
        target=stuck.target, version=stuck.version, number=stuck.number, at=at, straight=True, asked_by=asked_by
    )
    if fresh.state == ReleaseState.STAGING:
        watch(fresh, at)


def latest(target: Target) -> Sequence[Release]:
    """Newest first."""
    return list(Release.objects.filter(target=target).select_related("instead_of").order_by("-pk")[:PAGE])
