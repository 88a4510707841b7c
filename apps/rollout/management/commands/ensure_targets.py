"""``manage.py ensure_targets --config FILE``: the places that enforce, as an operator describes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.rollout.services.targets import TargetSpec, ensure_target

OPERATOR = Actor("operator", "An operator on the command line")


class Command(BaseCommand):
    help = "Create or change targets to match a JSON file: {'targets': [{slug, name, driver, config, credentials}]}."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--config", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            document = json.loads(options["config"].read_text(encoding="utf-8"))
            specs = [TargetSpec(**entry) for entry in document["targets"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{options['config']} cannot be used: {error!r}") from error
        for spec in specs:
            try:
                target = ensure_target(spec=spec, actor=OPERATOR, at=timezone.now())
            except Refusal as refusal:
                raise CommandError(refusal.message) from refusal
            self.stdout.write(f"{target.slug}: {target.name} ({target.driver})")
