"""What is wished to become of calls: read from an ask, with every impossible wish refused, and kept with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apps.access import refusals
from apps.compiler import graph
from apps.compiler.graph import WHOLE, Breaker, TrafficRule
from apps.compiler.traffic import EVERYBODY, HEADERS
from apps.compiler.traffic_words import outcome_words
from apps.compiler.words import listed

LONGEST_VALUE = 200
MOST_CALLS = 100_000
MOST_ERRORS, LONGEST_REST = 100, 600
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_NAMES = {name.lower(): name for name in HEADERS}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a rule does, for whom beside the subject of the ask, and to how many of them."""

    everybody: bool = False
    percent: int = WHOLE
    variant: str = ""
    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    calls_per_minute: int | None = None
    breaker: Breaker | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "everybody": self.everybody,
            "percent": self.percent,
            "variant": self.variant,
            "set_headers": dict(self.set_headers),
            "remove_headers": list(self.remove_headers),
            "calls_per_minute": self.calls_per_minute,
            "breaker": None if self.breaker is None else self.breaker._asdict(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Wish:
        return cls(
            everybody=stored["everybody"],
            percent=stored["percent"],
            variant=stored["variant"],
            set_headers=tuple(sorted(stored["set_headers"].items())),
            remove_headers=tuple(stored["remove_headers"]),
            calls_per_minute=stored["calls_per_minute"],
            breaker=Breaker(**stored["breaker"]) if stored.get("breaker") else None,
        )

    def rule(
        self,
        rule_id: str,
        *,
        subject: str,
        service: str,
        routes: frozenset[str],
        points: frozenset[graph.Point],
        starts_at: int = 0,
        ends_at: int | None = None,
    ) -> TrafficRule:
        """The compiler's view."""
        return TrafficRule(
            id=rule_id,
            subject=EVERYBODY if self.everybody else subject,
            service=service,
            routes=routes,
            points=points,
            starts_at=starts_at,
            ends_at=ends_at,
            percent=self.percent,
            variant=self.variant,
            set_headers=self.set_headers,
            remove_headers=self.remove_headers,
            calls_per_minute=self.calls_per_minute,
            breaker=self.breaker,
        )

    @property
    def outcome(self) -> str:
        """``go to v2 and carry X-Canary "on"``."""
        return outcome_words(self.rule("", subject="", service="", routes=frozenset(), points=frozenset()))


def read_wish(given: Mapping[str, Any], shape: graph.Service, points: tuple[str, ...]) -> Wish:
    """Raises BadTreatment, with a complaint beside each input that makes no sense for this service and these doors."""
    complaints: dict[str, list[str]] = {}
    wish = Wish(
        everybody=bool(given.get("everybody")),
        percent=_number(given, "percent", WHOLE, 1, WHOLE, complaints) or WHOLE,
        variant=str(given.get("variant") or "").strip(),
        set_headers=tuple(_set_headers(given.get("set_headers") or {}, complaints)),
        remove_headers=tuple(sorted({_header(str(n), "remove_headers", complaints) for n in _some(given)})),
        calls_per_minute=_number(given, "calls_per_minute", None, 1, MOST_CALLS, complaints),
        breaker=_breaker(given.get("breaker"), complaints),
    )
    for field, complaint in _misfits(wish, shape, points):
        complaints.setdefault(field, []).append(complaint)
    if complaints:
        first = next(iter(complaints.values()))[0]
        raise refusals.BadTreatment(first, fields=complaints)
    return wish


def _some(given: Mapping[str, Any]) -> list[Any]:
    return list(given.get("remove_headers") or ())


def _number(
    given: Mapping[str, Any], field: str, usual: int | None, least: int, most: int, complaints: dict[str, list[str]]
) -> int | None:
    value = given.get(field)
    if value in (None, ""):
        return usual
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        complaints.setdefault(field, []).append(f"Give a whole number from {least} to {most}.")
        return usual
    return int(text)


def _breaker(given: object, complaints: dict[str, list[str]]) -> Breaker | None:
    """Both numbers or neither: half a breaker breaks nothing."""
    if not isinstance(given, Mapping) or all(given.get(name) in (None, "") for name in Breaker._fields):
        return None
    wrong: dict[str, list[str]] = {}
    errors = _number(given, "errors", None, 1, MOST_ERRORS, wrong)
    seconds = _number(given, "seconds", None, 1, LONGEST_REST, wrong)
    if errors is None or seconds is None:
        complaint = f"Give errors from 1 to {MOST_ERRORS} and seconds from 1 to {LONGEST_REST}, both whole numbers."
        complaints.setdefault("breaker", []).append(complaint)
        return None
    return Breaker(errors, seconds)


def _set_headers(wanted: Mapping[str, Any], complaints: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    for written, value in sorted(wanted.items()):
        name, text = _header(str(written), "set_headers", complaints), str(value).strip()
        if len(text) > LONGEST_VALUE or not _VALUE.fullmatch(text):
            complaint = f"Give {name} a value of at most {LONGEST_VALUE} plain letters, digits and signs."
            complaints.setdefault("set_headers", []).append(complaint)
        yield name, text


def _header(written: str, field: str, complaints: dict[str, list[str]]) -> str:
    name = _NAMES.get(written.strip().lower())
    if name is None:
        complaint = f"A rule may not touch {written.strip()[:60] or 'a header without a name'}, only {listed(HEADERS)}."
        complaints.setdefault(field, []).append(complaint)
    return name or written.strip()


def _misfits(wish: Wish, shape: graph.Service, points: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if shape.is_tcp:
        yield "treatment", f"{shape.name} is plain TCP, and a traffic rule is about calls."
        return
    names = [variant.name for variant in shape.variants]
    if wish.variant and wish.variant not in names:
        has = f"it has {listed(names)} beside the usual one" if names else "it has only the usual one here"
        yield "variant", f"{shape.name} has no version {wish.variant}; {has}."
    twice = sorted(dict(wish.set_headers).keys() & set(wish.remove_headers))
    if twice:
        yield "remove_headers", f"{listed(twice)} cannot be set and removed at once."
    if wish.calls_per_minute is not None and "mesh" not in points:
        yield "calls_per_minute", "Only the mesh door can count calls; include it."
    if wish.breaker is not None and "mesh" not in points:
        yield "breaker", "Only the mesh door sees how a service answers; include it."
    if replace(wish, everybody=False, percent=WHOLE) == Wish():
        yield "treatment", "Say what the rule does: another version, a header, a limit, or a breaker."
