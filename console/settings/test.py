"""Under test: like development, with a fast hasher and static files served without a manifest."""

from __future__ import annotations

from console.settings.dev import *  # noqa: F403  (settings modules compose by star import, as Django documents)

SALLYPORT_DEMO = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Pokes are published into a broker that lives and dies with the process.
CELERY_BROKER_URL = "memory://localhost/"
# The test database may be emptied between tests; the audit record's trigger lets nothing else through.
DATABASES["default"]["OPTIONS"]["options"] = "-c sallyport.audit_unlock=TRUNCATE"  # type: ignore[index]
