"""Configuration that would only fail, or leak, when a browser comes back from signing in fails at start instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

EDGE_URL = re.compile(r"(https?)://\{host\}(:\d{1,5})?")


def check_edge_url(app_configs: Sequence[Any] | None = None, **_: object) -> list[CheckMessage]:
    """Sessions go there, so it is the host itself, and with TLS."""
    found = EDGE_URL.fullmatch(settings.SALLYPORT_EDGE_URL)
    if found is None:
        hint = "It is like https://{host}, with a port behind it if need be."
        return [Error("SALLYPORT_EDGE_URL does not say where a host of the edge is.", hint=hint, id="trust.E001")]
    if found[1] == "http" and not (settings.SALLYPORT_DEMO or settings.SALLYPORT_PLAIN_HTTP):
        return [Error("SALLYPORT_EDGE_URL must begin with https://.", id="trust.E002")]
    return []
