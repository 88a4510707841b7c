"""Watching clusters: a thread for each, with its streams, that looks at an object at once when somebody changed it.

Nothing is kept here that is not read back anew after a restart. What a stream missed is found by listing its kind and
namespace again: after a restart, an outage, or when the cluster no longer knows the moment the stream stood at.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import datetime

from django.db import close_old_connections, connections

from apps.audit.errors import NotFound
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.driver import Change, Ear, Seen
from apps.rollout.drivers.kubernetes.kinds import Scope, ref_of
from apps.rollout.services.cluster import watching as cluster_watching

log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds until a thread sees at the latest that it is to end."""

FIRST_PAUSE, LONGEST_PAUSE, CALM = 1.0, 30.0, 90.0
"""Seconds before a cluster is listed again. The first time there is no pause; after ``CALM`` it is the first time."""

SAID_EVERY = 20.0
MOST_STREAMS, MOST_LATER = 1000, 1000

Clock = Callable[[], datetime]


class Attention:
    """What one cluster's streams say, taken turn by turn. Bounded: what is too much is listed again instead.

    ``clock`` is for what is written, ``now`` (seconds) for pauses.
    """

    def __init__(
        self,
        slug: str,
        ear: Ear,
        scopes: Sequence[Scope],
        clock: Clock,
        now: Callable[[], float] = time.monotonic,
        *,
        most_later: int = MOST_LATER,
    ) -> None:
        self._slug, self._ear, self._clock, self._now, self._most_later = slug, ear, clock, now, most_later
        self._scopes = frozenset(scopes[:MOST_STREAMS])
        self._is_whole = len(self._scopes) == len(scopes)
        self._lost: set[Scope] = set(self._scopes)
        self._later: set[str] = set()
        self._look_at = self._later_at = self._say_at = 0.0
        self._failed_at = -CALM
        self._failures = self._laters = 0

    def turn(self, seconds: float = TICK) -> None:
        """One round: list what was lost, hear for so long at most, look at what was heard of."""
        self._find_lost()
        self._take(self._ear.wait(seconds))
        self._look_later()
        self._say()

    def _find_lost(self) -> None:
        if not self._lost or self._now() < self._look_at:
            return
        everything = self._is_whole and self._lost == self._scopes
        scopes = None if everything else sorted(self._lost)
        seen = cluster_watching.look(slug=self._slug, at=self._clock(), scopes=scopes)
        if seen is None:
            self._put_off()
            return
        self._ear.listen({scope: version for scope, version in seen.positions.items() if scope in self._lost})
        self._lost.clear()
        self._keep_for_later(seen.left_out)

    def _take(self, changes: Collection[Change]) -> None:
        lost = [change for change in changes if change.seen == Seen.LOST]
        if lost:
            log.warning("watch of %s: %d lost (%s)", self._slug, len(lost), lost[0].error)
            self._lose({change.scope for change in lost})
        heard = [change for change in changes if change.seen != Seen.LOST]
        if heard:
            self._keep_for_later(cluster_watching.hear(slug=self._slug, changes=heard, at=self._clock()))

    def _lose(self, scopes: Collection[Scope]) -> None:
        if not self._lost:
            self._put_off()
        self._lost |= set(scopes) & self._scopes

    def _put_off(self) -> None:
        now = self._now()
        self._failures = self._failures + 1 if now - self._failed_at < CALM else 0
        pause = min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE) if self._failures else 0.0
        self._failed_at, self._look_at = now, now + pause

    def _keep_for_later(self, paths: Collection[str]) -> None:
        if not paths:
            return
        if not self._later:
            self._laters, self._later_at = 0, self._now() + FIRST_PAUSE
        fresh = sorted(set(paths) - self._later)
        room = max(self._most_later - len(self._later), 0)
        self._later |= set(fresh[:room])
        if fresh[room:]:
            self._lose({ref_of(path).scope for path in fresh[room:]})

    def _look_later(self) -> None:
        """At what was being applied, or could not be read, when it was heard of."""
        if not self._later or self._now() < self._later_at:
            return
        self._later = set(cluster_watching.look_at(slug=self._slug, paths=self._later, at=self._clock()))
        self._laters += 1
        self._later_at = self._now() + min(FIRST_PAUSE * 2**self._laters, LONGEST_PAUSE)

    def _say(self) -> None:
        if self._is_whole and not self._lost and self._now() >= self._say_at:
            cluster_watching.say_watched(slug=self._slug, at=self._clock())
            self._say_at = self._now() + SAID_EVERY


class ClusterWatch(threading.Thread):
    """One cluster, until it is stopped. Whatever goes wrong, it begins anew, by listing."""

    def __init__(self, slug: str, mark: str, clock: Clock) -> None:
        super().__init__(name=f"watch {slug}", daemon=True)
        self.slug, self.mark, self._clock = slug, mark, clock
        self._over = threading.Event()

    def end(self) -> None:
        self._over.set()

    def run(self) -> None:
        pause = FIRST_PAUSE
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._watch()
            except (VendorError, NotFound) as error:
                log.warning("watch of %s: %s", self.slug, error)
            except Exception:
                log.exception("watch of %s: begun anew", self.slug)
            connections.close_all()
            pause = FIRST_PAUSE if time.monotonic() - began > CALM else min(2 * pause, LONGEST_PAUSE)
            self._over.wait(pause)

    def _watch(self) -> None:
        ear, scopes = cluster_watching.ear_for(self.slug)
        with closing(ear):
            attention = Attention(self.slug, ear, scopes, self._clock)
            while not self._over.is_set():
                attention.turn()
                close_old_connections()


class Watches:
    """The threads of all clusters that are to be watched."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, ClusterWatch] = {}

    @property
    def slugs(self) -> list[str]:
        return sorted(self._running)

    def tend(self) -> None:
        """Begin with new ones, end those that are not to be watched any more, begin anew where something changed."""
        wanted = cluster_watching.watched()
        for slug, watch in list(self._running.items()):
            if wanted.get(slug) != watch.mark or not watch.is_alive():
                watch.end()
                del self._running[slug]
        for slug in sorted(wanted.keys() - self._running.keys()):
            self._running[slug] = ClusterWatch(slug, wanted[slug], self._clock)
            self._running[slug].start()

    def stop(self, seconds: float) -> None:
        """Waits so long for them; a thread that is in the middle of a call is left to end with the process."""
        for watch in self._running.values():
            watch.end()
        end = time.monotonic() + seconds
        for watch in self._running.values():
            watch.join(max(end - time.monotonic(), 0.0))
        self._running.clear()
