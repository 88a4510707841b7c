"""``manage.py seed_demo_access``: rules, guardrails and standing access for an imported estate."""

from __future__ import annotations

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.access.seeding import seed_demo_access


class Command(BaseCommand):
    help = "Create the default approval rules, the sample guardrails and standing access along the declared calls."

    def handle(self, *args: object, **options: object) -> None:
        seed_demo_access(at=timezone.now())
        self.stdout.write("Rules, guardrails and standing access are in place.")
