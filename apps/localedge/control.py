"""The control plane as one ASGI application: signature, faults, route, answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from apps.localedge.edgegrid import Verifier
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import EngineDied, EngineError
from apps.localedge.faults import Faults, answer_of, suffer
from apps.localedge.http import Answer, NoRoute, NotJson, Problem, Request, Route, dispatch
from apps.localedge.plane import DataPlane
from apps.localedge.problems import bad_request, edgekv_problem, edgeworkers_problem
from apps.localedge.vendor_errors import Cut

logger = logging.getLogger("localedge.control")

MAX_REQUEST_BODY = 4 * 1024 * 1024
HEALTH = "/healthz"
FAULTS = "/__localedge/faults"
_LOOPBACK = ("127.0.0.1", "::1")

# ASGI's own types; their values are whatever the server puts in.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Control:
    def __init__(
        self, *, routes: tuple[Route, ...], verifier: Verifier, faults: Faults, plane: DataPlane, now: Clock
    ) -> None:
        self._routes = routes
        self._verifier = verifier
        self._faults = faults
        self._plane = plane
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if body is None:
            answer = Answer.problem(edgeworkers_problem(413, "The request body is too large"))
        else:
            answer = await asyncio.to_thread(self.answer, _request(scope, body))
        await _respond(send, answer)

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except Problem as problem:
            self._faults.count(problem.status)
            return Answer.problem(problem)
        except NotJson:
            return Answer.problem(_not_json(request))
        except NoRoute as error:
            return Answer.problem(edgeworkers_problem(405 if error.allowed else 404, "No such address"))
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return Answer.problem(edgeworkers_problem(500, "Error processing request", "EW4303"))

    def _answer(self, request: Request) -> Answer:
        if request.path == HEALTH:
            return self._health()
        if request.path == FAULTS:
            return self._set_faults(request)
        actor = self._verifier.caller(request, self._now())
        rule = self._faults.claim(request, self._now())
        if rule is not None and not rule.after:
            return suffer(rule, request)
        answer = dispatch(self._routes, _by(request, actor))
        if rule is not None:
            return suffer(rule, request)
        return answer

    def _health(self) -> Answer:
        """Ready means that traffic is served, not merely that this process answers."""
        try:
            return Answer.json({"status": "ok", "pid": self._plane.pid, "data_plane": self._plane.status()})
        except (EngineDied, EngineError, TimeoutError):
            return Answer.json({"status": "degraded", "pid": None, "data_plane": None}, 503)

    def _set_faults(self, request: Request) -> Answer:
        """For tests on this machine: unsigned, and so refused to everybody else."""
        if request.client not in _LOOPBACK:
            raise edgeworkers_problem(403, "Only this machine may do that")
        if request.method == "POST":
            self._take_faults(request)
        return answer_of(self._faults)

    def _take_faults(self, request: Request) -> None:
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise bad_request("Send application/json")  # a web page cannot send that without asking first
        body = request.json()
        self._faults.set(body)
        read = body.get("edgekv_read") or {}
        if not isinstance(read, dict):
            raise bad_request("edgekv_read must be an object")
        self._plane.set_fault(status=int(read.get("status", 0)), delay_ms=int(read.get("delay_ms", 0)))


def _by(request: Request, actor: str) -> Request:
    return Request(request.method, request.scheme, request.target, request.headers, request.body, request.client, actor)


def _not_json(request: Request) -> Problem:
    if request.path.startswith("/edgekv/"):
        detail = "The JSON request body contained a syntax error or duplicate attributes."
        return edgekv_problem(422, detail, "EKV_2001")
    return bad_request("The request body is not a JSON object")


def _request(scope: Scope, body: bytes) -> Request:
    query = cast("bytes", scope["query_string"]).decode("latin-1")
    path = cast("bytes", scope["raw_path"]).decode("latin-1")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope["client"][0] if scope["client"] else ""
    return Request(scope["method"], scope["scheme"], f"{path}?{query}" if query else path, headers, body, client)


async def _body(receive: Receive) -> bytes | None:
    """None when it is larger than anything this API takes."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        if sum(map(len, parts)) > MAX_REQUEST_BODY:
            return None
    return b"".join(parts)


async def _respond(send: Send, answer: Answer) -> None:
    headers = {"content-type": answer.content_type, **answer.headers}
    if answer.status == 204:
        headers = dict(answer.headers)
    else:
        headers["content-length"] = str(len(answer.body))
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    half = len(answer.body) // 2 if isinstance(answer, Cut) else None
    await send({"type": "http.response.body", "body": answer.body[:half]})
