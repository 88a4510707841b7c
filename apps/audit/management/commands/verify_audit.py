from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from apps.audit import services


class Command(BaseCommand):
    help = "Verify the audit record's hash chain. Exits with 1 and names the first row that does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", type=int, dest="from_seq", metavar="ROW", help="trust everything before ROW")

    def handle(self, *_: object, from_seq: int | None, **__: object) -> None:
        found = services.verify(from_seq=from_seq)
        if not found.ok:
            raise CommandError(f"{found.why} ({found.checked} rows before it hold.)", returncode=1)
        self.stdout.write(found.why)
