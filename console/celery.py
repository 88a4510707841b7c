"""The Celery application. Tasks are nudges: the work itself is rows in the database, swept by beat."""

from __future__ import annotations

import os
from importlib import import_module

from celery import Celery
from celery.signals import task_prerun
from django.apps import apps
from django.db import close_old_connections
from django.utils.module_loading import module_has_submodule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings.dev")

app = Celery("sallyport")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.on_after_finalize.connect
def _schedule(sender: Celery, **_: object) -> None:
    """Each app says in ``BEAT`` of its own tasks module what beat should call and how often."""
    for config in apps.get_app_configs():
        if module_has_submodule(config.module, "tasks"):
            sender.conf.beat_schedule.update(getattr(import_module(f"{config.name}.tasks"), "BEAT", {}))


@task_prerun.connect
def _drop_dead_connections(**_: object) -> None:
    """A reused connection does not survive a database restart; without this every later task would fail."""
    close_old_connections()
