"""Development and the demo: plain HTTP on the loopback, throw-away secrets allowed."""

from __future__ import annotations

from console import env
from console.settings.base import *  # noqa: F403  (settings modules compose by star import, as Django documents)

SECRET_KEY = env.read("SALLYPORT_SECRET_KEY", "development-only-not-a-secret-not-for-production")
SALLYPORT_SECRETS_KEY = env.read("SALLYPORT_SECRETS_KEY", "ZGV2ZWxvcG1lbnQtb25seS1ub3QtYS1zZWNyZXQtMDE=")
DEBUG = env.read_bool("SALLYPORT_DEBUG", default=False)
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False
SALLYPORT_PLAIN_HTTP = True
