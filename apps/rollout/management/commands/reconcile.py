"""``manage.py reconcile``: do what is due at the targets, without Celery."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.outbox import nudge
from apps.rollout import tasks
from apps.rollout.services import reconciling
from apps.rollout.services.evidence import CHANNEL

POLL_SECONDS = 2.0


class Command(BaseCommand):
    help = "Bring every target to what it should hold. With --loop, go on doing so; any number may run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="wait for changes instead of stopping")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            self.stdout.write(f"looked at {self.look()} targets")
            return
        while True:
            try:
                with nudge.listen(CHANNEL) as ear:
                    self.look()
                    ear.wait(POLL_SECONDS)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"reconcile: the database does not answer ({error}); trying again")
                connection.close()

    def look(self) -> int:
        due = list(reconciling.due_targets(timezone.now()).values_list("slug", flat=True))
        for slug in due:
            tasks.run(slug)
        return len(due)
