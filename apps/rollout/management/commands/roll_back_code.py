"""``manage.py roll_back_code TARGET REVISION``: the code of an older revision, with today's grants."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.rollout import tasks
from apps.rollout.services.undoing import roll_back_code


class Command(BaseCommand):
    help = "Go back to the edge code of an older revision; grants stay as they are today."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("revision", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor("operator", "An operator on the command line")
        try:
            made = roll_back_code(slug=options["target"], number=options["revision"], actor=actor, at=timezone.now())
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
        tasks.poke([options["target"]])
        self.stdout.write(f"Revision {made.number} has the code of revision {options['revision']}.")
