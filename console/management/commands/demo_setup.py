"""``manage.py demo_setup``: loads the sample estate; the demo's supervisor sends its wishes as JSON on stdin."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.audit.errors import Refusal
from console.demo import EstateRefused, Wish, set_up


class Command(BaseCommand):
    help = "Load the sample estate and write the demo's configuration files (used by `make demo`)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SALLYPORT_DEMO:
            raise CommandError("This is for the demo only: SALLYPORT_DEMO is off.")
        try:
            set_up(Wish.from_json(sys.stdin.read()), at=timezone.now())
        except (Refusal, EstateRefused) as refusal:
            raise CommandError(str(refusal)) from refusal
