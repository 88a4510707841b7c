"""One call out of what several points said about it. Pure, and the same whatever the order of the lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from apps.telemetry.events import Event
from apps.telemetry.models import POINTS

Doors: TypeAlias = dict[str, dict[str, Any]]

_INSIDE_OUT = tuple(reversed(POINTS))


def door_of(event: Event) -> dict[str, Any]:
    """What a point said, as it is stored; empty fields are left out."""
    said = {
        "at": event.at.isoformat(timespec="microseconds"),
        "verdict": event.verdict,
        "reason": event.reason,
        "status": event.status,
        "ms": event.ms,
        "node": event.node,
        "subject": event.subject,
        "actor": event.actor,
        "peer": event.peer,
        "service": event.service,
        "route": event.route,
        "method": event.method,
        "path": event.path,
        "host": event.host,
        "grants": list(event.grants),
        "variant": event.variant,
        "rules": list(event.rules),
        "probe": event.probe,
    }
    return {name: value for name, value in said.items() if value not in ("", [], False)}


def join(doors: Mapping[str, Mapping[str, Any]], events: Iterable[Event]) -> Doors:
    """The doors with the events added. Of two lines from one point the later wins; of two at once, always the same."""
    joined: Doors = {point: dict(said) for point, said in doors.items()}
    for event in events:
        said = door_of(event)
        known = joined.get(event.point)
        if known is None or _weight(said) > _weight(known):
            joined[event.point] = said
    return joined


def _weight(said: Mapping[str, Any]) -> tuple[str, str, str]:
    """Later, then denied rather than allowed, then anything that is always the same."""
    return (said["at"], said["verdict"], repr(sorted(said.items())))


def columns(doors: Doors) -> dict[str, Any]:
    """The columns of a call. The innermost point knows best what was called, the outermost who called from where."""
    outside_in = [doors[point] for point in POINTS if point in doors]
    inside_out = [doors[point] for point in _INSIDE_OUT if point in doors]
    decisive = next((said for said in outside_in if said["verdict"] == "deny"), outside_in[0])
    return {
        "first_at": min(said["at"] for said in outside_in),
        "subject": _first(outside_in, "subject"),
        "host": _first(outside_in, "host"),
        "service": _first(inside_out, "service"),
        "route": _first(inside_out, "route"),
        "method": _first(inside_out, "method"),
        "path": _first(inside_out, "path"),
        "verdict": decisive["verdict"],
        "reason": decisive["reason"],
        "status": outside_in[0].get("status", 0),
        "ms": outside_in[0].get("ms", 0.0),
        "probe": any(said.get("probe", False) for said in outside_in),
        "grants": list(dict.fromkeys(grant for said in outside_in for grant in said.get("grants", ()))),
        "doors": doors,
    }


def _first(said: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((one[name] for one in said if one.get(name)), "")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def calls_of_agents(calls: Iterable[Doors]) -> dict[tuple[str, datetime], int]:
    """How many calls a door let each agent make, by minute, for itself or for somebody.

    Only those that were let through: a name in a forged token spends no budget.
    """
    counted: Counter[tuple[str, datetime]] = Counter()
    for doors in calls:
        found = columns(doors)
        if found["probe"] or not any(said["verdict"] == "allow" for said in doors.values()):
            continue
        who = {found["subject"], *(said.get("actor", "") for said in doors.values())}
        minute = datetime.fromisoformat(found["first_at"])
        counted.update((name, minute) for name in who if name.startswith("agent:"))
    return dict(counted)


def uses_of(events: Iterable[Event]) -> dict[tuple[str, str], datetime]:
    """When each grant last let one of these calls through, by the route it took. Probes use nothing."""
    found: dict[tuple[str, str], datetime] = {}
    for event in events:
        if event.verdict == "allow" and not event.probe:
            for grant in event.grants:
                key = (grant, event.route)
                found[key] = max(event.at, found.get(key, event.at))
    return found
