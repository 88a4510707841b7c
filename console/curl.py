"""A command to try what one holds, ready to paste."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from django.conf import settings

from apps.catalog import selectors as catalog

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.catalog.models import Route

TOKEN = '"Authorization: Bearer $TOKEN"'


def curl_for(grant: Grant, token: str = "") -> str:
    """Through the edge, for the grant's first route; empty when it has none there."""
    route = min(grant.routes.all(), key=lambda one: (one.template, one.key), default=None)
    if route is None or "edge" not in grant.points:
        return ""
    edge = next((one for one in catalog.list_exposures(grant.service) if one.point == "edge"), None)
    return command(edge.host, edge.base_path, route, token) if edge else ""


def command(host: str, base_path: str, route: Route, token: str = "") -> str:
    method = sorted(route.methods)[0]
    verb = "" if method == "GET" else f" -X {method}"
    address = settings.SALLYPORT_EDGE_URL.format(host=host) + base_path + route.template.replace("{", "").replace("}", "")
    bearer = shlex.quote(f"Authorization: Bearer {token}") if token else TOKEN
    return f"curl -i{verb} {shlex.quote(address)} \\\n  -H {bearer}"


def token_command() -> str:
    """How a program turns its API token into a five-minute token for the edge."""
    return (
        f"TOKEN=$(curl -s {settings.SALLYPORT_URL}/oauth/token \\\n"
        "  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\\n"
        "  -d subject_token_type=urn:ietf:params:oauth:token-type:access_token \\\n"
        "  -d subject_token=$SALLYPORT_TOKEN | sed 's/.*\"access_token\": *\"\\([^\"]*\\)\".*/\\1/')"
    )
