"""Lists of addresses, the log's stream and the client certificate as Terraform.

Names of resources and arguments are those of the schemas in akamai/terraform-provider-akamai (pkg/providers). Left out
is ``akamai_mtlskeystore_client_certificate_upload``: what it uploads is signed by the console's own authority, for the
signing request of that version.
"""

from __future__ import annotations

import re
from typing import Any

from apps.rollout.drivers.akamai.keystore import certificate_body
from apps.rollout.drivers.akamai.lists import CLIENT
from apps.rollout.drivers.akamai.stream import stream_body
from apps.rollout.exports.beside import BesideCode, HostList, KeptCertificate, KeptStream
from apps.rollout.exports.blocks import NETWORKS, PRODUCTION, Block, as_import, literal

KEPT = {"prevent_destroy": True}
CERTIFICATE = "akamai_mtlskeystore_client_certificate_third_party"


def variables(beside: BesideCode) -> Block:
    found: Block = {}
    if "" in beside.contracts:
        found["contract_id"] = _variable("The contract of the property, without ctr_.")
    if beside.endless:
        words = "Who is told when a network list is live."
        found["notification_emails"] = {**_variable(words), "type": "list(string)"}
    if beside.stream:
        words = "The secret deliveries prove themselves with. The console knows it; see README.md."
        found["stream_secret"] = {**_variable(words), "sensitive": True}
    return found


def _variable(words: str) -> Block:
    return {"type": "string", "description": words}


def _contract(known: str) -> str:
    return literal(known) or "${var.contract_id}"


# -- lists of addresses ------------------------------------------------------------------------------------------------
def address_lists(beside: BesideCode) -> Block:
    found: Block = {}
    for one in beside.lists:
        kind, activation = _kinds(one)
        found.setdefault(kind, {})[_name(one)] = _client(one) if one.product == CLIENT else _network(one)
        for network in NETWORKS:
            found.setdefault(activation, {})[f"{_name(one)}_{network}"] = _activation(one, network)
    return {"resource": found} if found else {}


def _kinds(one: HostList) -> tuple[str, str]:
    if one.product == CLIENT:
        return "akamai_clientlist_list", "akamai_clientlist_activation"
    return "akamai_networklist_network_list", "akamai_networklist_activations"


def _name(one: HostList) -> str:
    return "for_" + re.sub(r"[^a-z0-9-]", "_", one.owner.host)


def _client(one: HostList) -> Block:
    body = one.body
    return {
        "name": literal(body["name"]),
        "type": body["type"],
        "notes": literal(body["notes"]),
        "contract_id": _contract(body["contractId"]),
        "group_id": body["groupId"],
        "tags": body["tags"],
        "items": [_client_item(item) for item in body["items"]],
        "lifecycle": KEPT,
    }


def _client_item(item: Block) -> Block:
    return {
        "value": item["value"],
        "description": literal(item["description"]),
        "expiration_date": item["expirationDate"],
        "tags": item["tags"],
    }


def _network(one: HostList) -> Block:
    """The comment says what the resource has no argument for."""
    body = one.body
    return {
        "//": one.sentences,
        "name": literal(body["name"]),
        "type": body["type"],
        "description": literal(body["description"]),
        "list": body["list"],
        "mode": "REPLACE",
        "contract_id": _contract(body["contractId"]),
        "group_id": body["groupId"],
        "lifecycle": KEPT,
    }


def _activation(one: HostList, network: str) -> Block:
    """Staging before production."""
    kind, activation = _kinds(one)
    make = _client_activation if one.product == CLIENT else _network_activation
    found = {**make(f"{kind}.{_name(one)}"), "network": network.upper()}
    return {**found, "depends_on": [f"{activation}.{_name(one)}_staging"]} if network == PRODUCTION else found


def _client_activation(where: str) -> Block:
    return {"list_id": f"${{{where}.list_id}}", "version": f"${{{where}.version}}", "comments": "Sallyport"}


def _network_activation(where: str) -> Block:
    return {
        "network_list_id": f"${{{where}.uniqueid}}",
        "sync_point": f"${{{where}.sync_point}}",
        "notes": "Sallyport",
        "notification_emails": "${var.notification_emails}",
    }


# -- the log -----------------------------------------------------------------------------------------------------------
def datastream(beside: BesideCode) -> Block:
    if beside.stream is None:
        return {}
    return {"resource": {"akamai_datastream": {"edge": _stream(stream_body(beside.stream.wish))}}}


def _stream(body: Block) -> Block:
    delivery = body["deliveryConfiguration"]
    return {
        "active": True,
        "stream_name": literal(body["streamName"]),
        "contract_id": _contract(body["contractId"]),
        "group_id": str(body["groupId"]),
        "properties": [str(one["propertyId"]) for one in body["properties"]],
        "dataset_fields": [one["datasetFieldId"] for one in body["datasetFields"]],
        "notification_emails": [literal(one) for one in body["notificationEmails"]],
        "collect_midgress": body["collectMidgress"],
        "delivery_configuration": {
            "format": delivery["format"],
            "frequency": {"interval_in_secs": delivery["frequency"]["intervalInSeconds"]},
        },
        "https_connector": _connector(body["destination"]),
        "lifecycle": KEPT,
    }


def _connector(destination: dict[str, Any]) -> Block:
    return {
        "display_name": literal(destination["displayName"]),
        "endpoint": literal(destination["endpoint"]),
        "authentication_type": destination["authenticationType"],
        "user_name": literal(destination["userName"]),
        "password": "${var.stream_secret}",
        "compress_logs": destination["compressLogs"],
        "content_type": destination["contentType"],
    }


# -- the client certificate --------------------------------------------------------------------------------------------
def client_certificate(beside: BesideCode) -> Block:
    if beside.certificate is None:
        return {}
    return {"resource": {CERTIFICATE: {"edge": _certificate(beside.certificate)}}}


def _certificate(kept: KeptCertificate) -> Block:
    """The provider names versions it takes over by when they were made, and would replace those named otherwise: what
    versions there are is left to whoever signs them.
    """
    body = certificate_body(kept.wish)
    return {
        "certificate_name": literal(body["certificateName"]),
        "contract_id": _contract(body["contractId"]),
        "group_id": body["groupId"],
        "geography": body["geography"],
        "secure_network": body["secureNetwork"],
        "key_algorithm": body["keyAlgorithm"],
        "notification_emails": [literal(one) for one in body["notificationEmails"]],
        "versions": {f"v{number}": {} for number in kept.versions or (1,)},
        "lifecycle": {**KEPT, "ignore_changes": ["versions"]},
    }


# -- what is there already ---------------------------------------------------------------------------------------------
def imports(beside: BesideCode) -> list[Block]:
    """Activations of network lists cannot be taken over: the provider has no import for them."""
    found = [as_import(f"{_kinds(one)[0]}.{_name(one)}", literal(one.list_id)) for one in beside.lists]
    for one in beside.lists:
        if one.product == CLIENT and one.live:
            where = f"{_kinds(one)[1]}.{_name(one)}"
            found += [
                as_import(f"{where}_{network}", literal(f"{one.list_id}:{network.upper()}")) for network in NETWORKS
            ]
    return found + _stream_import(beside.stream) + _certificate_import(beside.certificate)


def _stream_import(kept: KeptStream | None) -> list[Block]:
    return [as_import("akamai_datastream.edge", str(kept.id))] if kept else []


def _certificate_import(kept: KeptCertificate | None) -> list[Block]:
    if kept is None:
        return []
    return [as_import(f"{CERTIFICATE}.edge", f"{kept.id},{kept.wish.group_id},{_contract(kept.wish.contract_id)}")]
