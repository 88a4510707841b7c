"""Who may look at targets, and who may change what becomes of them: the same on pages and over the API."""

from __future__ import annotations

WATCHERS = ("operator", "security", "auditor", "administrator")
KEEPERS = ("operator", "administrator")
