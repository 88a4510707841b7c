"""``manage.py enroll_node TARGET NAME``: a token for a mesh node, and the keys it shall pin."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.rollout.services.targets import enroll_node


class Command(BaseCommand):
    help = "Let a mesh node in. Enrolling it again replaces its token."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("name")
        parser.add_argument("--only-probes", action="store_true", help="it tries calls and takes no revisions")
        parser.add_argument("--token-out", type=Path, required=True, help="where the token goes (mode 0600)")
        parser.add_argument("--bundle-keys-out", type=Path, required=True, help="where the JWK set to pin goes")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor("operator", "An operator on the command line")
        try:
            enrolled = enroll_node(
                target_slug=options["target"],
                name=options["name"],
                actor=actor,
                at=timezone.now(),
                applies=False if options["only_probes"] else None,
            )
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
        descriptor = os.open(options["token_out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(enrolled.token)
        options["bundle_keys_out"].write_text(json.dumps(enrolled.bundle_keys, indent=2), encoding="utf-8")
        self.stdout.write(f"{enrolled.node.name} may join {options['target']}.")
