"""The API server as one ASGI application: who calls, faults, address, right, answer. All in one thread."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from apps.localcluster import discovery, openapi
from apps.localcluster.admission import Admission
from apps.localcluster.discovery import REVIEWS
from apps.localcluster.faults import Faults, Rule
from apps.localcluster.http import (
    Answer,
    Obj,
    Refused,
    Request,
    bad_request,
    method_not_allowed,
    no_such_resource,
)
from apps.localcluster.kinds import Registry, Resource
from apps.localcluster.listing import Wanted, Watch, listed
from apps.localcluster.operations import Operations, Options
from apps.localcluster.rbac import Rights, Who, Wish
from apps.localcluster.store import Objects

logger = logging.getLogger("localcluster")

MAX_BODY = 64 * 1024 * 1024
HEALTH = ("/healthz", "/livez", "/readyz")
CONTROL = "/__localcluster/"
APPLY_PATCH, MERGE_PATCH = "application/apply-patch+yaml", "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_LOOPBACK = ("127.0.0.1", "::1")
_TOKEN_PATH = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/serviceaccounts/(?P<name>[^/]+)/token")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Address:
    resource: Resource
    namespace: str
    name: str
    subresource: str


class Server:
    def __init__(
        self,
        *,
        objects: Objects,
        registry: Registry,
        operations: Operations,
        rights: Rights,
        admission: Admission,
        faults: Faults,
        version: str,
        bookmarks: float,
    ) -> None:
        self._objects, self._registry, self._operations = objects, registry, operations
        self._rights, self._admission, self._faults = rights, admission, faults
        self._version, self._bookmarks = version, bookmarks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = _request(scope, await _body(receive))
        rule = None if request.path.startswith(CONTROL) or request.path in HEALTH else self._faults.claim(request)
        if rule is not None and rule.delay:
            await asyncio.sleep(rule.delay)
        if rule is not None and rule.status and not rule.after:
            await _respond(send, rule.answer())
            return
        answer = self._guarded(request)
        if isinstance(answer, Watch):
            await _stream(send, receive, answer.lines())
        else:
            await _respond(send, _spoilt(rule, answer))

    def _guarded(self, request: Request) -> Answer | Watch:
        try:
            return self._answer(request)
        except Refused as refused:
            return refused.answer()
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return Refused(500, "InternalError", "Internal error occurred: see the log").answer()

    def _answer(self, request: Request) -> Answer | Watch:
        if request.path in HEALTH:
            return Answer(200, b"ok", "text/plain")
        if request.path.startswith(CONTROL):
            return Answer.json(self._control(request))
        who = self._rights.caller(request.headers)
        if (found := self._told(request)) is not None:
            return Answer.json(found)
        if request.path == f"/apis/{'/'.join(REVIEWS)}":
            return Answer.json(self._review(who, request.document()), 201)
        if (account := _TOKEN_PATH.fullmatch(request.path)) and request.method == "POST":
            return Answer.json(self._token(who, account["namespace"], account["name"], request.document()), 201)
        address = self._address(request.path)
        if address is None:
            return no_such_resource()
        return self._object(who, address, request)

    def _told(self, request: Request) -> Obj | None:
        """What the server says of itself."""
        if request.method != "GET":
            return None
        told = discovery.answered(self._registry, request.path, self._version)
        return told or openapi.answered(self._registry, request.path, self._version)

    # -- objects ---------------------------------------------------------------------------------------------------
    def _address(self, path: str) -> Address | None:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[0] == "api" and len(parts) > 2:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] != "status":
            namespace, rest = rest[1], rest[2:]
        resource = self._registry.find(group, version, rest[0])
        if resource is None or len(rest) > 3 or (len(rest) == 3 and not (rest[2] == "status" and resource.has_status)):
            return None
        return Address(resource, namespace, *[*rest[1:], "", ""][:2])

    def _object(self, who: Who, address: Address, request: Request) -> Answer | Watch:
        resource, verb = address.resource, _verb(address, request)
        plural = f"{resource.plural}/{address.subresource}" if address.subresource else resource.plural
        self._rights.demand(who, Wish(verb, resource.group, plural, address.namespace, address.name))
        if verb == "watch":
            return Watch(self._objects, Wanted.of(resource, address.namespace, request), request, self._bookmarks)
        if verb == "list":
            return Answer.json(listed(self._objects, Wanted.of(resource, address.namespace, request), request))
        if verb == "get":
            return Answer.json(self._operations.get(resource, (address.namespace, address.name)))
        if verb in ("delete", "deletecollection"):
            return Answer.json(self._delete(address, request))
        return self._write(who, address, request, verb)

    def _write(self, who: Who, address: Address, request: Request, verb: str) -> Answer:
        resource, key = address.resource, (address.namespace, address.name)
        options, body = _options(address, request), request.document()
        if verb == "create":
            return Answer.json(self._operations.create(resource, address.namespace, body, options), 201)
        if verb == "update":
            return Answer.json(self._operations.replace(resource, key, body, options))
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind == STRATEGIC_PATCH:
            return Answer.json(self._operations.merge_strategically(resource, key, body, options))
        if kind == MERGE_PATCH:
            return Answer.json(self._operations.merge(resource, key, body, options))
        if kind != APPLY_PATCH:
            raise Refused(415, "UnsupportedMediaType", f"the body of the request was in an unknown format - {kind}")
        made = self._objects.get(resource.store, key) is None
        if made:
            self._rights.demand(who, Wish("create", resource.group, resource.plural, *key))
        return Answer.json(self._operations.apply(resource, key, body, options), 201 if made else 200)

    def _delete(self, address: Address, request: Request) -> Obj:
        body = request.document() if request.body else {}
        options = _options(address, request)
        if address.name:
            return self._operations.delete(address.resource, (address.namespace, address.name), body, options)
        wanted = Wanted.of(address.resource, address.namespace, request)
        meant = [obj for obj in self._objects.all(address.resource.store, address.namespace) if wanted.chooses(obj)]
        for obj in meant:
            key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self._operations.delete(address.resource, key, body, options)
        return listed(self._objects, wanted, request)

    def _review(self, who: Who, body: Obj) -> Obj:
        """A SelfSubjectAccessReview."""
        asked = (body.get("spec") or {}).get("resourceAttributes") or {}
        wish = Wish(
            asked.get("verb", ""),
            asked.get("group", ""),
            asked.get("resource", ""),
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
        allowed, reason = self._rights.allows(who, wish)
        return {**body, "status": {"allowed": allowed, **({"reason": reason} if reason else {})}}

    def _token(self, who: Who, namespace: str, name: str, body: Obj) -> Obj:
        """A TokenRequest of a service account."""
        self._rights.demand(who, Wish("create", "", "serviceaccounts/token", namespace, name))
        accounts = self._registry.find("", "v1", "serviceaccounts")
        if accounts is not None:
            self._operations.get(accounts, (namespace, name))
        return {**body, "status": {"token": self._rights.issue(namespace, name)}}

    # -- for tests -------------------------------------------------------------------------------------------------
    def _control(self, request: Request) -> Obj:
        """Without a token, and so for this machine alone; a web page cannot send JSON without asking first."""
        sent_json = request.headers.get("content-type", "").startswith("application/json")
        if request.client not in _LOOPBACK or request.method != "POST" or not sent_json:
            raise bad_request("POST application/json from this machine")
        body = request.document()
        asked = request.path.removeprefix(CONTROL)
        if asked == "faults":
            self._faults.set(body.get("rules", []))
            self._admission.set(body.get("admission", []))
        elif asked == "forget":
            self._objects.forget()
        elif asked == "load":
            self._load(body)
        else:
            raise bad_request("there is no such control")
        return {"version": self._objects.version}

    def _load(self, body: Obj) -> None:
        """Many objects at once, each as if ``manager`` had applied it."""
        options = Options(manager=str(body.get("manager", "loader")))
        with self._objects.together():
            for obj in body["objects"]:
                resource = self._registry.of_kind(obj["apiVersion"], obj["kind"])
                if resource is None:
                    raise bad_request(f"no matches for kind {obj['kind']} in version {obj['apiVersion']}")
                meta = obj["metadata"]
                self._operations.apply(resource, (meta.get("namespace", ""), meta["name"]), obj, options)


def _verb(address: Address, request: Request) -> str:
    if request.method not in _VERBS or (request.method in ("PUT", "PATCH") and not address.name):
        raise method_not_allowed()
    if request.method == "POST" and address.name:
        raise method_not_allowed()
    if request.method == "GET" and not address.name:
        return "watch" if request.flag("watch") else "list"
    return "deletecollection" if request.method == "DELETE" and not address.name else _VERBS[request.method]


def _options(address: Address, request: Request) -> Options:
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    patch = request.headers.get("content-type", "").startswith(APPLY_PATCH)
    dry = request.params.get("dryRun", "")
    if dry not in ("", "All"):
        raise bad_request(f"Invalid value: {dry}: dryRun: Unsupported value: supported values: All")
    return Options(
        manager=request.params.get("fieldManager", "" if patch else agent),
        dry_run=dry == "All",
        force=request.flag("force"),
        validation=request.params.get("fieldValidation", "Warn"),
        subresource=address.subresource,
    )


def _request(scope: Scope, body: bytes) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    client = scope["client"][0] if scope["client"] else ""
    return Request(scope["method"], scope["raw_path"].decode("latin-1"), query, headers, body, client)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more and sum(map(len, parts)) <= MAX_BODY:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _spoilt(rule: Rule | None, answer: Answer) -> Answer:
    """What a fault makes of an answer after the request was served."""
    if rule is None:
        return answer
    if rule.after and rule.status:
        return rule.answer()
    return Answer(answer.status, answer.body, answer.content_type, answer.headers, cut=True) if rule.cut else answer


async def _respond(send: Send, answer: Answer) -> None:
    headers = {"content-type": answer.content_type, **answer.headers, "content-length": str(len(answer.body))}
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send(
        {"type": "http.response.body", "body": answer.body[: len(answer.body) // 2] if answer.cut else answer.body}
    )


async def _stream(send: Send, receive: Receive, lines: AsyncIterator[bytes]) -> None:
    """Until the lines end, or the client leaves."""
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    left = asyncio.create_task(_left(receive))
    writing = asyncio.create_task(_write_lines(send, lines))
    _, pending = await asyncio.wait({left, writing}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if writing.done() and not writing.cancelled() and not left.done():
        await send({"type": "http.response.body", "body": b""})


async def _write_lines(send: Send, lines: AsyncIterator[bytes]) -> None:
    async for line in lines:
        await send({"type": "http.response.body", "body": line, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
