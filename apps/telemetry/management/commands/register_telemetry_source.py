"""``manage.py register_telemetry_source NAME``: a token for a log shipper, printed once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.telemetry import services
from apps.telemetry.models import POINTS


class Command(BaseCommand):
    help = "Registers a log shipper and prints its token. Registering a name again replaces its token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--point", action="append", choices=POINTS, dest="points", help="may speak for this point only (repeatable)"
        )

    def handle(self, *args: Any, name: str, points: list[str] | None, **options: Any) -> None:
        token = services.register_source(name=name, points=points or POINTS, actor=SYSTEM, at=timezone.now())
        self.stdout.write(token)
