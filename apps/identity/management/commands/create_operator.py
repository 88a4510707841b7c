from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.audit.errors import Refusal
from apps.identity import services


class Command(BaseCommand):
    help = (
        "Break glass: a local administrator with a password, for when the identity provider is not there. "
        "Reads the password from the terminal, or from the standard input when that is not one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="a short name; the person will be person:NAME")

    def handle(self, *_: object, name: str, **__: object) -> None:
        try:
            user = services.create_operator(name=name, password=_password(), at=timezone.now())
        except Refusal as refusal:
            details = [line for lines in refusal.fields.values() for line in lines]
            raise CommandError(" ".join([refusal.message, *details])) from refusal
        self.stdout.write(f"{user.username} is an administrator and operator, and can sign in with the password.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandError("The two passwords differ.")
    return password
