"""Network Lists v2: lists of addresses whose every change has to name the state it was made from (``syncPoint``)."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from apps.localedge.config import NETWORKS
from apps.localedge.database import Row
from apps.localedge.edgeworkers import iso
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request, Route, route
from apps.localedge.lists_store import NETWORK, PENDING, Item, ListsStore, is_block

BASE = "/network-list/v2"
_TITLES = {400: "Bad Request", 404: "Not Found", 409: "Conflict"}


def problem(status: int, detail: str) -> Problem:
    kind = _TITLES[status].upper().replace(" ", "-")
    body: dict[str, Json] = {
        "type": f"https://problems.luna.akamaiapis.net/network-lists/error-types/{kind}",
        "title": _TITLES[status],
        "status": status,
        "detail": detail,
    }
    return Problem(status, body)


class NetworkLists:
    def __init__(self, *, store: ListsStore) -> None:
        self._store = store

    def routes(self) -> tuple[Route, ...]:
        one = f"{BASE}/network-lists/{{list_id}}"
        return (
            route("GET", f"{BASE}/network-lists", self.list_all),
            route("POST", f"{BASE}/network-lists", self.create),
            route("GET", one, self.get),
            route("PUT", one, self.update),
            route("POST", f"{one}/append", self.append),
            route("PUT", f"{one}/elements", self.add_element),
            route("DELETE", f"{one}/elements", self.remove_element),
            route("POST", f"{one}/environments/{{network}}/activate", self.activate),
            route("GET", f"{one}/environments/{{network}}/status", self.status),
        )

    def list_all(self, request: Request) -> Answer:
        search, kind = (request.query("search") or "").lower(), request.query("listType")
        rows = self._store.all(NETWORK) if kind in (None, "IP") else []
        found = [row for row in rows if self._matches(row, search)]
        with_items, extended = request.query("includeElements") == "true", request.query("extended") == "true"
        return Answer.json({"networkLists": [self._json(row, with_items, extended) for row in found]})

    def _matches(self, row: Row, search: str) -> bool:
        values = [str(item["value"]) for item in self._store.items(row)]
        return any(search in text.lower() for text in (str(_facts(row)["name"]), *values))

    def create(self, request: Request) -> Answer:
        body = request.json()
        if not body.get("name") or body.get("type") != "IP":
            raise problem(400, "name and type must be given; this edge knows lists of addresses only")
        kept = {name: body[name] for name in ("name", "description", "contractId", "groupId") if name in body}
        row = self._store.create(NETWORK, kept, _items(body), request.actor)
        return Answer.json(self._json(row, True, True), 201)

    def get(self, request: Request, list_id: str) -> Answer:
        with_items = request.query("includeElements") != "false"
        return Answer.json(self._json(self._row(list_id), with_items, request.query("extended") == "true"))

    def update(self, request: Request, list_id: str) -> Answer:
        body = request.json()
        with self._store.writing():
            row = self._row(list_id)
            if body.get("syncPoint") != row["version"]:
                raise problem(409, f"The list is at syncPoint {row.integer('version')}, not {body.get('syncPoint')}.")
            row = self._store.change(row, _items(body), request.actor)
        return Answer.json(self._json(row, True, True))

    def append(self, request: Request, list_id: str) -> Answer:
        return Answer.json(self._change(request, list_id, add=_items(request.json())), 202)

    def add_element(self, request: Request, list_id: str) -> Answer:
        return Answer.json(self._change(request, list_id, add=_items({"list": [request.query("element")]})))

    def remove_element(self, request: Request, list_id: str) -> Answer:
        return Answer.json(self._change(request, list_id, remove=request.query("element")))

    def _change(
        self, request: Request, list_id: str, *, add: list[Item] | None = None, remove: str | None = None
    ) -> Json:
        with self._store.writing():
            row = self._row(list_id)
            held = {str(item["value"]): item for item in self._store.items(row) if item["value"] != remove}
            held |= {str(item["value"]): item for item in add or ()}
            row = self._store.change(row, list(held.values()), request.actor)
        return self._json(row, True, True)

    def activate(self, request: Request, list_id: str, network: str) -> Answer:
        body = request.json() if request.body else {}
        with self._store.writing():
            row = self._row(list_id)
            _require_network(network)
            if self._store.standing(row, network).status == PENDING:
                raise problem(400, f"An activation of {list_id} on {network} is pending already.")
            self._store.activate(row, network, {"comments": body.get("comments", "")}, request.actor)
        return Answer.json(self._status(row, network))

    def status(self, _request: Request, list_id: str, network: str) -> Answer:
        _require_network(network)
        return Answer.json(self._status(self._row(list_id), network))

    def _row(self, list_id: str) -> Row:
        row = self._store.find(NETWORK, list_id)
        if row is None:
            raise problem(404, f"There is no network list {list_id}.")
        return row

    def _status(self, row: Row, network: str) -> Json:
        """``syncPoint`` is the one that is, or becomes, active."""
        standing = self._store.standing(row, network)
        latest = standing.activation
        facts: dict[str, Json] = {
            "activationStatus": standing.status,
            "syncPoint": row.integer("version") if latest is None else latest.integer("version"),
            "uniqueId": row.text("id"),
        }
        if latest is not None:
            comments = orjson.loads(latest.text("facts")).get("comments") or ""
            facts |= {"activationId": latest.integer("number"), "activationComments": comments, "fast": True}
        return facts

    def _json(self, row: Row, with_items: bool, extended: bool) -> Json:
        items: list[Json] = [item["value"] for item in self._store.items(row)]
        facts: dict[str, Json] = {
            **_facts(row),
            "uniqueId": row.text("id"),
            "type": "IP",
            "syncPoint": row.integer("version"),
            "elementCount": len(items),
            "networkListType": "networkListResponse",
            "readOnly": False,
            "shared": False,
        }
        if with_items:
            facts["list"] = items
        if extended:
            facts |= {
                "createDate": iso(row.real("created_at")),
                "createdBy": row.text("created_by"),
                "updateDate": iso(row.real("updated_at")),
                "updatedBy": row.text("updated_by"),
                **{f"{one.lower()}ActivationStatus": self._store.standing(row, one).status for one in NETWORKS},
            }
        return facts


def _facts(row: Row) -> dict[str, Json]:
    return dict(orjson.loads(row.text("facts")))


def _items(body: Mapping[str, Json]) -> list[Item]:
    """Each value once, as it was written."""
    values = body.get("list")
    if not isinstance(values, list) or not all(is_block(value) for value in values):
        raise problem(400, "list must hold addresses and blocks")
    return [{"value": str(value)} for value in dict.fromkeys(map(str, values))]


def _require_network(network: str) -> None:
    if network not in NETWORKS:
        raise problem(404, f"There is no environment {network}.")
