"""``manage.py enroll_node TARGET NAME``: a token for a mesh node, and the keys it shall pin."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.audit.errors import InvalidInput
from apps.rollout.services.targets import enroll_account, enroll_node


class Command(OperatorCommand):
    help = "Let a mesh node in. Enrolling it again replaces its token."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("name")
        parser.add_argument("--only-probes", action="store_true", help="it tries calls and takes no revisions")
        parser.add_argument("--token-out", type=Path, help="where the token goes (mode 0600)")
        parser.add_argument("--bundle-keys-out", type=Path, help="where the JWK set to pin goes")
        parser.add_argument("--issuer", default="", metavar="SLUG", help="instead of a token: the trusted cluster")
        parser.add_argument("--account", default="", metavar="NAMESPACE/NAME", help="and the account it signs for")

    def handle(self, *args: Any, **options: Any) -> None:
        known: dict[str, Any] = {
            "target_slug": options["target"],
            "name": options["name"],
            "actor": OPERATOR,
            "at": timezone.now(),
            "applies": False if options["only_probes"] else None,
        }
        try:
            if options["issuer"]:
                node = enroll_account(**known, issuer=options["issuer"], account=options["account"])
                self.stdout.write(f"{node.name} may join {options['target']} as {options['account']}.")
                return
            if options["token_out"] is None or options["bundle_keys_out"] is None:
                raise CommandError("Say where the token and the keys go, or name an issuer and an account.")
            enrolled = enroll_node(**known)
        except InvalidInput as refusal:
            raise CommandError(_words(refusal)) from refusal
        descriptor = os.open(options["token_out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(enrolled.token)
        options["bundle_keys_out"].write_text(json.dumps(enrolled.bundle_keys, indent=2), encoding="utf-8")
        self.stdout.write(f"{enrolled.node.name} may join {options['target']}.")


def _words(refusal: InvalidInput) -> str:
    return " ".join([refusal.message, *(text for texts in refusal.fields.values() for text in texts)])
