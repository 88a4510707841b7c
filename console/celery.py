"""The Celery application. Tasks are nudges: the work itself is rows in the database, swept by beat."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings.dev")

app = Celery("sallyport")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def _drop_dead_connections(**_: object) -> None:
    """A reused connection does not survive a database restart; without this every later task would fail."""
    close_old_connections()
