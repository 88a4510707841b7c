"""The composition root: the only place that knows every app."""

from console import quick_start  # isort: skip - before anything is imported that it makes quicker
from console.celery import app as celery_app

__all__ = ["celery_app", "quick_start"]
