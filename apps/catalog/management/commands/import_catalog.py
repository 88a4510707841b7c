"""``manage.py import_catalog FILE``: make the catalogue what a Backstage file says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.catalog import services
from apps.catalog.services import ImportResult


class Command(BaseCommand):
    help = "Imports a Backstage catalogue file: all of it or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="say what would change and change nothing")
        parser.add_argument(
            "--retire", action="store_true", help="retire what this source named before and no longer names"
        )
        parser.add_argument("--source", default="", help="the name of the source; the file's name by default")

    def handle(self, *args: Any, file: Path, dry_run: bool, retire: bool, source: str, **options: Any) -> None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}.") from error
        result = services.import_catalog(
            text=text, source=source or file.name, actor=SYSTEM, at=timezone.now(), dry_run=dry_run, retire=retire
        )
        self._report(result)
        if not result.ok:
            raise CommandError(f"Nothing was imported: {len(result.errors)} problem(s).")

    def _report(self, result: ImportResult) -> None:
        for note in result.notes:
            self.stdout.write(f"Note: {note}")
        for change in result.changes:
            self.stdout.write(change.sentence)
        for problem in result.errors:
            self.stderr.write(str(problem))
        if result.ok:
            tense = "would change" if result.dry_run else "changed"
            touched = len(result.changes) - result.count("gone")
            self.stdout.write(f"{touched} {tense}, {result.unchanged} unchanged, {result.count('gone')} left alone.")
