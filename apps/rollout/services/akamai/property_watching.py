"""Reading back the properties our rule is live in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.property import Property, PropertyDriver
from apps.rollout.drivers.akamai.watch import HOSTS_LEFT, UNCHECKED, Fault, faults, names
from apps.rollout.models import Drift, PropertyChange, Target
from apps.rollout.services.akamai import attaching
from apps.rollout.services.akamai.attached import attached
from apps.rollout.services.driving import akamai_api

EVERY = timedelta(minutes=10)
PREFIX, READ_AT = "property/", "properties_read_at"


def is_due(target: Target, at: datetime, *, anyhow: bool = False) -> bool:
    """Not while one is being changed; and rarely, since these calls are limited too."""
    if attaching.is_under_way(target):
        return False
    last = target.facts.get(READ_AT)
    return anyhow or last is None or datetime.fromisoformat(str(last)) <= at - EVERY


def read(target: Target) -> dict[str, Fault]:
    """What is not as it should be, by path. Raises VendorError."""
    by_property: defaultdict[str, list[PropertyChange]] = defaultdict(list)
    for change in attaching.attached(target):
        by_property[str(change.found["id"])].append(change)
    if not by_property:
        return {}
    with closing(akamai_api(target)) as api, as_documented():
        return {
            f"{PREFIX}{changes[0].found['name']}/{fault.what}": fault
            for changes in by_property.values()
            for fault in _of_property(target, PropertyDriver(api), changes)
        }


def _of_property(target: Target, driver: PropertyDriver, changes: list[PropertyChange]) -> Iterator[Fault]:
    known = changes[0].found
    found: Property = driver.get(str(known["id"]), str(known["contract_id"]), str(known["group_id"]))
    hosts = tuple(sorted(change.hostname for change in changes))
    if found.production is None:
        yield Fault("rule", f"{found.name} is not live on production.", "live", "not live", UNCHECKED, opens=True)
        return
    held = driver.hostnames(found, found.production)
    served = [host for host in hosts if host in held]
    if left := [host for host in hosts if host not in served]:
        detail = f"{found.name} no longer serves {', '.join(left)}: whatever serves it now does not run our rule."
        yield Fault(HOSTS_LEFT, detail, names(hosts), names(served), UNCHECKED, opens=True)
    yield from faults(driver.rules(found, found.production).rules, attached(target, hosts, found.id))


def change_of(target: Target, drift: Drift) -> PropertyChange | None:
    """One of the changes that brought our rule into the property a drift is of: that of a host which left it."""
    name, _, what = drift.path.removeprefix(PREFIX).rpartition("/")
    there = [one for one in attaching.attached(target) if one.found["name"] == name]
    if what == HOSTS_LEFT:
        there = [one for one in there if one.hostname not in drift.observed.split(", ")]
    return next(iter(there), None)
