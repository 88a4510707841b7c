"""Traffic rules as they are asked for: read, with every impossible wish refused; kept; held against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db import connection

from apps.access import refusals
from apps.access.models import AccessRequest, Grant
from apps.access.states import LIVE_GRANTS, RequestState
from apps.compiler import graph
from apps.compiler.traffic import EVERYBODY, HEADERS, WHOLE, Breaker, TrafficRule, clashes
from apps.compiler.traffic_words import outcome_words, wish_words
from apps.compiler.words import listed
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.access.asks import Target
    from apps.identity.models import Subject

PROPOSED = "proposed"
LONGEST_VALUE = 200
MOST_CALLS = 100_000
MOST_ERRORS, LONGEST_REST = 100, 600
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_NAMES = {name.lower(): name for name in HEADERS}
_RULES = 7_238_115
"""The advisory lock, one per service, under which rules are weighed against each other and become true."""


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


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule that is in force or asked for, and the request it comes from."""

    request: str
    rule: TrafficRule
    is_asked: bool


def list_standing(service_id: int, environment_id: int) -> list[Standing]:
    """What stands on a service: rules in force, and those that wait for an answer."""
    where = {"service": service_id, "environment": environment_id, "treatment__isnull": False}
    live = Grant.objects.filter(**where, state__in=LIVE_GRANTS).select_related("subject", "service", "request")
    asked = AccessRequest.objects.filter(**where, state=RequestState.PENDING).select_related("subject", "service")
    return [
        *(_standing(row, row.request.public_id, False) for row in live.prefetch_related("routes") if row.request),
        *(_standing(row, row.public_id, True) for row in asked.prefetch_related("routes").order_by("pk")),
    ]


def _standing(row: Grant | AccessRequest, request: str, is_asked: bool) -> Standing:
    rule = Wish.from_json(row.treatment or {}).rule(
        row.public_id,
        subject=row.subject.key,
        service=row.service.slug,
        routes=frozenset(route.key for route in row.routes.all()),
        points=frozenset(map(graph.Point, row.points)),
    )
    return Standing(request, rule, is_asked)


def proposed_rule(
    wish: Wish, subject: Subject, target: Target, *, starts_at: int = 0, ends_at: int | None = None
) -> TrafficRule:
    return wish.rule(
        PROPOSED,
        subject=subject.key,
        service=target.service.slug,
        routes=target.route_keys,
        points=target.graph_points,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def contradictions(
    subject: Subject, target: Target, *, own: str = "", with_asked: bool = True
) -> Iterator[refusals.TrafficConflict]:
    """One refusal for each rule that the wish contradicts, with both shown. ``own`` is the request that is weighed."""
    if target.wish is None:
        return
    wanted = proposed_rule(target.wish, subject, target)
    others = [
        one
        for one in list_standing(target.service.pk, target.environment.pk)
        if one.request != own and (with_asked or not one.is_asked)
    ]
    if not others:
        return
    named = {rule.subject for rule in (wanted, *(one.rule for one in others))} - {EVERYBODY}
    people = identity.graph_subjects(named)
    shown = graph.AccessGraph(subjects=people, services={target.service.slug: target.shape})
    for other in others:
        differences = clashes(wanted, other.rule, people)
        if differences:
            yield _conflict(shown, wanted, other, differences)


def _conflict(
    shown: graph.AccessGraph, wanted: TrafficRule, other: Standing, differences: tuple[str, ...]
) -> refusals.TrafficConflict:
    mine, theirs = wish_words(shown, wanted), wish_words(shown, other.rule)
    state = "is asked for already" if other.is_asked else "is in force"
    return refusals.TrafficConflict(
        f"You ask that {mine}, but it {state} that {theirs}: {listed(differences)}. End or withdraw that one first.",
        extra={
            "asked": mine,
            "other": theirs,
            "request": other.request,
            "in_force": not other.is_asked,
            "differences": list(differences),
        },
    )


def hold_rules(service_id: int) -> None:
    """Until the transaction ends nobody else weighs rules of this service, so of two that clash one comes first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_RULES, service_id])
