"""The calls the Akamai driver makes, each by the operation of Akamai's published API description it stands for.

A call that is not described says why, in ``outside``; the contract tests hold everything else against the description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from apps.rollout.drivers.akamai_api import EDGEKV, EDGEWORKERS


@dataclass(frozen=True, slots=True)
class Call:
    """``operation`` is Akamai's operationId; ``path`` is below ``base``, with parameters in braces.

    ``purpose`` completes the sentence "Sallyport was about to ...".
    """

    operation: str
    method: str
    base: str
    path: str
    purpose: str
    outside: str = ""

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

CALLS = (
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
)
"""Complete: the contract tests fail on a call that is not here, and on one here that is not made."""


def call_of(method: str, path: str) -> Call | None:
    """``path`` without its query."""
    return next((call for call in CALLS if call.matches(method, path)), None)
