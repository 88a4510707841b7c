"""``manage.py ensure_targets --config FILE``: the places that enforce, as an operator describes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.rollout.services.targets import TargetSpec, ensure_target


class Command(OperatorCommand):
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
            target = ensure_target(spec=spec, actor=OPERATOR, at=timezone.now())
            self.stdout.write(f"{target.slug}: {target.name} ({target.driver})")
