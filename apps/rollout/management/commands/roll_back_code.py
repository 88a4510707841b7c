"""``manage.py roll_back_code TARGET REVISION``: the code of an older revision, with today's grants."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.rollout import tasks
from apps.rollout.services.undoing import roll_back_code


class Command(OperatorCommand):
    help = "Go back to the edge code of an older revision; grants stay as they are today."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("revision", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        made = roll_back_code(slug=options["target"], number=options["revision"], actor=OPERATOR, at=timezone.now())
        tasks.poke([options["target"]])
        self.stdout.write(f"Revision {made.number} has the code of revision {options['revision']}.")
