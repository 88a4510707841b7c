"""Client Lists v1: the newer product, whose entries may end by themselves.

Nothing is published about this API but Akamai's own clients, from which these shapes are: every answer carries the
fields those read. An entry whose ``expirationDate`` is past counts no longer, active or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson

from apps.localedge.config import NETWORKS
from apps.localedge.database import Row
from apps.localedge.edgeworkers import iso
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request, Route, route
from apps.localedge.lists_store import ACTIVE, CLIENT, INACTIVE, PENDING, Item, ListsStore, Standing, is_block

BASE = "/client-list/v1"
_TITLES = {400: "Bad Request", 404: "Not Found", 409: "Conflict"}


def problem(status: int, detail: str) -> Problem:
    kind = _TITLES[status].upper().replace(" ", "-")
    body: dict[str, Json] = {
        "type": f"https://problems.luna.akamaiapis.net/client-list/error-types/{kind}",
        "title": _TITLES[status],
        "detail": detail,
        "status": status,
    }
    return Problem(status, body)


class ClientLists:
    def __init__(self, *, store: ListsStore) -> None:
        self._store = store

    def routes(self) -> tuple[Route, ...]:
        one = f"{BASE}/lists/{{list_id}}"
        return (
            route("GET", f"{BASE}/lists", self.list_all),
            route("POST", f"{BASE}/lists", self.create),
            route("GET", one, self.get),
            route("POST", f"{one}/items", self.change_items),
            route("POST", f"{one}/activations", self.activate),
            route("GET", f"{one}/environments/{{network}}/status", self.status),
        )

    def list_all(self, request: Request) -> Answer:
        wanted, with_items = request.query("name"), request.query("includeItems") == "true"
        rows = [row for row in self._store.all(CLIENT) if wanted is None or wanted in str(_facts(row)["name"])]
        return Answer.json({"content": [self._json(row, with_items) for row in rows]})

    def create(self, request: Request) -> Answer:
        body = request.json()
        if not body.get("name") or body.get("type") != "IP":
            raise problem(400, "name and type must be given; this edge knows lists of addresses only")
        names = ("name", "notes", "tags", "contractId", "groupId")
        kept = {name: body[name] for name in names if body.get(name) is not None}
        items = [self._item(raw, 0, request.actor) for raw in _objects(body.get("items"))]
        row = self._store.create(CLIENT, kept, items, request.actor)
        return Answer.json(self._json(row, True), 201)

    def get(self, request: Request, list_id: str) -> Answer:
        return Answer.json(self._json(self._row(list_id), request.query("includeItems") == "true"))

    def change_items(self, request: Request, list_id: str) -> Answer:
        """All or nothing: what is appended must be new, what is updated or deleted must be there."""
        body = request.json()
        with self._store.writing():
            row = self._row(list_id)
            version = row.integer("version") + 1
            held = {str(item["value"]): item for item in self._store.items(row)}
            deleted = [held.pop(_known(raw, held)) for raw in _objects(body.get("delete"))]
            updated = [self._updated(raw, held, version, request.actor) for raw in _objects(body.get("update"))]
            appended = [self._appended(raw, held, version, request.actor) for raw in _objects(body.get("append"))]
            row = self._store.change(row, list(held.values()), request.actor)
        standings = self._standings(row)
        answer: dict[str, Json] = {
            name: [_shown(item, standings) for item in items]
            for name, items in (("appended", appended), ("updated", updated), ("deleted", deleted))
        }
        return Answer.json(answer)

    def _updated(self, raw: Mapping[str, Json], held: dict[str, Item], version: int, actor: str) -> Item:
        value = _known(raw, held)
        held[value] = {**held[value], **self._item(raw, version, actor)}
        return held[value]

    def _appended(self, raw: Mapping[str, Json], held: dict[str, Item], version: int, actor: str) -> Item:
        item = self._item(raw, version, actor)
        if str(item["value"]) in held:
            raise problem(400, f"{item['value']} is on the list already.")
        held[str(item["value"])] = item
        return item

    def _item(self, raw: Mapping[str, Json], version: int, actor: str) -> Item:
        ends = str(raw.get("expirationDate") or "")
        if not is_block(raw.get("value")) or not _is_future(ends, self._store.now()):
            raise problem(
                400, f"{raw.get('value')}: a value must be an address or a block, and its end must be to come"
            )
        at = iso(self._store.now())
        return {
            "value": str(raw["value"]),
            "description": str(raw.get("description") or ""),
            "tags": raw.get("tags") or [],
            "expirationDate": ends,
            "type": "IP",
            "createDate": at,
            "createdBy": actor,
            "createdVersion": version,
            "updateDate": at,
            "updatedBy": actor,
        }

    def activate(self, request: Request, list_id: str) -> Answer:
        body = request.json()
        network = str(body.get("network"))
        if network not in NETWORKS or body.get("action") != "ACTIVATE":
            raise problem(400, "action and network must be given; this edge only activates")
        with self._store.writing():
            row = self._row(list_id)
            if self._store.standing(row, network).status == PENDING:
                raise problem(400, f"An activation of {list_id} on {network} is pending already.")
            names = ("comments", "notificationRecipients", "siebelTicketId")
            kept = {name: body[name] for name in names if body.get(name) is not None}
            self._store.activate(row, network, kept, request.actor)
        return Answer.json(self._status(row, network))

    def status(self, _request: Request, list_id: str, network: str) -> Answer:
        if network not in NETWORKS:
            raise problem(404, f"There is no environment {network}.")
        return Answer.json(self._status(self._row(list_id), network))

    def _row(self, list_id: str) -> Row:
        row = self._store.find(CLIENT, list_id)
        if row is None:
            raise problem(404, f"Client list with uid {list_id} not found")
        return row

    def _status(self, row: Row, network: str) -> Json:
        standing = self._store.standing(row, network)
        latest = standing.activation
        facts: dict[str, Json] = {"listId": row.text("id"), "network": network, "activationStatus": standing.status}
        if latest is None:
            return facts
        said = orjson.loads(latest.text("facts"))
        return {
            **facts,
            "action": "ACTIVATE",
            "activationId": latest.integer("number"),
            "version": latest.integer("version"),
            "comments": said.get("comments", ""),
            "notificationRecipients": said.get("notificationRecipients", []),
            "siebelTicketId": said.get("siebelTicketId", ""),
            "createDate": iso(latest.real("submitted_at")),
            "createdBy": latest.text("created_by"),
        }

    def _standings(self, row: Row) -> dict[str, Standing]:
        return {network: self._store.standing(row, network) for network in NETWORKS}

    def _json(self, row: Row, with_items: bool) -> Json:
        facts, items, standings = _facts(row), self._store.items(row), self._standings(row)
        found: dict[str, Json] = {
            "name": facts["name"],
            "type": "IP",
            "notes": facts.get("notes", ""),
            "tags": facts.get("tags", []),
            "listId": row.text("id"),
            "version": row.integer("version"),
            "itemsCount": len(items),
            "createDate": iso(row.real("created_at")),
            "createdBy": row.text("created_by"),
            "updateDate": iso(row.real("updated_at")),
            "updatedBy": row.text("updated_by"),
            "listType": CLIENT,
            "shared": False,
            "readOnly": False,
            "deprecated": False,
            "contractId": facts.get("contractId", ""),
            "groupId": facts.get("groupId", 0),
            "groupName": "",
        }
        for network, standing in standings.items():
            found[f"{network.lower()}ActivationStatus"] = standing.status
            if standing.version is not None:
                found[f"{network.lower()}ActiveVersion"] = standing.version
        if with_items:
            found["items"] = [_shown(item, standings) for item in items]
        return found


def _shown(item: Item, standings: Mapping[str, Standing]) -> Json:
    """Whether an entry is live on a network: a version that holds it is."""
    created = int(str(item["createdVersion"]))
    return {
        **item,
        **{
            f"{network.lower()}Status": ACTIVE
            if standing.version is not None and standing.version >= created
            else INACTIVE
            for network, standing in standings.items()
        },
    }


def _facts(row: Row) -> dict[str, Json]:
    return dict(orjson.loads(row.text("facts")))


def _objects(raw: Json) -> list[Mapping[str, Json]]:
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise problem(400, "items must be a list of objects")
    return [one for one in raw if isinstance(one, dict)]


def _known(raw: Mapping[str, Json], held: Mapping[str, Item]) -> str:
    value = str(raw.get("value"))
    if value not in held:
        raise problem(400, f"{value} is not on the list.")
    return value


def _is_future(ends: str, now: float) -> bool:
    if not ends:
        return True
    try:
        return datetime.fromisoformat(ends).timestamp() > now
    except ValueError:
        return False
