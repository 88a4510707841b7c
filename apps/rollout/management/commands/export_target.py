"""``manage.py export_target TARGET DIRECTORY``: an edge target as files. Doing it again changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.rollout.exports.tree import Export
from apps.rollout.exports.writing import NotOurDirectory, write, write_secret
from apps.rollout.services.exporting import code_bundle, export_of, stream_secret
from apps.trust import selectors as trust
from apps.trust.models import Purpose


class Command(OperatorCommand):
    help = "Write what an edge target should hold to a directory, as Terraform and files; only what differs is touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("directory", type=Path)
        parser.add_argument("--revision", type=int, help="another than the newest")
        parser.add_argument("--code", type=Path, help="write the packed code bundle there; it is confidential")
        parser.add_argument("--stream-secret", type=Path, help="write the secret of its log's stream there")
        parser.add_argument("--keys", type=Path, help="write the public keys there that manifest.jws is checked with")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            export = export_of(slug=options["target"], at=timezone.now(), number=options["revision"])
            written = write(export, options["directory"])
            self._write_others(export, options["code"], options["stream_secret"], options["keys"])
        except (NotOurDirectory, OSError) as error:
            raise CommandError(str(error)) from error
        for caution in export.cautions:
            self.stderr.write(caution)
        lines = [f"changed {path}" for path in written.changed] + [f"removed {path}" for path in written.removed]
        self.stdout.write("\n".join(lines) or f"Revision {export.revision} is there already.")

    def _write_others(self, export: Export, code: Path | None, secret: Path | None, keys: Path | None) -> None:
        if code:
            content = code_bundle(slug=export.target, number=export.revision, actor=OPERATOR, at=timezone.now())
            write_secret(code, content)
        if secret:
            write_secret(secret, stream_secret(slug=export.target, actor=OPERATOR, at=timezone.now()))
        if keys:
            keys.write_text(json.dumps(trust.jwks(Purpose.BUNDLE), indent=2) + "\n", encoding="utf-8")
