"""Copy the roles and users of AWS accounts."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.identity.proofs import aws_syncing


class Command(BaseCommand):
    help = "Copies the roles and users of the accounts in SALLYPORT_AWS_SYNC_ROLES; what vanished ends its bindings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--confirm", action="store_true", help="also when more than a fifth of an account vanished")

    def handle(self, *args: Any, **options: Any) -> None:
        roles = settings.SALLYPORT_AWS_SYNC_ROLES
        if not roles:
            self.stdout.write("SALLYPORT_AWS_SYNC_ROLES names no account.")
        for line in aws_syncing.sync_all(roles=roles, confirmed=options["confirm"], at=timezone.now()):
            self.stdout.write(line)
