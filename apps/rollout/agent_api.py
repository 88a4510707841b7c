"""What mesh nodes call. Outgoing from the node only; it proves itself with its token, we with signed bundles."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import wraps
from typing import Any, TypeVar

import orjson
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import InvalidInput, Refusal
from apps.outbox import nudge
from apps.rollout import tasks
from apps.rollout.cluster.reports import access_in, said_in
from apps.rollout.drivers.base import DoorAnswer
from apps.rollout.models import Node
from apps.rollout.services import nodes
from apps.rollout.services.cluster import pulled
from apps.rollout.services.driving import channel_of

LONGEST_WAIT, LOOK_EVERY = 60.0, 1.0
LARGEST_NUMBER = 2**31 - 1
MOST_HASHES = 20_000

Found = TypeVar("Found")
Answer = Callable[[Node, Mapping[str, Any]], Mapping[str, object]]


class BadBody(InvalidInput):
    code = "bad_body"
    status = 400
    default_message = "The body is not the JSON object that is expected here."


def _posted(answer: Answer) -> Callable[[HttpRequest], HttpResponse]:
    """A node's POST: authenticated, JSON in, JSON or problem+json out."""

    @csrf_exempt
    @require_POST
    @wraps(answer)
    def view(request: HttpRequest) -> HttpResponse:
        try:
            node = _node(request)
            return JsonResponse(dict(answer(node, _body(request))))
        except Refusal as refusal:
            return _problem(refusal)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _problem(BadBody(f"The body cannot be read: {error!r}"))

    return view


@_posted
def certificates(node: Node, body: Mapping[str, Any]) -> Mapping[str, object]:
    at = timezone.now()
    issued = nodes.issue_for_node(node=node, workload=str(body["workload"]), csr_pem=str(body["csr_pem"]), at=at)
    return {
        "certificate_pem": issued.certificate_pem,
        "ca_pem": issued.ca_pem,
        "not_after": issued.not_after.isoformat(),
    }


@_posted
def artifacts(node: Node, body: Mapping[str, Any]) -> Mapping[str, object]:
    hashes = [str(sha256) for sha256 in list(body["sha256"])[:MOST_HASHES]]
    return {"artifacts": nodes.artifacts_for(node=node, hashes=hashes)}


@_posted
def reports(node: Node, body: Mapping[str, Any]) -> Mapping[str, object]:
    at = timezone.now()
    report = _report(body)
    nodes.record_report(node=node, report=report, at=at)
    pulled.heard(node=node, report=report, at=at)
    tasks.poke_due(at)
    return {}


@require_GET
async def bundle(request: HttpRequest) -> HttpResponse:
    """A long poll: answers at once when there is something, else as soon as there is, else 204.

    While it waits it holds no database connection. Without Valkey it looks every second.
    """
    try:
        node = await sync_to_async(_released)(lambda: _node(request))
        have, wait = request.GET.get("have", ""), _seconds(request.GET.get("wait", "0"))
    except Refusal as refusal:
        return _problem(refusal)
    deadline = asyncio.get_running_loop().time() + wait
    async with nudge.listen_async(channel_of(node.target.slug)) as ear:
        while True:
            found = await sync_to_async(_released)(lambda: _offer(node, have))
            if found is not None:
                return JsonResponse(asdict(found))
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return HttpResponse(status=204)
            await ear.wait(min(left, LOOK_EVERY))


def _offer(node: Node, have: str) -> nodes.Offer | None:
    """None also when the target moved on twice while it was read: the node asks again."""
    at = timezone.now()
    for _ in range(2):
        with suppress(nodes.Overtaken):
            return nodes.offer(node_id=node.pk, have=have, at=at)
    return None


def _released(read: Callable[[], Found]) -> Found:
    """Read, then give the connection back: a long poll must not sit on one."""
    try:
        return read()
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _node(request: HttpRequest) -> Node:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise nodes.UnknownNode
    return nodes.authenticate_node(token=token.strip(), at=timezone.now())


def _seconds(text: str) -> float:
    """NaN is on neither side of any moment, so whoever waited for that long would wait for ever."""
    try:
        seconds = float(text)
    except ValueError as error:
        raise BadBody("wait is a number of seconds.") from error
    if not math.isfinite(seconds):
        raise BadBody("wait is a number of seconds.")
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _body(request: HttpRequest) -> Mapping[str, Any]:
    if b"\\u0000" in request.body:
        raise BadBody("PostgreSQL keeps no NUL, and no node has reason to send one.")
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise BadBody from error
    if not isinstance(body, dict):
        raise BadBody
    return body


def _report(body: Mapping[str, Any]) -> nodes.Report:
    return nodes.Report(
        revision=_number(body["revision"]),
        digest=str(body["digest"])[:64],
        active=body["state"] == "active",
        error=str(body.get("error", ""))[:4000],
        probes=[_result(result) for result in body.get("probes", [])],
        identities=[dict(one) for one in body.get("identities", [])],
        said=said_in(body),
        access=access_in(body),
    )


def _number(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= LARGEST_NUMBER:
        raise BadBody(f"{value!r} is no number of ours.")
    return number


def _result(result: Mapping[str, Any]) -> nodes.ProbeResult:
    said = result["verdict"] in {"allow", "deny"}
    grants = tuple(str(grant) for grant in result.get("grants", []))
    answer = DoorAnswer(str(result["verdict"]), str(result.get("reason", ""))[:40], grants) if said else None
    control = str(result.get("control", ""))[:5]
    return nodes.ProbeResult(_number(result["id"]), answer, str(result.get("detail", ""))[:2000], control)


def _problem(refusal: Refusal) -> JsonResponse:
    body = {
        "type": "about:blank",
        "title": refusal.code,
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    return JsonResponse(body, status=refusal.status, content_type="application/problem+json")
