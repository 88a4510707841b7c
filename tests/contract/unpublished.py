"""Client Lists v1 as Akamai's own Go client sends and reads it: Akamai publishes no description of that API.

Written here from that client's structures. What it does not read is not required of an answer; what is not here is a
fault in a request.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT, WHOLE, YES_OR_NO = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
NETWORK: Schema = {"type": "string", "enum": ["STAGING", "PRODUCTION"]}
KIND: Schema = {"type": "string", "enum": ["IP", "GEO", "ASN", "TLS_FINGERPRINT", "FILE_HASH"]}
STATUS: Schema = {
    "type": "string",
    "enum": [
        "INACTIVE", "PENDING_ACTIVATION", "ACTIVE", "DEACTIVATED", "MODIFIED", "PENDING_DEACTIVATION", "FAILED",
    ],
}  # fmt: skip


def shape(required: Schema, **optional: Schema) -> Schema:
    """Of a request: nothing else may be in it."""
    properties = {"properties": {**required, **optional}, "additionalProperties": False}
    return {"type": "object", **properties, **({"required": sorted(required)} if required else {})}


def answer(required: Schema, **optional: Schema) -> Schema:
    """Of an answer: it may say more."""
    return {**shape(required, **optional), "additionalProperties": True}


ITEM = shape({"value": TEXT}, description=TEXT, tags=TEXTS, expirationDate=TEXT)
HELD = answer(
    {
        **dict.fromkeys(("value", "description", "expirationDate", "createDate", "createdBy", "updateDate"), TEXT),
        "type": KIND,
        "tags": TEXTS,
        "createdVersion": WHOLE,
        "updatedBy": TEXT,
        "stagingStatus": TEXT,
        "productionStatus": TEXT,
    }
)
LIST = answer(
    {
        **dict.fromkeys(("name", "notes", "listId", "createDate", "createdBy", "updateDate", "updatedBy"), TEXT),
        "type": KIND,
        "tags": TEXTS,
        "version": WHOLE,
        "itemsCount": WHOLE,
        "listType": TEXT,
        "stagingActivationStatus": STATUS,
        "productionActivationStatus": STATUS,
        "shared": YES_OR_NO,
        "readOnly": YES_OR_NO,
        "deprecated": YES_OR_NO,
    },
    items={"type": "array", "items": HELD},
    contractId=TEXT,
    groupId=WHOLE,
    groupName=TEXT,
    stagingActiveVersion=WHOLE,
    productionActiveVersion=WHOLE,
)
STANDING = answer(
    {"listId": TEXT, "network": NETWORK, "activationStatus": STATUS},
    **dict.fromkeys(("action", "comments", "createDate", "createdBy", "siebelTicketId"), TEXT),
    notificationRecipients=TEXTS,
    activationId=WHOLE,
    version=WHOLE,
)
PROBLEM = answer({"type": TEXT, "title": TEXT, "detail": TEXT, "status": WHOLE})


def several(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def answers(status: str, schema: Schema) -> Schema:
    problem = {"description": "Refused.", "content": {"application/problem+json": {"schema": PROBLEM}}}
    return {
        status: {"description": "Done.", "content": {"application/json": {"schema": schema}}},
        **dict.fromkeys(("400", "401", "403", "404", "409", "429"), problem),
    }


def operation(
    name: str, status: str, schema: Schema, *, body: Schema | None = None, query: Schema | None = None
) -> Any:
    asked = {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}} if body else {}
    named = [{"name": key, "in": "query", "schema": one} for key, one in (query or {}).items()]
    return {"operationId": name, "parameters": named, "responses": answers(status, schema), **asked}


def in_path(name: str, schema: Schema = TEXT) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_WITH_ITEMS = {"includeItems": YES_OR_NO}
_CHANGES = {"append": several(ITEM), "update": several(ITEM), "delete": several(shape({"value": TEXT}))}
_NEW = shape({"name": TEXT, "type": KIND}, notes=TEXT, tags=TEXTS, contractId=TEXT, groupId=WHOLE, items=several(ITEM))
_ACTIVATE = shape(
    {"network": NETWORK, "action": {"type": "string", "enum": ["ACTIVATE", "DEACTIVATE"]}},
    comments=TEXT,
    notificationRecipients=TEXTS,
    siebelTicketId=TEXT,
)
CLIENT_LISTS: Schema = {
    "openapi": "3.0.0",
    "info": {"title": "Client Lists, from Akamai's own Go client", "version": "1"},
    "paths": {
        "/lists": {
            "get": operation(
                "client-lists", "200", answer({"content": several(LIST)}), query={"name": TEXT, **_WITH_ITEMS}
            ),
            "post": operation("client-list-create", "201", LIST, body=_NEW),
        },
        "/lists/{listId}": {
            "parameters": [in_path("listId")],
            "get": operation("client-list", "200", LIST, query=_WITH_ITEMS),
        },
        "/lists/{listId}/items": {
            "parameters": [in_path("listId")],
            "post": operation(
                "client-list-items",
                "200",
                answer({name: several(HELD) for name in ("appended", "updated", "deleted")}),
                body=shape({}, **_CHANGES),
            ),
        },
        "/lists/{listId}/activations": {
            "parameters": [in_path("listId")],
            "post": operation("client-list-activate", "200", STANDING, body=_ACTIVATE),
        },
        "/lists/{listId}/environments/{network}/status": {
            "parameters": [in_path("listId"), in_path("network", NETWORK)],
            "get": operation("client-list-status", "200", STANDING),
        },
    },
}
