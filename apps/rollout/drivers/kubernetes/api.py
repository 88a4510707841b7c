"""The calls to one API server, through lightkube. Each has a timeout, and fails as a VendorError in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
import msgspec
from lightkube.config.client_adapter import ConnectionParams
from lightkube.core.generic_client import BasicRequest, GenericSyncClient
from lightkube.generic_resource import GenericNamespacedResource, create_api_info
from lightkube.types import PatchType

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.connection import ClusterConnection, config_of
from apps.rollout.drivers.kubernetes.errors import silence, vendor_error
from apps.rollout.drivers.kubernetes.kinds import Kind, Ref

MANAGER = "sallyport"
POOL = 8
PAGE = 500
MOST_RESTARTS = 3
"""So often a list is begun anew when the server forgot where it was."""

NO_SUCH_KIND = "404 page not found"
"""How a server answers for a group or version it does not have: in plain text. Any other 404 is not its own."""

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """``version`` is the moment of the list: a watch goes on after it."""

    objects: tuple[Obj, ...]
    version: str


class _Client(GenericSyncClient):
    def listen(self, hear: Callable[[httpx2.Response], None]) -> None:
        self._client.event_hooks = {"response": [hear]}

    def end(self) -> None:
        self._client.close()

    def raw(self, method: str, url: str, body: object = None, **given: Any) -> httpx2.Request:
        return self.build_adapter_request(BasicRequest(method, url, data=body, **given))


class ClusterApi:
    """One pool of connections; close it. ``on_answer`` is shown every answer, from whichever thread got it.

    Raises BadConnection. Nothing is called before the first method is.
    """

    def __init__(
        self, connection: ClusterConnection, on_answer: Callable[[httpx2.Response], None] | None = None
    ) -> None:
        timeout = httpx2.Timeout(connection.read_seconds, connect=connection.connect_seconds)
        params = ConnectionParams(timeout=timeout, trust_env=False, proxy=connection.proxy or None)
        self._client = _Client(params, config_of(connection))
        if on_answer is not None:
            self._client.listen(on_answer)

    def close(self) -> None:
        self._client.end()

    # -- what there is ---------------------------------------------------------------------------------------------
    def server_version(self) -> str:
        """``v1.32.1``"""
        return str(self._json("read its version", self._client.raw("GET", "version")).get("gitVersion", ""))

    def serves(self, kind: Kind) -> bool:
        """Whether the kind is there, in the version we speak."""
        path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
        found = self._found(f"find {kind.key}", self._client.raw("GET", path))
        return found is not None and any(row.get("name") == kind.plural for row in found.get("resources") or ())

    def allows(self, kind: Kind, namespace: str, verb: str) -> tuple[bool, str]:
        """What the server says to whether we may, and why."""
        attributes = {"namespace": namespace, "verb": verb, "group": kind.group, "resource": kind.plural}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        request = self._client.raw("POST", "apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        status = self._json("ask what it may do", request).get("status") or {}
        return bool(status.get("allowed")), str(status.get("reason") or status.get("evaluationError") or "")

    # -- reading ---------------------------------------------------------------------------------------------------
    def get(self, ref: Ref) -> Obj | None:
        """None when there is no such object."""
        return self._found(f"read {ref.words}", self._request("get", ref.kind, ref.namespace, ref.name))

    def list(self, kind: Kind, namespace: str, labels: str = "") -> Listing:
        """All of them, page by page, as of one moment."""
        for _ in range(MOST_RESTARTS):
            try:
                return self._pages(kind, namespace, labels)
            except VendorError as error:
                if error.kind != "expired":
                    raise
                expired = error
        raise expired

    def _pages(self, kind: Kind, namespace: str, labels: str) -> Listing:
        objects: list[Obj] = []
        params = {"limit": str(PAGE), "labelSelector": labels or None}
        while True:
            page = self._json(
                f"list {kind.plural} in {namespace}", self._request("list", kind, namespace, params=params)
            )
            objects.extend(page.get("items") or ())
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                return Listing(tuple(objects), str(meta.get("resourceVersion", "")))
            params["continue"] = meta["continue"]

    # -- writing ---------------------------------------------------------------------------------------------------
    def apply(self, ref: Ref, obj: Mapping[str, object], *, dry_run: bool = False, force: bool = False) -> Obj:
        """Server-side apply as manager ``sallyport``; the object as it is then. Raises ApplyConflict, VendorError."""
        params = {
            "fieldManager": MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if force else None,
            "dryRun": "All" if dry_run else None,
        }
        what = f"try {ref.words}" if dry_run else f"apply {ref.words}"
        return self._json(what, self._request("patch", ref.kind, ref.namespace, ref.name, params=params, obj=obj))

    def delete(self, ref: Ref, uid: str, version: str) -> None:
        """Of just this object as it was read. What is gone already is gone."""
        given = {"uid": uid, "resourceVersion": version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": given}
        url = self._url(ref.kind, ref.namespace, ref.name)
        self._found(f"delete {ref.words}", self._client.raw("DELETE", url, body))

    # -- one call --------------------------------------------------------------------------------------------------
    def _url(self, kind: Kind, namespace: str, name: str) -> str:
        return str(self._client.prepare_request("get", _resource(kind), None, name, namespace).url)

    def _request(
        self,
        method: str,
        kind: Kind,
        namespace: str,
        name: str | None = None,
        *,
        params: Mapping[str, str | None] | None = None,
        obj: Mapping[str, object] | None = None,
    ) -> httpx2.Request:
        headers = {"Content-Type": PatchType.APPLY.value} if method == "patch" else None
        prepared = self._client.prepare_request(
            method, _resource(kind), obj, name, namespace, params=dict(params or {}), headers=headers
        )
        return self._client.build_adapter_request(prepared)

    def _found(self, what: str, request: httpx2.Request) -> Obj | None:
        """None where the server says that this very thing is not there."""
        try:
            return self._json(what, request)
        except VendorError as error:
            if error.kind == "not_found" or error.text.strip() == NO_SUCH_KIND:
                return None
            raise

    def _sent(self, request: httpx2.Request) -> httpx2.Response:
        """Once more where the connection broke: it may have been an idle one the server had just given up. Every
        request made here may be repeated.
        """
        try:
            answer: httpx2.Response = self._client.send(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            answer = self._client.send(request)
        return answer

    def _json(self, what: str, request: httpx2.Request) -> Obj:
        with told(what):
            answer = self._sent(request)
        if answer.status_code >= 300:
            raise vendor_error(what, answer)
        return body_of(what, answer.status_code, answer.content)


@contextmanager
def told(what: str) -> Iterator[None]:
    """A call without an answer fails as a VendorError."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise silence(what, error) from error


def body_of(what: str, status: int, content: bytes) -> Obj:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise VendorError(what, status, content[:500].decode(errors="replace"), kind="not_json")
    return found


@cache
def _resource(kind: Kind) -> type[GenericNamespacedResource]:
    """A lightkube class of our own for the kind, kept out of its registry."""
    info = create_api_info(kind.group, kind.version, kind.kind, kind.plural)
    return type(kind.kind, (GenericNamespacedResource,), {"_api_info": info})
