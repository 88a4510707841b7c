"""Bringing lists of addresses to where access says they should be, proving it, and seeing who else changed them.

Level-triggered like everything here: a run looks at what the vendor holds and takes the next step, so it may be killed
anywhere and called by anybody. What is activated is never more than what was approved: entries that somebody else added
go out in the same write as a change of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from apps.access import selectors as access
from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import NotFound, Refusal
from apps.compiler import address_lists as policy
from apps.rollout.drivers.akamai import lists as vendor
from apps.rollout.drivers.akamai.api import STAGING, AkamaiApi
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.preflight import MISSING
from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import AddressList, Delivery, DriverName, Preflight, Target
from apps.rollout.services.akamai.budgets import AccountBudget
from apps.rollout.services.akamai.list_proofs import asked_still, conclude
from apps.rollout.services.driving import akamai_api, is_here
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.putting_off import claim, pause

POLL = timedelta(seconds=5)
SOON = timedelta(seconds=0.2)
WAIT_DETACHED = timedelta(minutes=1)
MOST_EVENTS = 30
FOREIGN = "Nobody here put this on the list."

Clock = Callable[[], datetime]


class NothingStrange(Refusal):
    code = "nothing_to_put_back"
    default_message = "The list holds what it should."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What access says of one list at one moment."""

    graph: policy.AddressGraph
    items: tuple[policy.Item, ...]
    guarded: bool = True

    @property
    def digest(self) -> str:
        parts = [f"{item.value} {item.ends_at} {' '.join(item.grants)}" for item in self.items]
        told = "\n".join(parts) if self.guarded else "guarded no longer"
        return hashlib.sha256(told.encode()).hexdigest()


def wanted_of(row: AddressList, at: datetime) -> Wanted:
    return wanted_in(access.address_graph(environment_slug=row.target.environment.slug, at=at), row.host, at)


def wanted_in(graph: policy.AddressGraph, host: str, at: datetime) -> Wanted:
    return Wanted(graph, policy.items(graph, host, int(at.timestamp())), host in graph.hosts)


def ensure(at: datetime) -> None:
    """A row for each guarded host at the edge of its environment. Nothing is made at the vendor yet."""
    hosts = list(access.list_guarded_hosts())
    if not hosts:
        return
    edges = {
        one.environment_id: one for one in Target.objects.filter(driver=DriverName.AKAMAI, delivery=Delivery.DIRECT)
    }
    known = set(AddressList.objects.values_list("target", "host"))
    missing = [
        AddressList(target=edges[one.environment_id], host=one.host, retry_at=at, created_at=at)
        for one in hosts
        if one.environment_id in edges and (edges[one.environment_id].pk, one.host) not in known
    ]
    AddressList.objects.bulk_create(missing, ignore_conflicts=True)


def due(at: datetime) -> list[int]:
    """Lists with a step to take now: something differs from what was last proven, or a door waits."""
    ensure(at)
    rows = list(AddressList.objects.filter(retry_at__lte=at).select_related("target__environment").order_by("pk"))
    graphs: dict[str, policy.AddressGraph] = {}
    found = []
    for row in rows:
        slug = row.target.environment.slug
        if slug not in graphs:
            graphs[slug] = access.address_graph(environment_slug=slug, at=at)
        wanted = wanted_in(graphs[slug], row.host, at)
        if row.put_back or row.settled != wanted.digest or _doors_wait(row):
            found.append(row.pk)
    return found


def _doors_wait(row: AddressList) -> bool:
    return access.list_address_doors(environment_slug=row.target.environment.slug, host=row.host).exists()


def run(*, list_id: int, clock: Clock) -> bool:
    """Take the step that is due. False when there is none, or somebody else is at it."""
    row = claim(AddressList.objects.select_related("target__environment"), list_id, clock())
    if row is None:
        return False
    try:
        with closing(akamai_api(row.target)) as api, as_documented():
            _step(row, vendor.lists_of(row.product, api) if row.product else _choose(row, api), api, clock)
    except VendorError as error:
        _put_off(row, error, clock())
    return True


def owner_of(row: AddressList) -> vendor.Owner:
    return vendor.Owner(row.target.slug, row.host)


def _choose(row: AddressList, api: AkamaiApi) -> vendor.Lists:
    """As the newest finished preflight says, client lists first; without one, by asking."""
    newest = Preflight.objects.filter(target=row.target).exclude(finished_at=None).order_by("-pk").first()
    names = {"Client lists": vendor.CLIENT, "Network lists": vendor.NETWORK}
    findings = newest.findings if newest else []
    lacking = {names[one["name"]] for one in findings if one["name"] in names and one["verdict"] == MISSING}
    return vendor.choose(api, owner_of(row), frozenset(lacking))


def _step(row: AddressList, lists: vendor.Lists, api: AkamaiApi, clock: Clock) -> None:
    wanted = wanted_of(row, clock())
    held = _held(row, lists, api) if wanted.guarded else _left(row, lists)
    if held is None:
        _end(row, clock())
        return
    if not wanted.guarded and held.items and _is_asked_still(row, held, clock):
        return
    plan = policy.plan(held.items, wanted.items, slack=access.SLACK, keeps_ends=lists.keeps_ends)
    if not plan.is_empty:
        _note_foreign(row, plan, clock())
        lists.change(held, owner_of(row), plan)
        _note_change(row, plan, wanted, clock())
        return
    _note_put_back(row, clock())
    row.version, row.entries, row.strange, row.put_back = held.version, _shown(wanted.items), [], False
    if all(_is_live(row, lists, held, network, clock) for network in vendor.NETWORKS):
        _settle(row, lists, held, wanted, clock)


def _held(row: AddressList, lists: vendor.Lists, api: AkamaiApi) -> vendor.Held:
    """The list as it is; made, or found again, when there is none. One that was deleted is made anew."""
    held = lists.read(row.list_id) if row.list_id else None
    if held is None:
        group, contract = int(row.target.config["group_id"]), str(row.target.config.get("contract_id", ""))
        place = vendor.ContractFinder(api).place(group, contract)
        held = vendor.find_or_make(lists, owner_of(row), place)
        row.product, row.list_id, row.version = lists.product, held.id, held.version
        AddressList.objects.filter(pk=row.pk).update(product=row.product, list_id=row.list_id, version=row.version)
    return held


def _left(row: AddressList, lists: vendor.Lists) -> vendor.Held | None:
    """The list of a host that is guarded no longer, if it was ever made."""
    held = lists.read(row.list_id) if row.list_id else lists.find(owner_of(row))
    if held is not None:
        row.list_id, row.product = held.id, lists.product
    return held


def _is_asked_still(row: AddressList, held: vendor.Held, clock: Clock) -> bool:
    """Whether the edge was seen to go by the list. Emptied, it would close the host to everybody, so that waits."""
    words = asked_still(row, held.items)
    if words:
        _save(row, words, words, clock() + WAIT_DETACHED)
    return bool(words)


def _end(row: AddressList, at: datetime) -> None:
    """Nobody keeps the list any more. What is left of it at the vendor holds nothing."""
    with transaction.atomic():
        after = {"host": row.host, "list": row.list_id}
        record_target("list.ended", row.target, actor=SYSTEM, at=at, after=after)
        row.delete()
        tell_pages()


def _note_foreign(row: AddressList, plan: policy.ItemPlan, at: datetime) -> None:
    """What somebody else added and we are about to take out. Before we do: afterwards nobody could tell."""
    ours = {one["value"] for one in row.entries}
    known = set(_foreign(row.strange))
    found = sorted(value for value in plan.deletes if value not in ours | known)
    if not found:
        return
    row.strange = [*row.strange, *({"value": value, "what": FOREIGN} for value in found)]
    with transaction.atomic():
        record_target("list.drifted", row.target, actor=SYSTEM, at=at, after=_told(row, "found", row.strange))
        AddressList.objects.filter(pk=row.pk).update(strange=row.strange)


def _note_change(row: AddressList, plan: policy.ItemPlan, wanted: Wanted, at: datetime) -> None:
    """What was written; and on the record what of it somebody else had done."""
    counts = f"{len(plan.appends)} added, {len(plan.updates)} changed, {len(plan.deletes)} taken out."
    with transaction.atomic():
        _note_put_back(row, at)
        row.entries, row.strange, row.put_back, row.settled = _shown(wanted.items), [], False, ""
        _save(row, f"The list was brought up to date: {counts}", "It goes live next.", at + SOON)


def _note_put_back(row: AddressList, at: datetime) -> None:
    """Also when we died after the write: the list is right again, and what was strange about it is still here."""
    foreign = _foreign(row.strange)
    if not foreign:
        return
    with transaction.atomic():
        record_target("list.put_back", row.target, actor=SYSTEM, at=at, after=_told(row, "removed", foreign))
        AddressList.objects.filter(pk=row.pk).update(strange=[])
    row.strange = []


def _foreign(strange: Iterable[Mapping[str, str]]) -> list[str]:
    return sorted(one["value"] for one in strange if one["what"] == FOREIGN)


def _told(row: AddressList, name: str, what: object) -> dict[str, object]:
    return {"host": row.host, "list": row.list_id, name: what}


def _is_live(row: AddressList, lists: vendor.Lists, held: vendor.Held, network: str, clock: Clock) -> bool:
    """True when this state of the list is live on the network; else the step towards that was taken."""
    standing = lists.standing(held.id, network)
    _note_standing(row, network, standing)
    if standing.is_live(held.version):
        return True
    name = network.lower()
    if standing.status == vendor.PENDING:
        _save(row, "", f"Version {standing.version} is going live on {name}.", clock() + _poll(row.target))
    elif standing.status == vendor.FAILED and standing.activation != row.failed_activation:
        row.failed_activation = standing.activation
        raise VendorError("Activation", 0, f"of version {standing.version} on {name} failed", kind="failed")
    else:
        _activate(row, lists, held, network, clock)
    return False


def _poll(target: Target) -> timedelta:
    """A local edge is asked more often; it is quick, and nobody counts."""
    return SOON if is_here(target) else POLL


def _note_standing(row: AddressList, network: str, standing: vendor.Standing) -> None:
    if network == STAGING:
        row.staging, row.staging_version = standing.status, standing.version
    else:
        row.production, row.production_version = standing.status, standing.version


def _activate(row: AddressList, lists: vendor.Lists, held: vendor.Held, network: str, clock: Clock) -> None:
    leave = AccountBudget(row.target, clock()).list_activation()
    if not leave.granted:
        _save(row, "", leave.why, clock() + timedelta(seconds=leave.wait))
        return
    lists.activate(held.id, network, f"Sallyport: {len(held.items)} entries")
    text = f"Version {held.version} is being activated on {network.lower()}."
    _save(row, text, text, clock() + _poll(row.target))


def _settle(row: AddressList, lists: vendor.Lists, held: vendor.Held, wanted: Wanted, clock: Clock) -> None:
    """It says it is live: read it back, ask the doors, and draw the conclusions."""
    again = lists.read(held.id)
    if again is None or again.version != held.version:
        _save(row, "", "The list was changed meanwhile; it is read again.", clock() + SOON)
        return
    at = clock()
    conclusion = conclude(row, again.items, wanted.graph, at)
    row.enforced = conclusion.enforced
    if not wanted.guarded and not conclusion.trouble:
        _end(row, at)
        return
    if conclusion.trouble:
        row.attempts += 1
        row.error = conclusion.trouble
        row.checked_at = at
        _save(row, conclusion.trouble, "", at + pause(row.attempts), error=conclusion.trouble)
        return
    row.settled, row.settled_at, row.checked_at, row.attempts = wanted.digest, at, at, 0
    _save(row, f"Version {held.version} is live on production, and read back.", "", at)


def _put_off(row: AddressList, error: VendorError, at: datetime) -> None:
    """Tried again later and later, as long as the list differs. Doors say what they wait for."""
    own = isinstance(error, vendor.ListNotOurs | vendor.ListMoved) or error.kind == "failed"
    words = str(error) if own else explain(error)
    row.attempts += 1
    moved = isinstance(error, vendor.ListMoved)
    wait = timedelta(seconds=error.retry_after or 0.0) if moved else pause(row.attempts, error.retry_after)
    _save(row, words, "", at + wait, error=words)


def _save(row: AddressList, event: str, waiting: str, until: datetime, *, error: str = "") -> None:
    if event and (not row.events or row.events[-1]["text"] != event):
        row.events = [*row.events, {"text": event}][-MOST_EVENTS:]
    row.waiting_for, row.error, row.retry_at = waiting, error, until
    with transaction.atomic():
        row.save()
        tell_pages()


def _shown(items: Iterable[policy.Item]) -> list[dict[str, object]]:
    return [{"value": item.value, "ends_at": item.ends_at, "grants": list(item.grants)} for item in items]


# -- drift -------------------------------------------------------------------------------------------------------------
def observe_all(*, at: datetime) -> None:
    for row in AddressList.objects.exclude(list_id="").select_related("target__environment").order_by("pk"):
        observe(row=row, at=at)


def observe(*, row: AddressList, at: datetime) -> int | None:
    """Compare a list that was settled with what it should hold; how many differences. None when it cannot be told."""
    wanted = wanted_of(row, at)
    if row.settled != wanted.digest:
        return None
    try:
        strange = _compare(row, wanted)
    except VendorError as error:
        AddressList.objects.filter(pk=row.pk).update(error=explain(error))
        return None
    with transaction.atomic():
        fresh = AddressList.objects.select_for_update().get(pk=row.pk)
        if fresh.settled != row.settled:
            return None
        if strange and not fresh.strange:
            after = {"host": row.host, "list": row.list_id, "found": strange}
            record_target("list.drifted", row.target, actor=SYSTEM, at=at, after=after)
        fresh.strange, fresh.checked_at, fresh.error = strange, at, ""
        fresh.save(update_fields=["strange", "checked_at", "error"])
        tell_pages()
    return len(strange)


def _compare(row: AddressList, wanted: Wanted) -> list[dict[str, str]]:
    with closing(akamai_api(row.target)) as api, as_documented():
        lists = vendor.lists_of(row.product, api)
        held = lists.read(row.list_id)
        if held is None:
            return [{"value": row.list_id, "what": "The list is gone."}]
        standings = [(network, lists.standing(row.list_id, network)) for network in vendor.NETWORKS]
        plan = policy.plan(held.items, wanted.items, slack=access.SLACK, keeps_ends=lists.keeps_ends)
        return [*_differences(plan), *_not_live(standings, held)]


def _differences(plan: policy.ItemPlan) -> list[dict[str, str]]:
    found = [{"value": value, "what": FOREIGN} for value in plan.deletes]
    found += [{"value": item.value, "what": "It was taken off the list."} for item in plan.appends]
    return found + [{"value": item.value, "what": "Its end was changed."} for item in plan.updates]


def _not_live(standings: Sequence[tuple[str, vendor.Standing]], held: vendor.Held) -> list[dict[str, str]]:
    return [
        {"value": network.lower(), "what": f"Version {held.version} is not what is live: {_in_words(standing.status)}."}
        for network, standing in standings
        if not standing.is_live(held.version)
    ]


def _in_words(status: str) -> str:
    return {
        vendor.ACTIVE: "another one is",
        vendor.PENDING: "an activation is on its way",
        vendor.FAILED: "its activation failed",
    }.get(status, f"Akamai says {status}")


def put_back(*, slug: str, list_id: int, actor: Actor, at: datetime) -> AddressList:
    """Have the list hold again what it should. A worker does it."""
    with transaction.atomic():
        row = AddressList.objects.select_for_update(of=("self",)).select_related("target").filter(pk=list_id).first()
        if row is None or row.target.slug != slug:
            raise NotFound
        if not row.strange:
            raise NothingStrange
        row.put_back, row.retry_at = True, at
        row.save(update_fields=["put_back", "retry_at"])
        after: Mapping[str, object] = {"host": row.host, "list": row.list_id, "found": row.strange}
        record_target("list.put_back_asked", row.target, actor=actor, at=at, after=after)
        tell_pages()
    return row


def of_target(target: Target) -> QuerySet[AddressList]:
    return AddressList.objects.filter(target=target).order_by("host")
