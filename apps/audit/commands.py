"""What the commands of every app may count on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.actors import Actor
from apps.audit.errors import Refusal

OPERATOR = Actor("operator", "An operator on the command line")


class OperatorCommand(BaseCommand):
    """Says what is refused in its own words, without a traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
