"""Configuration that would only fail when somebody proves who they are fails at start instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def check_aws(app_configs: Sequence[Any] | None = None, **_: object) -> list[CheckMessage]:
    """What AWS says of a signature decides who somebody is: nobody on the way may say it instead."""
    found: list[CheckMessage] = []
    address = settings.SALLYPORT_AWS_STS_URL
    if address and not address.startswith("https://") and not settings.SALLYPORT_PLAIN_HTTP:
        found.append(Error("SALLYPORT_AWS_STS_URL must begin with https://.", id="identity.E010"))
    strange = [region for region in settings.SALLYPORT_AWS_REGIONS if not REGION.fullmatch(region)]
    if strange:
        hint = "They are like eu-central-1, with commas between them."
        found.append(Error(f"SALLYPORT_AWS_REGIONS holds {', '.join(strange)}.", hint=hint, id="identity.E011"))
    if settings.SALLYPORT_TOKENS_PER_MINUTE < 1:
        found.append(Error("SALLYPORT_TOKENS_PER_MINUTE must be 1 or more.", id="identity.E012"))
    return found
