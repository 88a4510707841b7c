"""Print the IAM policy that the synchronisation needs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from apps.audit.commands import OperatorCommand
from apps.identity.proofs import aws_directory


class Command(OperatorCommand):
    help = "Prints the least-privilege policy for sync_aws; with --trust also whom a role in another account lets in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--trust", metavar="ARN", default="", help="the console's own role or user")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(aws_directory.policy())
        if options["trust"]:
            self.stdout.write(aws_directory.trust_policy(options["trust"]))
