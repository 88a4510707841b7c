"""``manage.py watch_clusters``: see at once what somebody changes by hand in a cluster."""

from __future__ import annotations

import resource
import signal
import threading
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from apps.rollout.cluster.watch import Watches

TEND_SECONDS, GRACE_SECONDS = 2.0, 3.0
MOST_FILES = 65_536


class Command(BaseCommand):
    help = (
        "Watch every cluster the console reaches, so that what somebody changes there by hand is seen at once. "
        "Any number may run; kill them as you like."
    )

    def handle(self, *_: Any, **__: Any) -> None:
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        _allow_files()
        watches = Watches(timezone.now)
        self.stdout.write("watch_clusters: waiting for clusters")
        known: list[str] = []
        while not over.is_set():
            self._tend(watches)
            if watches.slugs != known:
                known = watches.slugs
                self.stdout.write(f"watch_clusters: watching {', '.join(known) or 'none'}")
            over.wait(TEND_SECONDS)
        watches.stop(GRACE_SECONDS)

    def _tend(self, watches: Watches) -> None:
        try:
            watches.tend()
        except (OperationalError, InterfaceError) as error:
            self.stderr.write(f"watch_clusters: the database does not answer ({error}); trying again")
            connection.close()
        close_old_connections()


def _allow_files() -> None:
    """Each stream is a connection: the usual 1024 are few for several large clusters."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
