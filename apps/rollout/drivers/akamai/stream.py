"""DataStream 2: one stream of log lines for a property, delivered to this console over HTTPS.

Akamai's API description is of version 2. Whether a stream delivers is its status: INACTIVE, ACTIVATING, ACTIVATED,
DEACTIVATING or DEACTIVATED. Saving one makes Akamai send a sample request to the endpoint, which has to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.rollout.drivers.akamai.api import AkamaiApi
from apps.rollout.drivers.base import VendorError

DATASTREAM = "/datastream-config-api/v2"
STREAMS = f"{DATASTREAM}/log/streams"
ACTIVATED, INACTIVE, DEACTIVATED = "ACTIVATED", "INACTIVE", "DEACTIVATED"
MOVING = frozenset({"ACTIVATING", "DEACTIVATING"})
INTERVAL_SECONDS = 30
FIELDS = (999, 1002, 1008, 1011, 1012, 1013, 1066, 1082, 1100, 1102)
"""Stream, request id, status, host, method, path, edge address, our custom field, time and duration.

Neither the caller's address nor query, cookies and user agent: nobody here needs them.
"""


class ForeignStream(VendorError):
    """A stream of our name delivers elsewhere than over HTTPS: somebody else made it, so it is not touched."""


@dataclass(frozen=True, slots=True)
class StreamWish:
    """``password`` is the shared secret the receiver asks for."""

    name: str
    group_id: int
    contract_id: str
    property_id: int
    emails: tuple[str, ...]
    endpoint: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stream:
    """As Akamai shows it; secrets are never shown. ``endpoint`` is None where only a list was read."""

    id: int
    name: str
    version: int
    status: str
    properties: tuple[int, ...]
    endpoint: str | None = None
    fields: tuple[int, ...] = ()

    def serves(self, wish: StreamWish) -> bool:
        """Whether it does what is wished, as far as that can be seen."""
        return (
            self.endpoint == wish.endpoint
            and self.properties == (wish.property_id,)
            and set(self.fields) == set(FIELDS)
        )


class StreamDriver:
    def __init__(self, api: AkamaiApi) -> None:
        self._api = api

    def find(self, name: str) -> Stream | None:
        """By its name, which is unique in the account. Raises ForeignStream."""
        rows = self._api.get_json(STREAMS)
        found = next((row for row in rows if row["streamName"] == name), None)
        return self.get(int(found["streamId"])) if found else None

    def get(self, stream_id: int) -> Stream | None:
        """None when it was deleted. Raises ForeignStream."""
        row = self._api.find_json(f"{STREAMS}/{stream_id}")
        return _stream(row) if row is not None else None

    def create(self, wish: StreamWish) -> Stream:
        """Active as soon as Akamai has spread it."""
        body = stream_body(wish)
        return _stream(self._api.call("POST", STREAMS, params={"activate": "true"}, json=body).json())

    def replace(self, stream_id: int, wish: StreamWish) -> Stream:
        """A new version, activated at once: an active stream takes no other."""
        path, body = f"{STREAMS}/{stream_id}", _body(wish)
        return _stream(self._api.call("PUT", path, params={"activate": "true"}, json=body).json())

    def activate(self, stream_id: int) -> Stream:
        return _stream(self._api.call("POST", f"{STREAMS}/{stream_id}/activate").json())

    def deactivate(self, stream_id: int) -> Stream:
        return _stream(self._api.call("POST", f"{STREAMS}/{stream_id}/deactivate").json())

    def delete(self, stream_id: int) -> None:
        """For good. Akamai refuses while it is active."""
        self._api.delete(f"{STREAMS}/{stream_id}")


def stream_body(wish: StreamWish) -> dict[str, Any]:
    """A stream as it is made."""
    return {"groupId": wish.group_id, **_body(wish)}


def _body(wish: StreamWish) -> dict[str, object]:
    return {
        "streamName": wish.name,
        "contractId": wish.contract_id,
        "properties": [{"propertyId": wish.property_id}],
        "datasetFields": [{"datasetFieldId": number} for number in FIELDS],
        "deliveryConfiguration": {"format": "JSON", "frequency": {"intervalInSeconds": INTERVAL_SECONDS}},
        "notificationEmails": list(wish.emails),
        "collectMidgress": False,
        "destination": {
            "destinationType": "HTTPS",
            "displayName": wish.name,
            "endpoint": wish.endpoint,
            "authenticationType": "BASIC",
            "userName": wish.user,
            "password": wish.password,
            "compressLogs": True,
            "contentType": "application/json",
        },
    }


def _stream(row: Mapping[str, Any]) -> Stream:
    destination = row.get("destination") or {}
    if destination.get("destinationType", "HTTPS") != "HTTPS":
        words = f"the stream {row['streamName']} delivers to {destination['destinationType']}; it is not ours"
        raise ForeignStream(f"{STREAMS}/{row['streamId']}", 409, words)
    return Stream(
        id=int(row["streamId"]),
        name=str(row["streamName"]),
        version=int(row["streamVersion"]),
        status=str(row["streamStatus"]),
        properties=tuple(int(one["propertyId"]) for one in row["properties"]),
        endpoint=destination.get("endpoint"),
        fields=tuple(int(one["datasetFieldId"]) for one in row.get("datasetFields", ())),
    )
