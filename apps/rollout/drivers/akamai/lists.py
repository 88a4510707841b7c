"""Lists of addresses at Akamai: client lists, or network lists where the account has no client lists.

One list stands for one guarded host. What it holds is read, compared, changed by its difference, activated on staging
and then on production, and read back. A list that does not carry our mark is somebody else's and is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlencode

from apps.compiler.address_lists import Item, ItemPlan
from apps.rollout.drivers.akamai.api import EDGEWORKERS, PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.akamai.calls import CLIENT_LISTS, NETWORK_LISTS
from apps.rollout.drivers.base import VendorError

CLIENT, NETWORK = "client", "network"
PRODUCTS = (CLIENT, NETWORK)
"""In order of preference: an entry of a client list ends by itself."""

ACTIVE, PENDING, FAILED = "ACTIVE", "PENDING_ACTIVATION", "FAILED"
NETWORKS = (STAGING, PRODUCTION)
LONGEST_NAME = 100
NOT_HERE = (401, 403, 404)


class ListNotOurs(VendorError):
    """A list has the name ours would have, and not our mark."""

    def __init__(self, name: str) -> None:
        super().__init__("List", 0, f"{name} is there, and is not ours: rename it, or the host cannot be guarded here")


class ListMoved(VendorError):
    """Somebody else changed the list between our reading and our writing. Read again."""

    def __init__(self, name: str) -> None:
        super().__init__("List", 409, f"{name} was changed by somebody else meanwhile", retry_after=1.0)


@dataclass(frozen=True, slots=True)
class Owner:
    """For which target and host a list is. ``mark`` is how we know our own."""

    target: str
    host: str

    @property
    def name(self) -> str:
        """One that is too long ends in what tells it from others that begin alike."""
        whole = f"sallyport-{self.target}-{self.host}"
        if len(whole) <= LONGEST_NAME:
            return whole
        return f"{whole[: LONGEST_NAME - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    @property
    def mark(self) -> str:
        return f"Kept by Sallyport for {self.host} ({self.target}). Do not edit by hand."


@dataclass(frozen=True, slots=True)
class Held:
    """A list as it is. ``version`` is the vendor's name for this state; ``items`` are values with their ends."""

    id: str
    name: str
    version: int
    items: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a list is on a network, in the vendor's words; ``version`` is that of the latest activation."""

    status: str
    version: int | None = None
    activation: int | None = None

    def is_live(self, version: int) -> bool:
        return self.status == ACTIVE and self.version == version


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new list is made."""

    group_id: int
    contract_id: str


class Lists(Protocol):
    """What either product can do. All raise VendorError."""

    product: str
    keeps_ends: bool

    def find(self, owner: Owner) -> Held | None:
        """Ours by name; raises ListNotOurs."""
        ...

    def create(self, owner: Owner, place: Place) -> Held: ...

    def read(self, list_id: str) -> Held | None: ...

    def change(self, held: Held, owner: Owner, plan: ItemPlan) -> None:
        """Bring the plan into the list; raises ListMoved."""
        ...

    def activate(self, list_id: str, network: str, note: str) -> None: ...

    def standing(self, list_id: str, network: str) -> Standing: ...


class ClientLists:
    """Client Lists v1. Changes name no state they were made from, so what is live is compared afterwards."""

    product, keeps_ends = CLIENT, True

    def __init__(self, api: AkamaiApi) -> None:
        self._api = api

    def find(self, owner: Owner) -> Held | None:
        query = urlencode({"name": owner.name, "includeItems": "true"})
        rows = self._api.get_json(f"{CLIENT_LISTS}/lists?{query}").get("content", [])
        row = next((one for one in rows if one.get("name") == owner.name), None)
        if row is None:
            return None
        if row.get("notes") != owner.mark or row.get("readOnly"):
            raise ListNotOurs(owner.name)
        return self.read(str(row["listId"]))

    def create(self, owner: Owner, place: Place) -> Held:
        made = self._api.post_json(f"{CLIENT_LISTS}/lists", client_list(owner, place))
        return Held(str(made["listId"]), owner.name, int(made["version"]))

    def read(self, list_id: str) -> Held | None:
        found = self._api.find_json(f"{CLIENT_LISTS}/lists/{list_id}?includeItems=true")
        if found is None:
            return None
        items = {str(one["value"]): _end(one.get("expirationDate")) for one in found.get("items") or ()}
        return Held(list_id, str(found["name"]), int(found["version"]), items)

    def change(self, held: Held, owner: Owner, plan: ItemPlan) -> None:
        body = {
            "append": [_payload(item, owner) for item in plan.appends],
            "update": [_payload(item, owner) for item in plan.updates],
            "delete": [{"value": value} for value in plan.deletes],
        }
        self._api.post_json(f"{CLIENT_LISTS}/lists/{held.id}/items", body)

    def activate(self, list_id: str, network: str, note: str) -> None:
        body = {"action": "ACTIVATE", "network": network, "comments": note}
        self._api.post_json(f"{CLIENT_LISTS}/lists/{list_id}/activations", body)

    def standing(self, list_id: str, network: str) -> Standing:
        found = self._api.get_json(f"{CLIENT_LISTS}/lists/{list_id}/environments/{network}/status")
        return _standing(found, "version")


class NetworkLists:
    """Network Lists v2. Entries have no ends: whoever keeps the list takes them out in time."""

    product, keeps_ends = NETWORK, False

    def __init__(self, api: AkamaiApi) -> None:
        self._api = api

    def find(self, owner: Owner) -> Held | None:
        query = urlencode({"search": owner.name, "listType": "IP"})
        rows = self._api.get_json(f"{NETWORK_LISTS}/network-lists?{query}").get("networkLists", [])
        row = next((one for one in rows if one.get("name") == owner.name), None)
        if row is None:
            return None
        if row.get("description") != owner.mark or row.get("readOnly"):
            raise ListNotOurs(owner.name)
        return self.read(str(row["uniqueId"]))

    def create(self, owner: Owner, place: Place) -> Held:
        made = self._api.post_json(f"{NETWORK_LISTS}/network-lists", network_list(owner, place))
        return Held(str(made["uniqueId"]), owner.name, int(made["syncPoint"]))

    def read(self, list_id: str) -> Held | None:
        found = self._api.find_json(f"{NETWORK_LISTS}/network-lists/{list_id}?includeElements=true")
        if found is None:
            return None
        items: dict[str, int | None] = {str(value): None for value in found.get("list") or ()}
        return Held(list_id, str(found["name"]), int(found["syncPoint"]), items)

    def change(self, held: Held, owner: Owner, plan: ItemPlan) -> None:
        gone = set(plan.deletes)
        values = [*(value for value in held.items if value not in gone), *(item.value for item in plan.appends)]
        body = {
            "name": owner.name,
            "type": "IP",
            "description": owner.mark,
            "list": sorted(values),
            "syncPoint": held.version,
        }
        try:
            self._api.put_json(f"{NETWORK_LISTS}/network-lists/{held.id}", body)
        except VendorError as error:
            if error.status == 409:
                raise ListMoved(owner.name) from error
            raise

    def activate(self, list_id: str, network: str, note: str) -> None:
        path = f"{NETWORK_LISTS}/network-lists/{list_id}/environments/{network}/activate"
        self._api.post_json(path, {"comments": note})

    def standing(self, list_id: str, network: str) -> Standing:
        found = self._api.get_json(f"{NETWORK_LISTS}/network-lists/{list_id}/environments/{network}/status")
        return _standing(found, "syncPoint")


_CLASSES: Mapping[str, type[ClientLists] | type[NetworkLists]] = {CLIENT: ClientLists, NETWORK: NetworkLists}


def lists_of(product: str, api: AkamaiApi) -> Lists:
    return _CLASSES[product](api)


def find_or_make(lists: Lists, owner: Owner, place: Place) -> Held:
    """Safe to repeat: a list made by a run that died before it was remembered is found by its name and mark."""
    return lists.find(owner) or lists.create(owner, place)


def choose(api: AkamaiApi, owner: Owner, missing: frozenset[str] = frozenset()) -> Lists:
    """The better product the account answers for; ``missing`` are those a preflight found it not to have.

    Raises what the last one said when neither answers.
    """
    candidates = [product for product in PRODUCTS if product not in missing] or list(PRODUCTS)
    for product in candidates[:-1]:
        lists = lists_of(product, api)
        try:
            lists.find(owner)
        except ListNotOurs:
            raise
        except VendorError as error:
            if error.status not in NOT_HERE:
                raise
        else:
            return lists
    return lists_of(candidates[-1], api)


class ContractFinder:
    """Where a new list goes when the target names no contract: the first one EdgeWorkers is on."""

    def __init__(self, api: AkamaiApi) -> None:
        self._api = api

    def place(self, group_id: int, contract_id: str) -> Place:
        if contract_id:
            return Place(group_id, contract_id)
        found: list[Any] = self._api.get_json(f"{EDGEWORKERS}/contracts").get("contractIds", [])
        if not found:
            raise VendorError("Contract", 0, "none is known: name one in the target's contract_id")
        return Place(group_id, str(found[0]))


def client_list(owner: Owner, place: Place, items: Iterable[Item] = ()) -> dict[str, Any]:
    """A list as it is made."""
    return {
        "name": owner.name,
        "type": "IP",
        "notes": owner.mark,
        "contractId": place.contract_id,
        "groupId": place.group_id,
        "tags": ["sallyport"],
        "items": [_payload(item, owner) for item in items],
    }


def network_list(owner: Owner, place: Place, items: Iterable[Item] = ()) -> dict[str, Any]:
    """A list as it is made."""
    return {
        "name": owner.name,
        "type": "IP",
        "description": owner.mark,
        "list": sorted(item.value for item in items),
        "contractId": place.contract_id,
        "groupId": place.group_id,
    }


def _payload(item: Item, owner: Owner) -> dict[str, object]:
    """What is said of an entry names grants and no people."""
    return {
        "value": item.value,
        "description": (f"Sallyport {', '.join(item.grants)}" if item.grants else f"Always ({owner.target})")[:255],
        "expirationDate": end_of(item),
        "tags": ["sallyport"],
    }


def end_of(item: Item) -> str:
    """When an entry stops to count, as client lists write it; empty for never."""
    if item.ends_at is None:
        return ""
    return datetime.fromtimestamp(item.ends_at, UTC).isoformat(timespec="milliseconds")


def _end(text: Any) -> int | None:
    """Rounded up, so that what we wrote compares equal; what cannot be read never ends."""
    try:
        return None if not text else int(-(-datetime.fromisoformat(str(text)).timestamp() // 1))
    except ValueError:
        return None


def _standing(found: Mapping[str, Any], version: str) -> Standing:
    numbers = (found.get(version), found.get("activationId"))
    return Standing(str(found.get("activationStatus", "")), *(None if one is None else int(one) for one in numbers))
