"""Copy the users and groups of AWS IAM Identity Center."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.identity.identity_center.copying import copy_all


class Command(BaseCommand):
    help = "Reads every Identity Center that was added; whoever is disabled or gone there has left here."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--confirm", action="store_true", help="also when more than a fifth of its users are gone")

    def handle(self, *args: Any, **options: Any) -> None:
        for line in copy_all(confirmed=options["confirm"], at=timezone.now()) or ["None was added."]:
            self.stdout.write(line)
