"""Production: no defaults for secrets, everything over HTTPS."""

from __future__ import annotations

from console import env
from console.settings.base import *  # noqa: F403  (settings modules compose by star import, as Django documents)

SECRET_KEY = env.read("SALLYPORT_SECRET_KEY")
SALLYPORT_SECRETS_KEY = env.read("SALLYPORT_SECRETS_KEY")
SALLYPORT_URL = env.read("SALLYPORT_URL").rstrip("/")
ALLOWED_HOSTS = env.read_list("SALLYPORT_ALLOWED_HOSTS")
SALLYPORT_DEMO = False

SECURE_SSL_REDIRECT = env.read_bool("SALLYPORT_SSL_REDIRECT", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-sallyport"
CSRF_COOKIE_SECURE = True
