"""What an Akamai account may still do: counted here before it is spent, and corrected by what Akamai says.

Each allowance is one row, locked while it is asked, so that workers and consoles that share the database cannot
overspend together. Nothing is given back: a call that failed may have been counted all the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction

from apps.rollout.drivers.akamai.heard import Heard
from apps.rollout.drivers.base import Leave
from apps.rollout.models import Allowance, Target

DOCUMENTED, LIMITS, HEADER, REFUSAL = "documented", "limits", "header", "refusal"
OWN = "own"
"""Nothing is published, so it is our own."""
PROPERTY_ACTIVATIONS = "properties.day"
LIMITS_ARE_FRESH = timedelta(hours=24)
LATE = 5.0
"""Seconds by which an activation or upload may reach Akamai after it was allowed here, and the next still count."""


@dataclass(frozen=True, slots=True)
class Kind:
    """``default`` is the documented limit for ``seconds``; ``limit_id`` is its name at Akamai.

    ``source``: where the default is from; "own" is a limit of ours, where Akamai tells none. ``share``: how much of it
    is used. Writes are counted when a batch begins, so two batches may fall into one second.
    """

    code: str
    label: str
    seconds: float
    default: int
    limit_id: str = ""
    share: float = 1.0
    source: str = DOCUMENTED


_PER_NETWORK = "activation-per-network-per-minute-limit"

KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind("activations.STAGING", "Activations on staging, a minute", 60, 20, _PER_NETWORK),
        Kind(
            "activations.PRODUCTION",
            "Activations on production, a minute",
            60,
            20,
            _PER_NETWORK,
        ),
        Kind("activations.day", "Activations, a day", 86_400, 500, "activation-per-day-limit"),
        Kind("versions", "Code versions, a minute", 60, 20, "version-per-minute-limit"),
        Kind("edgekv", "EdgeKV writes, a second", 1, 73, "", 0.5),
        Kind("lists", "Address list activations, an hour (our own limit)", 3600, 30, source=OWN),
        Kind(PROPERTY_ACTIVATIONS, "Property activations, a day", 86_400, 20, source=OWN),
    )
}


@dataclass(frozen=True, slots=True)
class Meter:
    """An allowance for the page. ``resets_at`` is when all of it is free again; None when it is."""

    label: str
    used: int
    limit: int
    resets_at: datetime | None
    source: str

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)

    @property
    def high(self) -> int:
        """From here on it is nearly used up."""
        return int(self.limit * 0.8)


class AccountBudget:
    """The driver's view of it, from one moment on: on a busy machine a step may take its time before it spends."""

    def __init__(self, target: Target, at: datetime) -> None:
        self._account, self._at, self._began = account_of(target), at, time.monotonic()
        self._defaults = _defaults(target)

    def activation(self, network: str) -> Leave:
        return self._take([f"activations.{network}", "activations.day"], 1)

    def version(self) -> Leave:
        return self._take(["versions"], 1)

    def writes(self, wanted: int) -> Leave:
        return self._take(["edgekv"], wanted)

    def list_activation(self) -> Leave:
        return self._take(["lists"], 1)

    def property_activation(self) -> Leave:
        """Each is a change of what the whole property does, so they are few."""
        return self._take([PROPERTY_ACTIVATIONS], 1)

    def _take(self, codes: Sequence[str], wanted: int) -> Leave:
        at, late = self._at + timedelta(seconds=time.monotonic() - self._began), 0.0 if "edgekv" in codes else LATE
        return take(account=self._account, codes=codes, wanted=wanted, at=at, defaults=self._defaults, late=late)


def account_of(target: Target) -> str:
    """Limits are the account's; until Akamai has named it, the API client's address stands for it."""
    return str(target.facts.get("account_id") or target.config["base_url"])


def _defaults(target: Target) -> Mapping[str, int]:
    settings = {"edgekv": "edgekv_hits_per_second", "lists": "list_activations_per_hour"}
    return {kind: int(target.config[name]) for kind, name in settings.items() if target.config.get(name)}


def take(
    *,
    account: str,
    codes: Sequence[str],
    wanted: int,
    at: datetime,
    defaults: Mapping[str, int] | None = None,
    late: float = 0.0,
) -> Leave:
    """Spend as much as every one of these allowances has room for, up to ``wanted``; an even number of writes.

    ``late``: it may count at Akamai up to so many seconds later than here.
    """
    with transaction.atomic():
        rows = _locked(account, codes, defaults or {})
        room = min(_room(row, at) for row in rows)
        granted = min(room, wanted)
        if len(codes) == 1 and codes[0] == "edgekv":
            granted -= granted % 2
        for row in rows:
            row.spent = [*_recent(row, at), *([[at.timestamp() + late, granted]] if granted else [])]
            row.save(update_fields=["spent"])
        if granted == wanted:
            return Leave(granted)
        tight = max(rows, key=lambda row: _free_at(row, at))
    wait = max((_free_at(tight, at) - at).total_seconds(), 0.05)
    return Leave(granted, wait, _why(tight, at + timedelta(seconds=wait)))


def _locked(account: str, codes: Sequence[str], defaults: Mapping[str, int]) -> list[Allowance]:
    missing = [
        Allowance(account=account, kind=code, limit=defaults.get(code, KINDS[code].default), source=KINDS[code].source)
        for code in codes
    ]
    Allowance.objects.bulk_create(missing, ignore_conflicts=True)
    rows = list(Allowance.objects.select_for_update().filter(account=account, kind__in=codes).order_by("kind"))
    for row in rows:
        if row.source == KINDS[row.kind].source and defaults.get(row.kind, row.limit) != row.limit:
            row.limit = defaults[row.kind]
            row.save(update_fields=["limit"])
    return rows


def _recent(row: Allowance, at: datetime) -> list[list[float]]:
    since = at.timestamp() - KINDS[row.kind].seconds
    return [one for one in row.spent if one[0] > since]


def _usable(row: Allowance) -> int:
    """Never nothing, or an unlucky limit would stop all work for good."""
    return max(int(row.limit * KINDS[row.kind].share), 2 if row.kind == "edgekv" else 1)


def _used(row: Allowance, at: datetime) -> int:
    return int(sum(one[1] for one in _recent(row, at)))


def _room(row: Allowance, at: datetime) -> int:
    if row.closed_until is not None and row.closed_until > at:
        return 0
    return max(_usable(row) - _used(row, at), 0)


def _free_at(row: Allowance, at: datetime) -> datetime:
    """When there is room for one more (for two writes)."""
    free = at if row.closed_until is None else max(row.closed_until, at)
    need = _used(row, at) + (2 if row.kind == "edgekv" else 1) - _usable(row)
    for moment, amount in _recent(row, at):
        if need <= 0:
            break
        need -= int(amount)
        free = max(free, datetime.fromtimestamp(moment + KINDS[row.kind].seconds, UTC))
    return free


def _why(row: Allowance, until: datetime) -> str:
    kind = KINDS[row.kind]
    return f"{kind.label}: {_usable(row)} are used up. Sallyport goes on at {until:%H:%M:%S} UTC; nothing is lost."


def hear(*, target: Target, heard: Sequence[Heard], at: datetime) -> None:
    """Believe what Akamai's answers said of the limits: headers, and refusals for too many calls."""
    for one in heard:
        codes = [kind.code for kind in KINDS.values() if one.concerns(kind.code, kind.limit_id)]
        with transaction.atomic():
            for row in _locked(account_of(target), codes, _defaults(target)):
                _believe(row, one, at)


def _believe(row: Allowance, one: Heard, at: datetime) -> None:
    row.spent, row.heard_at = _recent(row, at), at
    if one.limit is not None:
        row.limit, row.source = one.limit, REFUSAL if one.refused else HEADER
    if one.remaining is not None:
        elsewhere = row.limit - one.remaining - _used(row, at)
        if elsewhere > 0:
            row.spent.append([at.timestamp(), elsewhere])
    if one.refused:
        window = KINDS[row.kind].seconds if KINDS[row.kind].seconds <= 60 else 60.0
        row.closed_until = at + timedelta(seconds=one.seconds if one.seconds is not None else window)
    row.save(update_fields=["limit", "source", "spent", "closed_until", "heard_at"])


def learn_limits(*, target: Target, limits: Mapping[str, int], at: datetime) -> None:
    """Take over what ``GET /limits`` answered."""
    account = account_of(target)
    with transaction.atomic():
        for row in _locked(account, list(KINDS), _defaults(target)):
            known = limits.get(KINDS[row.kind].limit_id)
            if known is not None:
                row.limit, row.source = known, LIMITS
            row.heard_at = at
            row.save(update_fields=["limit", "source", "heard_at"])


def limits_are_fresh(target: Target, at: datetime) -> bool:
    rows = Allowance.objects.filter(account=account_of(target), kind="versions", heard_at__gt=at - LIMITS_ARE_FRESH)
    return rows.exists()


def meters(target: Target, at: datetime) -> list[Meter]:
    """One query. What was never asked for is shown with its documented limit."""
    defaults = _defaults(target)
    rows = {row.kind: row for row in Allowance.objects.filter(account=account_of(target))}
    return [_meter(rows.get(code) or _unasked(kind, defaults), at) for code, kind in KINDS.items()]


def _unasked(kind: Kind, defaults: Mapping[str, int]) -> Allowance:
    return Allowance(kind=kind.code, limit=defaults.get(kind.code, kind.default), source=kind.source)


def room(target: Target, code: str, at: datetime) -> int:
    """How much is left of one allowance now. One query."""
    row = Allowance.objects.filter(account=account_of(target), kind=code).first()
    return _room(row or _unasked(KINDS[code], _defaults(target)), at)


def _meter(row: Allowance, at: datetime) -> Meter:
    recent = _recent(row, at)
    ends = [datetime.fromtimestamp(recent[-1][0] + KINDS[row.kind].seconds, UTC)] if recent else []
    if row.closed_until is not None and row.closed_until > at:
        ends.append(row.closed_until)
    used = _usable(row) if row.closed_until is not None and row.closed_until > at else _used(row, at)
    return Meter(KINDS[row.kind].label, used, _usable(row), max(ends, default=None), row.source)
