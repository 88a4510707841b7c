"""``manage.py connect_target SLUG``: the credential a target speaks to Akamai with, without a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.rollout import tasks
from apps.rollout.akamai.edgerc import DEFAULT_SECTION, from_environment, parse_edgerc
from apps.rollout.services.connecting import connect


class Command(OperatorCommand):
    help = "Give an Akamai target another EdgeGrid credential. It is tried with one call before it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", metavar="TARGET")
        parser.add_argument("--edgerc", type=Path, metavar="FILE", help="without it: AKAMAI_HOST and so on")
        parser.add_argument("--section", default=DEFAULT_SECTION)
        parser.add_argument("--account-switch-key", default="", metavar="KEY")

    def handle(self, *args: Any, **options: Any) -> None:
        file, section = options["edgerc"], options["section"]
        try:
            text = file.read_text(encoding="utf-8") if file else None
            credential = from_environment(os.environ, section) if text is None else parse_edgerc(text, section)
            target = connect(
                slug=options["target"],
                credential=credential,
                account_switch_key=options["account_switch_key"],
                actor=OPERATOR,
                at=timezone.now(),
            )
        except (OSError, ValueError) as error:
            raise CommandError(f"{file} cannot be read: {type(error).__name__}") from error
        tasks.poke([target.slug])
        self.stdout.write(f"{target.slug}: connected to {target.config['base_url']}")
