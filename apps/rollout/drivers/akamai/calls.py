"""The calls the Akamai driver makes, each by the operation of Akamai's published API description it stands for.

Where Akamai publishes no description, ``outside`` says what the shapes are taken from. The contract tests hold every
call against a description, of Akamai's or of our own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from apps.rollout.drivers.akamai.api import EDGEKV, EDGEWORKERS
from apps.rollout.drivers.akamai.keystore import KEYSTORE
from apps.rollout.drivers.akamai.stream import DATASTREAM

NETWORK_LISTS, CLIENT_LISTS = "/network-list/v2", "/client-list/v1"
PAPI, IAM = "/papi/v1", "/identity-management/v3"


@dataclass(frozen=True, slots=True)
class Call:
    """``operation`` is Akamai's operationId; ``path`` is below ``base``, with parameters in braces.

    ``purpose`` completes the sentence "Sallyport was about to ...". ``name`` is ours: two APIs share an operationId.
    """

    operation: str
    method: str
    base: str
    path: str
    purpose: str
    outside: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        return self.name or self.operation

    @property
    def template(self) -> str:
        return self.base + self.path

    def matches(self, method: str, path: str) -> bool:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.template))
        return method == self.method and re.fullmatch(pattern, path) is not None


_WORKER, _VERSION = "/ids/{edgeWorkerId}", "/ids/{edgeWorkerId}/versions/{version}"
_SPACES = "/networks/{network}/namespaces"
_GROUP = f"{_SPACES}/{{namespaceId}}/groups/{{groupId}}"
_ITEM = f"{_GROUP}/items/{{itemId}}"
_STREAM = "/log/streams/{streamId}"
_SHOWN = "/client-certificates/{certificateId}/versions"
_SHOWN_ONE, _SIGNED = f"{_SHOWN}/{{version}}", f"{_SHOWN}/{{version}}/certificate-block"

_PROPERTY, _PROPERTY_VERSION = "/properties/{propertyId}", "/properties/{propertyId}/versions/{propertyVersion}"
_LIST, _CLIENT_LIST = "/network-lists/{networkListId}", "/lists/{listId}"
_UNPUBLISHED = "the shapes are those Akamai's own Go client sends and reads"
_DERIVED = "the shapes are those Akamai's own clients (Go, PowerShell) send and read"

CALLS = (
    Call(
        "get-groups", "GET", EDGEWORKERS, "/groups", "see whether the credential works", name="get-edgeworkers-groups"
    ),
    Call("get-contracts", "GET", EDGEWORKERS, "/contracts", "find the contract to make a list on"),
    Call("get-limits", "GET", EDGEWORKERS, "/limits", "read the account's limits"),
    Call("get-ids", "GET", EDGEWORKERS, "/ids", "find its EdgeWorker"),
    Call("get-id", "GET", EDGEWORKERS, "/ids/{edgeWorkerId}", "look at the EdgeWorker it was given"),
    Call("post-ids", "POST", EDGEWORKERS, "/ids", "make its EdgeWorker"),
    Call("post-validations", "POST", EDGEWORKERS, "/validations", "have the code bundle checked"),
    Call("get-versions", "GET", EDGEWORKERS, f"{_WORKER}/versions", "list the code versions"),
    Call("post-versions", "POST", EDGEWORKERS, f"{_WORKER}/versions", "upload the code"),
    Call("delete-version", "DELETE", EDGEWORKERS, _VERSION, "delete an old code version"),
    Call("get-activations", "GET", EDGEWORKERS, f"{_WORKER}/activations", "see what is being activated"),
    Call("post-activations", "POST", EDGEWORKERS, f"{_WORKER}/activations", "activate the code"),
    Call("delete-activation", "DELETE", EDGEWORKERS, f"{_WORKER}/activations/{{activationId}}", "stop an activation"),
    Call(
        *("get-properties", "GET", EDGEWORKERS, f"{_WORKER}/properties", "see which properties run the code"),
        name="get-worker-properties",
    ),
    Call("get-deactivations", "GET", EDGEWORKERS, f"{_WORKER}/deactivations", "see what is being taken off"),
    Call("post-deactivations", "POST", EDGEWORKERS, f"{_WORKER}/deactivations", "take the code off a network"),
    Call("delete-id", "DELETE", EDGEWORKERS, _WORKER, "delete its EdgeWorker"),
    Call("get-initialize", "GET", EDGEKV, "/initialize", "see whether EdgeKV is ready"),
    Call("put-initialize", "PUT", EDGEKV, "/initialize", "have EdgeKV made ready"),
    Call("get-namespaces", "GET", EDGEKV, _SPACES, "find its EdgeKV namespace"),
    Call("post-namespace", "POST", EDGEKV, _SPACES, "make its EdgeKV namespace"),
    Call("get-token", "GET", EDGEKV, "/tokens/{tokenName}", "find the token its code reads with"),
    Call("post-tokens", "POST", EDGEKV, "/tokens", "make the token its code reads with"),
    Call("delete-token", "DELETE", EDGEKV, "/tokens/{tokenName}", "delete a token that was replaced"),
    Call("get-group-items", "GET", EDGEKV, _GROUP, "list the items"),
    Call("get-item", "GET", EDGEKV, _ITEM, "read an item back"),
    Call("put-item", "PUT", EDGEKV, _ITEM, "write an item"),
    Call("delete-item", "DELETE", EDGEKV, _ITEM, "delete an item"),
    Call("get-network-lists", "GET", NETWORK_LISTS, "/network-lists", "find its network list"),
    Call("post-network-lists", "POST", NETWORK_LISTS, "/network-lists", "make its network list"),
    Call("get-network-list", "GET", NETWORK_LISTS, _LIST, "read a network list"),
    Call("put-network-list", "PUT", NETWORK_LISTS, _LIST, "change a network list"),
    Call(
        "post-network-list-activate",
        "POST",
        NETWORK_LISTS,
        f"{_LIST}/environments/{{environment}}/activate",
        "activate a network list",
    ),
    Call(
        "get-network-list-status",
        "GET",
        NETWORK_LISTS,
        f"{_LIST}/environments/{{environment}}/status",
        "see how far a network list is",
    ),
    Call("client-lists", "GET", CLIENT_LISTS, "/lists", "find its client list", _UNPUBLISHED),
    Call("client-list-create", "POST", CLIENT_LISTS, "/lists", "make its client list", _UNPUBLISHED),
    Call("client-list", "GET", CLIENT_LISTS, _CLIENT_LIST, "read a client list", _UNPUBLISHED),
    Call("client-list-items", "POST", CLIENT_LISTS, f"{_CLIENT_LIST}/items", "change a client list", _UNPUBLISHED),
    Call(
        "client-list-activate",
        "POST",
        CLIENT_LISTS,
        f"{_CLIENT_LIST}/activations",
        "activate a client list",
        _UNPUBLISHED,
    ),
    Call(
        "client-list-status",
        "GET",
        CLIENT_LISTS,
        f"{_CLIENT_LIST}/environments/{{network}}/status",
        "see how far a client list is",
        _UNPUBLISHED,
    ),
    Call("get-streams", "GET", DATASTREAM, "/log/streams", "find its stream of log lines"),
    Call("post-stream", "POST", DATASTREAM, "/log/streams", "make its stream of log lines"),
    Call("get-stream", "GET", DATASTREAM, _STREAM, "see whether the stream delivers"),
    Call("put-stream", "PUT", DATASTREAM, _STREAM, "give the stream another secret or address"),
    Call("post-stream-activate", "POST", DATASTREAM, f"{_STREAM}/activate", "start the stream"),
    Call("post-stream-deactivate", "POST", DATASTREAM, f"{_STREAM}/deactivate", "stop the stream"),
    Call("delete-stream", "DELETE", DATASTREAM, _STREAM, "delete the stream"),
    *(
        Call(operation, method, KEYSTORE, path, purpose, _DERIVED, name)
        for operation, method, path, purpose, name in (
            ("list-client-certificates", "GET", "/client-certificates", "find its client certificate", ""),
            ("create-client-certificate", "POST", "/client-certificates", "make its client certificate", ""),
            ("list-versions", "GET", _SHOWN, "see how far the client certificate is", ""),
            ("rotate", "POST", _SHOWN, "have a new key made for the client certificate", ""),
            ("upload-signed", "POST", _SIGNED, "hand in the signed certificate", ""),
            ("delete-version", "DELETE", _SHOWN_ONE, "delete an old client certificate", "delete-certificate-version"),
        )
    ),
    Call("post-search-find-by-value", "POST", PAPI, "/search/find-by-value", "find a property by its host name"),
    Call("get-property", "GET", PAPI, _PROPERTY, "look at a property"),
    Call("get-property-version-hostnames", "GET", PAPI, f"{_PROPERTY_VERSION}/hostnames", "read a property's hosts"),
    Call("get-property-version-rules", "GET", PAPI, f"{_PROPERTY_VERSION}/rules", "read a property's rules"),
    Call("post-property-versions", "POST", PAPI, f"{_PROPERTY}/versions", "make a version of a property"),
    Call("put-property-version-rules", "PUT", PAPI, f"{_PROPERTY_VERSION}/rules", "write a property's rules"),
    Call("post-property-activations", "POST", PAPI, f"{_PROPERTY}/activations", "activate a property"),
    Call("get-property-activations", "GET", PAPI, f"{_PROPERTY}/activations", "see what of a property is activated"),
    Call(
        "get-property-activation",
        "GET",
        PAPI,
        f"{_PROPERTY}/activations/{{activationId}}",
        "see how far a property's activation is",
    ),
    Call("get-group", "GET", EDGEWORKERS, "/groups/{groupId}", "see what its EdgeWorkers group may do"),
    Call("get-resource-tiers", "GET", EDGEWORKERS, "/resource-tiers", "read the limits of the resource tiers"),
    Call("get-groups", "GET", EDGEKV, "/auth/groups", "see what its EdgeKV group may do", name="get-edgekv-groups"),
    Call("get-tokens", "GET", EDGEKV, "/tokens", "see when its token ends"),
    Call("get-groups", "GET", PAPI, "/groups", "see the groups of Property Manager", name="get-property-groups"),
    Call("get-properties", "GET", PAPI, "/properties", "see the properties of its group"),
    Call("get-api-client-self", "GET", IAM, "/api-clients/self", "see when its credential ends"),
)
"""Complete: the contract tests fail on a call that is not here, and on one here that is not made."""


def call_of(method: str, path: str) -> Call | None:
    """``path`` without its query."""
    return next((call for call in CALLS if call.matches(method, path)), None)
