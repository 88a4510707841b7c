"""``manage.py ensure_rules``: the approval rules an estate begins with."""

from __future__ import annotations

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.access.services import ensure_default_rules


class Command(BaseCommand):
    help = "Create the default approval rules that are not there; what somebody changed stays as it is."

    def handle(self, *args: object, **options: object) -> None:
        ensure_default_rules(at=timezone.now())
        self.stdout.write("The default approval rules are in place.")
