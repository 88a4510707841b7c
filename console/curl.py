"""A command to try what one holds, ready to paste."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from apps.catalog.models import Route


def command(host: str, base_path: str, routes: Iterable[Route], token: str = "") -> str:
    """Through the edge, for the first of the routes; empty when there is none. Parameters stay to be filled in."""
    route = min(routes, key=lambda one: (one.template, one.key), default=None)
    if route is None:
        return ""
    method = sorted(route.methods)[0]
    verb = "" if method == "GET" else f" -X {method}"
    path = route.template.replace("{", "").replace("}", "")
    address = settings.SALLYPORT_EDGE_URL.format(host=host) + base_path + path
    bearer = shlex.quote(f"Authorization: Bearer {token}") if token else '"Authorization: Bearer $TOKEN"'
    return f"curl -i{verb} {shlex.quote(address)} \\\n  -H {bearer}"


def token_command() -> str:
    """How a program turns its API token into a five-minute token for the edge."""
    return (
        f"TOKEN=$(curl -s {settings.SALLYPORT_URL}/oauth/token \\\n"
        "  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\\n"
        "  -d subject_token_type=urn:ietf:params:oauth:token-type:access_token \\\n"
        '  -d subject_token=$SALLYPORT_TOKEN | sed \'s/.*"access_token": *"\\([^"]*\\)".*/\\1/\')'
    )
