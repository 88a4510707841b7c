from __future__ import annotations

import time
from argparse import ArgumentParser

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.outbox import nudge, services

POLL_SECONDS = 2.0


class Command(BaseCommand):
    help = "Handle outbox messages as they come, without Celery. Any number may run; kill them as you like."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="handle what waits now, then stop")

    def handle(self, *_: object, once: bool, **__: object) -> None:
        if once:
            self.stdout.write(f"handled {self.empty()}")
            return
        self.stdout.write("relay: waiting for messages")
        while True:
            self.listen_once()

    def listen_once(self) -> None:
        try:
            with nudge.listen(services.CHANNEL) as ear:
                self.empty()
                ear.wait(POLL_SECONDS)
        except (OperationalError, InterfaceError) as error:
            self.stderr.write(f"relay: the database does not answer ({error}); trying again")
            connection.close()
            time.sleep(POLL_SECONDS)

    def empty(self) -> int:
        """Handle everything that may run; the number of attempts made."""
        handled = 0
        while services.drain(at=timezone.now(), limit=1).handled:
            handled += 1
        return handled
