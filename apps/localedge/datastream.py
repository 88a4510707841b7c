"""DataStream 2: streams of log lines, configured here and delivered by the data plane.

A stream is saved only when its endpoint takes a sample request, and delivers while it is active and the property that
is live names it. What is secret in a destination is taken and never given back.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import cast

import orjson
import requests

from apps.localedge.config import Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import PROPERTY_ID, Clock, iso
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request, Route, route

BASE = "/datastream-config-api/v2"
SAMPLE_SECONDS = 5.0
FIELDS: Mapping[int, tuple[str, str, str]] = {
    999: ("streamId", "Stream ID", "Log information"),
    1002: ("reqId", "Request ID", "Log information"),
    1008: ("statusCode", "HTTP status code", "Message exchange data"),
    1011: ("reqHost", "Request host", "Message exchange data"),
    1012: ("reqMethod", "Request method", "Message exchange data"),
    1013: ("reqPath", "Request path", "Message exchange data"),
    1066: ("edgeIP", "Edge IP", "Other"),
    1082: ("customField", "Custom field", "Other"),
    1100: ("reqTimeSec", "Request time", "Log information"),
    1102: ("turnAroundTimeMSec", "Turn around time", "Network performance data"),
}
"""Those this edge can fill, by id: the key in a line, the name and the group."""
_UNSEEN = ("userName", "password", "clientKey", "clientCert", "caCert")
_MOVING = {"ACTIVATING": "ACTIVATED", "DEACTIVATING": "DEACTIVATED"}

Facts = Mapping[str, Json]


class DataStream:
    """What became of an activation is found out when somebody asks, or when the data plane is told what to deliver."""

    def __init__(self, *, config: Config, database: Database, now: Clock) -> None:
        self._config = config
        self._database = database
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        one = f"{BASE}/log/streams/{{stream_id}}"
        return (
            route("GET", f"{BASE}/log/datasets-fields", self.list_fields),
            route("GET", f"{BASE}/log/streams", self.list_streams),
            route("POST", f"{BASE}/log/streams", self.create),
            route("GET", one, self.get_stream),
            route("PUT", one, self.replace),
            route("DELETE", one, self.delete),
            route("POST", f"{one}/activate", self.activate),
            route("POST", f"{one}/deactivate", self.deactivate),
        )

    def list_fields(self, _request: Request) -> Answer:
        fields: list[Json] = [
            {**_field(number), "datasetFieldDescription": FIELDS[number][1], "datasetFieldGroup": FIELDS[number][2]}
            for number in FIELDS
        ]
        return Answer.json({"datasetFields": fields})

    def list_streams(self, request: Request) -> Answer:
        group = request.query("groupId")
        rows = [self._detail(row) for row in self.rows()]
        hidden = ("datasetFields", "deliveryConfiguration", "destination", "notificationEmails", "collectMidgress")
        return Answer.json(
            [
                {name: value for name, value in row.items() if name not in hidden}
                for row in rows
                if group is None or str(row["groupId"]) == group
            ]
        )

    def create(self, request: Request) -> Answer:
        body = request.json()
        _require(body, ("streamName", "groupId", "contractId", "properties", "datasetFields", "destination"))
        if any(self._config_of(row)["streamName"] == body["streamName"] for row in self.rows()):
            raise stream_problem(400, "A stream of this name exists already.")
        _try_out(cast("Facts", body["destination"]))
        at, status = self._now(), "ACTIVATING" if _asks_to_activate(request) else "INACTIVE"
        number = self._database.run(
            "INSERT INTO streams (version, config, status, since, created_by, created_at, modified_by, modified_at)"
            " VALUES (1,?,?,?,?,?,?,?)",
            *(orjson.dumps(body).decode(), status, at, request.actor, at, request.actor, at),
        )
        return Answer.json(self._detail(self._row(str(number))), 201)

    def get_stream(self, _request: Request, stream_id: str) -> Answer:
        return Answer.json(self._detail(self._row(stream_id)))

    def replace(self, request: Request, stream_id: str) -> Answer:
        """A new version. An active stream has to be activated again in the same call."""
        body = request.json()
        _require(body, ("streamName", "contractId", "properties", "datasetFields", "destination"))
        row = self._row(stream_id)
        if row["status"] in _MOVING:
            raise stream_problem(400, f"The stream is {row.text('status')}; wait until it is not.")
        if row["status"] == "ACTIVATED" and not _asks_to_activate(request):
            raise stream_problem(400, "An active stream is edited with activate=true.")
        _try_out(cast("Facts", body["destination"]))
        kept = {**self._config_of(row), **body}
        at, status = self._now(), "ACTIVATING" if _asks_to_activate(request) else row.text("status")
        self._database.run(
            "UPDATE streams SET version=version+1, config=?, status=?, since=?, modified_by=?, modified_at=?"
            " WHERE id=?",
            *(orjson.dumps(kept).decode(), status, at, request.actor, at, row["id"]),
        )
        return Answer.json(self._detail(self._row(stream_id)))

    def activate(self, request: Request, stream_id: str) -> Answer:
        return self._move(request, stream_id, ("INACTIVE", "DEACTIVATED"), "ACTIVATING")

    def deactivate(self, request: Request, stream_id: str) -> Answer:
        return self._move(request, stream_id, ("ACTIVATED",), "DEACTIVATING")

    def delete(self, _request: Request, stream_id: str) -> Answer:
        row = self._row(stream_id)
        if row["status"] not in ("INACTIVE", "DEACTIVATED"):
            raise stream_problem(400, f"The stream is {row.text('status')}; deactivate it first.")
        self._database.run("DELETE FROM streams WHERE id=?", row["id"])
        return Answer(204)

    def _move(self, request: Request, stream_id: str, origins: tuple[str, ...], to: str) -> Answer:
        row = self._row(stream_id)
        if row["status"] not in origins:
            raise stream_problem(400, f"The stream is {row.text('status')}.")
        at = self._now()
        sql = "UPDATE streams SET status=?, since=?, modified_by=?, modified_at=? WHERE id=?"
        self._database.run(sql, to, at, request.actor, at, row["id"])
        return Answer.json(self._detail(self._row(stream_id)))

    # What the data plane is told

    def delivering(self, stream_ids: list[str], template: str) -> list[Json]:
        """The active ones among those a property names. ``template`` fills the custom field."""
        rows = [row for row in self.rows() if row["status"] == "ACTIVATED" and str(row["id"]) in stream_ids]
        return [self._delivery(row, template) for row in rows]

    def _delivery(self, row: Row, template: str) -> Json:
        config = self._config_of(row)
        destination = cast("Facts", config["destination"])
        delivery = cast("Mapping[str, Mapping[str, Json]]", config["deliveryConfiguration"])
        fields = [cast("Facts", one)["datasetFieldId"] for one in cast("list[Json]", config["datasetFields"])]
        return {
            "id": row.integer("id"),
            "url": destination["endpoint"],
            "headers": dict(_headers(destination)),
            "gzip": bool(destination.get("compressLogs")),
            "intervalMs": cast("int", delivery["frequency"]["intervalInSeconds"]) * 1000 * self._config.stream_pace,
            "keys": [FIELDS[cast("int", number)][0] for number in fields if number in FIELDS],
            "customField": template,
        }

    # Rows

    def rows(self) -> list[Row]:
        self._settle()
        return self._database.all("SELECT * FROM streams ORDER BY id")

    def _row(self, stream_id: str) -> Row:
        for row in self.rows():
            if str(row["id"]) == stream_id:
                return row
        raise stream_problem(404, "There is no such stream.")

    def _settle(self) -> None:
        delay = self._config.activation_delay["PRODUCTION"]
        for moving, settled in _MOVING.items():
            sql = "UPDATE streams SET status=?, since=since+? WHERE status=? AND since<=?"
            self._database.run(sql, settled, delay, moving, self._now() - delay)

    def _config_of(self, row: Row) -> dict[str, Json]:
        return cast("dict[str, Json]", orjson.loads(row.text("config")))

    def _detail(self, row: Row) -> dict[str, Json]:
        config = self._config_of(row)
        destination = cast("Facts", config["destination"])
        shown = {name: value for name, value in destination.items() if name not in _UNSEEN}
        fields = [cast("Facts", one)["datasetFieldId"] for one in cast("list[Json]", config["datasetFields"])]
        return {
            "streamId": row.integer("id"),
            "streamName": config["streamName"],
            "streamVersion": row.integer("version"),
            "latestVersion": row.integer("version"),
            "streamStatus": row.text("status"),
            "contractId": config["contractId"],
            "groupId": config["groupId"],
            "productId": "Fresca",
            "collectMidgress": bool(config.get("collectMidgress")),
            "notificationEmails": config.get("notificationEmails") or [],
            "properties": [{"propertyId": PROPERTY_ID, "propertyName": self._config.properties[PROPERTY_ID].name}],
            "datasetFields": [_field(cast("int", number)) for number in fields],
            "deliveryConfiguration": config["deliveryConfiguration"],
            "destination": {"compressLogs": False, **shown},
            "createdBy": row.text("created_by"),
            "createdDate": iso(row.real("created_at")),
            "modifiedBy": row.text("modified_by"),
            "modifiedDate": iso(row.real("modified_at")),
        }


def _field(number: int) -> dict[str, Json]:
    key, name, _group = FIELDS[number]
    return {"datasetFieldId": number, "datasetFieldName": name, "datasetFieldJsonKey": key}


def _asks_to_activate(request: Request) -> bool:
    return request.query("activate") == "true"


def _require(body: Facts, names: tuple[str, ...]) -> None:
    missing = [name for name in (*names, "deliveryConfiguration") if body.get(name) in (None, [], "")]
    if missing:
        raise stream_problem(400, f"These are needed: {', '.join(missing)}.")
    if cast("Facts", body["destination"]).get("destinationType") != "HTTPS":
        raise stream_problem(400, "This edge delivers to HTTPS destinations only.")
    numbers = [cast("Facts", one).get("datasetFieldId") for one in cast("list[Json]", body["datasetFields"])]
    unknown = [str(number) for number in numbers if number not in FIELDS]
    if unknown:
        raise stream_problem(400, f"Unknown data set fields: {', '.join(unknown)}.")
    owned = [cast("Facts", one).get("propertyId") for one in cast("list[Json]", body["properties"])]
    if owned != [PROPERTY_ID]:
        raise stream_problem(400, "The properties are not in this account.")


def _headers(destination: Facts) -> Mapping[str, Json]:
    """Those of every delivery."""
    headers: dict[str, Json] = {"content-type": str(destination.get("contentType") or "application/json")}
    if destination.get("authenticationType") == "BASIC":
        pair = f"{destination.get('userName', '')}:{destination.get('password', '')}".encode()
        headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    if destination.get("customHeaderName"):
        headers[str(destination["customHeaderName"])] = str(destination.get("customHeaderValue", ""))
    return headers


def _try_out(destination: Facts) -> None:
    """The sample request; ours is empty. An endpoint that does not take it cannot be saved."""
    headers = {name: str(value) for name, value in _headers(destination).items()}
    try:
        answer = requests.post(
            str(destination["endpoint"]), data=b"", headers=headers, timeout=SAMPLE_SECONDS, allow_redirects=False
        )
    except (requests.RequestException, ValueError) as error:
        raise stream_problem(400, f"The endpoint does not answer: {type(error).__name__}.") from error
    if answer.status_code >= 300:
        raise stream_problem(400, f"The endpoint answered {answer.status_code} to a sample request.")


def stream_problem(status: int, detail: str) -> Problem:
    title = {400: "Bad Request", 404: "Not Found"}[status]
    body: dict[str, Json] = {
        "type": f"https://problems.luna.akamaiapis.net/datastream-config-api/{title.lower().replace(' ', '-')}",
        "title": title,
        "detail": detail,
        "instance": str(uuid.uuid4()),
        "status": status,
    }
    return Problem(status, body)
