"""The last exchanges with each directory, for whoever has to find out why something did not arrive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db.models import QuerySet

from apps.audit.chain import plain_text
from apps.identity.models import Provider, ScimExchange

KEPT = timedelta(days=7)
LONGEST = 16 * 1024
SECRET = frozenset({"password", "authorization", "token", "secret"})
REMOVED = "(removed)"
MOST = 50_000
"""Of each provider: twice what a directory of 10,000 people needs to be pushed in full."""

SWEPT_AT_ONCE = 50_000


def note_exchange(
    *,
    provider: Provider,
    method: str,
    path: str,
    status: int,
    milliseconds: int,
    request_body: bytes,
    response_body: bytes,
    at: datetime,
) -> None:
    """Headers are never kept. What was too long is cut, and says so.

    A long answer is a page or a large group of ours, which hold no secrets: it is cut without being read.
    """
    ScimExchange.objects.create(
        provider=provider,
        at=at,
        method=plain_text(method)[:10],
        path=plain_text(path)[:500],
        status=status,
        milliseconds=milliseconds,
        request_body=_shown(request_body),
        response_body=_cut(response_body.decode()) if len(response_body) > LONGEST else _shown(response_body),
    )


def _shown(body: bytes) -> str:
    if not body:
        return ""
    if len(body) > 16 * LONGEST:
        return f"({len(body)} bytes, too many to keep)"
    try:
        text = orjson.dumps(_without_secrets(orjson.loads(body))).decode()
    except (ValueError, RecursionError):
        return f"({len(body)} bytes that are not JSON)"
    return _cut(plain_text(text))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters in all)"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(str(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value


def _hidden(key: str, item: Any) -> Any:
    return REMOVED if key.lower().rpartition(":")[2] in SECRET else _without_path_secret(key, item)


def _without_path_secret(key: str, item: Any) -> Any:
    """A PATCH names the attribute in ``path`` and holds it in ``value``."""
    if key.lower() == "operations" and isinstance(item, list):
        return [_operation(one) for one in item]
    return _without_secrets(item)


def _operation(one: Any) -> Any:
    if isinstance(one, Mapping) and str(one.get("path", "")).lower().rpartition(":")[2] in SECRET:
        return {**one, "value": REMOVED}
    return _without_secrets(one)


def forget_exchanges(*, at: datetime) -> int:
    """Take away what is older than a week, and of each provider what is beyond the newest ``MOST``.

    A bounded number at a time; returns how many.
    """
    gone = _forget(ScimExchange.objects.filter(at__lte=at - KEPT))
    for provider in Provider.objects.order_by("pk"):
        newest = ScimExchange.objects.filter(provider=provider).order_by("-pk").values_list("pk", flat=True)
        last = newest[MOST : MOST + 1].first()
        if last is not None:
            gone += _forget(ScimExchange.objects.filter(provider=provider, pk__lte=last))
    return gone


def _forget(rows: QuerySet[ScimExchange]) -> int:
    old = list(rows.order_by("pk").values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    return ScimExchange.objects.filter(pk__in=old).delete()[0]
