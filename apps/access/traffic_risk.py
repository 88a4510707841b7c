"""The risk of a traffic rule in words. It opens nothing; what it can do is break calls, for few or for many."""

from __future__ import annotations

from collections.abc import Iterator

from apps.access.risk import LONG_SECONDS, READS, Cause, Exposure, Risk, from_service, summed
from apps.access.wishes import Wish
from apps.compiler.graph import WHOLE, SubjectKind
from apps.compiler.words import listed

FEW_PERCENT = 10


def assess_rule(what: Exposure, wish: Wish) -> Risk:
    return summed((*from_service(what), *_from_outcome(what, wish), *_from_reach(what, wish)))


def _from_outcome(what: Exposure, wish: Wish) -> Iterator[Cause]:
    writes = sorted(frozenset[str]().union(*(route.methods for route in what.routes)) - READS)
    if wish.variant and writes:
        yield Cause(2, f"Calls that change things ({', '.join(writes)}) are answered by another version.")
    elif wish.variant:
        yield Cause(1, "Another version answers.")
    headers = [name for name, _ in wish.set_headers] + list(wish.remove_headers)
    if headers:
        yield Cause(1, f"The application sees {listed(sorted(headers))} as the rule has it, not as it was sent.")
    if wish.calls_per_minute is not None:
        yield Cause(1, f"Whoever makes more than {wish.calls_per_minute} calls a minute is turned away.")
    if wish.breaker is not None:
        yield Cause(1, f"Everybody it is about is turned away {wish.breaker.words}, whoever met them.")


def _from_reach(what: Exposure, wish: Wish) -> Iterator[Cause]:
    if wish.everybody:
        all_of_them = wish.percent > FEW_PERCENT
        yield Cause(2 if all_of_them else 1, f"It is about {_share(wish)}everybody who calls.")
    elif what.subject_kind is SubjectKind.TEAM:
        yield Cause(1, f"It is about {_share(wish)}a team: {what.people} {'person' if what.people == 1 else 'people'}.")
    if what.duration > LONG_SECONDS:
        yield Cause(1, f"It lasts {what.duration // LONG_SECONDS} days or more.")


def _share(wish: Wish) -> str:
    return "" if wish.percent >= WHOLE else f"{wish.percent} % of "
