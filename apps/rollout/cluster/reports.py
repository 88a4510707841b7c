"""The part of a report that only an agent in a cluster makes, read with care: it came from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.access import AccessReview, Permission
from apps.rollout.services.cluster.preflight import Answer
from apps.rollout.services.cluster.sights import MOST_BEHIND, Differs, Said, Seen

MOST_DIFFERENCES, MOST_CONFLICTS, MOST_FIELDS, MOST_PERMISSIONS = 500, 500, 50, 20_000
LONGEST_PATH, LONGEST_TEXT, LONGEST_WORDS = 400, 20_000, 2000
LARGEST = 2**31 - 1


def said_in(body: Mapping[str, Any]) -> Said:
    """Raises KeyError, TypeError or ValueError for what is none."""
    return Said(
        seen=_seen(body["seen"]) if body.get("seen") is not None else None,
        trouble=_trouble(body["trouble"]) if body.get("trouble") is not None else None,
    )


def access_in(body: Mapping[str, Any]) -> Answer | None:
    """What the cluster lets its agent do, where somebody asked. Raises as ``said_in`` does."""
    told = body.get("access")
    if told is None:
        return None
    rows = [_permission(*row) for row in list(told["permissions"])[:MOST_PERMISSIONS]]
    missing = tuple(str(key)[:100] for key in list(told["missing"])[:100])
    return Answer(_number(told["preflight"]), AccessReview(str(told["version"])[:60], missing, tuple(rows)))


def _permission(namespace: object, key: object, verb: object, allowed: object, reason: object) -> Permission:
    return Permission(str(namespace)[:63], str(key)[:100], str(verb)[:20], allowed is True, str(reason)[:400])


def _seen(told: Mapping[str, Any]) -> Seen:
    differs, conflicts = (
        list(told["differs"])[:MOST_DIFFERENCES],
        list(dict(told["conflicts"]).items())[:MOST_CONFLICTS],
    )
    return Seen(
        age=timedelta(seconds=min(max(float(told["age"]), 0.0), 86_400.0)),
        order=_number(told["order"]),
        version=str(told["version"])[:60],
        held=_number(told["held"]),
        differs=[_differs(one) for one in differs],
        behind=frozenset(_path(path) for path in list(told["behind"])[:MOST_BEHIND]),
        conflicts={_path(path): [_conflict(one) for one in list(found)[:MOST_FIELDS]] for path, found in conflicts},
    )


def _differs(one: Mapping[str, Any]) -> Differs:
    text, whole = str(one["text"]), one["whole"] is True
    fits = len(text) <= LONGEST_TEXT
    return Differs(
        path=_path(one["path"]),
        wanted=str(one["wanted"])[:64],
        sha256=str(one["sha256"])[:64],
        text=text if fits else "",
        whole=whole and fits,
    )


def _conflict(one: Mapping[str, Any]) -> dict[str, str]:
    return {"manager": str(one["manager"])[:128], "field": str(one["field"])[:400]}


def _trouble(told: Mapping[str, Any]) -> VendorError:
    words = str(told["text"])[:LONGEST_WORDS]
    return VendorError("The cluster's agent", _number(told["status"]), words, kind=str(told["kind"])[:40])


def _path(value: object) -> str:
    path = str(value)
    if not path or len(path) > LONGEST_PATH or not path.isprintable():
        raise ValueError(f"{path[:LONGEST_PATH]!r} is no path of an object")
    return path


def _number(value: object) -> int:
    number = int(str(value))
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{value!r} is no number of ours")
    return number
