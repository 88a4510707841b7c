"""The sample services of the demo, all in one process, and the calls they make to each other.

Each service answers on its own port, where only its sidecar should knock, and says under which identity it was called.
The standing calls of the shop go through the sidecar of the callee with the caller's own client certificate, like those
of any workload in the mesh. Run: ``python -m deploy.demo.samples --config FILE.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from itertools import chain, cycle
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import uvicorn

from apps.meshagent.layout import slug
from deploy.demo.shop import Call, Missing, Shop, Unfit

CALL_SECONDS = 5
USER = "demo-shopper"
MUG = "6E92ZMYYFZ"
STANDING: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("frontend", "products"): (("GET", "/products"), ("GET", f"/products/{MUG}")),
    ("frontend", "currency"): (("GET", "/currencies"), ("POST", "/conversions")),
    ("frontend", "cart"): (("GET", f"/carts/{USER}"), ("POST", f"/carts/{USER}/items"), ("DELETE", f"/carts/{USER}")),
    ("frontend", "recommendations"): (("GET", "/recommendations"),),
    ("frontend", "shipping"): (("POST", "/quotes"),),
    ("frontend", "checkout"): (("POST", "/orders"),),
    ("frontend", "ads"): (("GET", "/ads"),),
    ("checkout", "cart"): (("GET", f"/carts/{USER}"), ("DELETE", f"/carts/{USER}")),
    ("checkout", "products"): (("GET", f"/products/{MUG}"),),
    ("checkout", "currency"): (("POST", "/conversions"),),
    ("checkout", "shipping"): (("POST", "/quotes"), ("POST", "/shipments")),
    ("checkout", "payments"): (("POST", "/charges"),),
    ("checkout", "email"): (("POST", "/confirmations"),),
    ("recommendations", "products"): (("GET", "/products"),),
    ("loadgenerator", "frontend"): (("GET", "/"), ("GET", f"/product/{MUG}"), ("GET", "/cart"), ("POST", "/cart")),
}
"""Who calls what in the shop, as its catalogue says."""

_log = logging.getLogger("samples")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    workload: str
    port: int
    sidecar_port: int
    routes: tuple[tuple[str, frozenset[str]], ...]
    version: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Service:
        routes = tuple((route["template"], frozenset(route["methods"])) for route in data["routes"])
        return cls(data["service"], data["workload"], data["port"], data["sidecar_port"], routes)

    def versions(self, data: Mapping[str, Any]) -> list[Service]:
        """The same once more for each other version, on a port of its own."""
        return [replace(self, version=name, port=port) for name, port in data.get("variants", {}).items()]

    def match(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """The template a call reaches and the parameters in its path; literals come before parameters."""
        parts = [unquote(part) for part in path.split("/")]
        fitting = [(template, _bind(template, parts)) for template, methods in self.routes if method in methods]
        found = sorted((t.count("{"), t, bound) for t, bound in fitting if bound is not None)
        return (found[0][1], found[0][2]) if found else None


def _bind(template: str, parts: list[str]) -> dict[str, str] | None:
    wanted = template.split("/")
    if len(wanted) != len(parts):
        return None
    pairs = list(zip(wanted, parts, strict=True))
    if any(found == "" if want.startswith("{") else want != found for want, found in pairs):
        return None
    return {want[1:-1]: found for want, found in pairs if want.startswith("{")}


@dataclass
class Application:
    """One ASGI application for all ports: the port says which service is meant."""

    services: Mapping[int, Service]
    shop: Shop = field(default_factory=Shop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        service = self.services[scope["server"][1]]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, found = self._answer(service, scope, await _body(receive))
        told = {
            "service": service.name,
            **({"version": service.version} if service.version else {}),
            "called_by": headers.get("x-sallyport-subject", ""),
            "grant": headers.get("x-sallyport-grant", ""),
            "request_id": headers.get("x-request-id", ""),
        }
        data = json.dumps({**told, "result": found}).encode() + b"\n"
        reply = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": reply})
        await send({"type": "http.response.body", "body": data})

    def _answer(self, service: Service, scope: Scope, body: bytes) -> tuple[int, Any]:
        method, path = scope["method"], scope["raw_path"].decode("ascii", "replace")
        reached = service.match(method, path)
        if reached is None:
            return 404, {"error": f"{service.name} has no {method} {path}."}
        query = dict(parse_qsl(scope["query_string"].decode("ascii", "replace")))
        try:
            call = Call(reached[1], query, _json(body))
            return (201 if method == "POST" else 200), self.shop.answer(service.name, method, reached[0], call)
        except Missing as error:
            return 404, {"error": str(error)}
        except Unfit as error:
            return 422, {"error": str(error)}


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body") or sum(map(len, parts)) > 1_000_000:
            return b"".join(parts)


def _json(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Unfit("The body is not JSON.") from error
    if not isinstance(found, dict):
        raise Unfit("The body is not a JSON object.")
    return found


@dataclass(frozen=True, slots=True)
class StandingCall:
    caller: Service
    callee: Service
    method: str
    path: str


def standing_calls(services: Mapping[str, Service], pairs: list[Mapping[str, str]]) -> list[StandingCall]:
    """The calls of the estate's pairs, interleaved so that a burst never hits one service."""
    known = [(services[pair["caller"]], services[pair["callee"]]) for pair in pairs if _known(services, pair)]
    plans = [
        [StandingCall(caller, callee, method, path) for method, path in STANDING.get((caller.name, callee.name), ())]
        for caller, callee in known
    ]
    longest = max((len(plan) for plan in plans), default=0)
    return list(chain.from_iterable([plan[turn] for plan in plans if turn < len(plan)] for turn in range(longest)))


def _known(services: Mapping[str, Service], pair: Mapping[str, str]) -> bool:
    return pair["caller"] in services and pair["callee"] in services


@dataclass
class Caller:
    """Makes the standing calls at a bounded rate. A door that is closed or away is an answer like any other."""

    identities: Path
    authority: Path
    calls: list[StandingCall]
    per_second: float
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        if not self.calls or self.per_second <= 0:
            return
        for call in cycle(self.calls):
            if self.stopping.wait(1 / self.per_second):
                return
            try:
                self._make(call)
            except (OSError, http.client.HTTPException) as error:
                _log.debug("%s cannot call %s: %s", call.caller.name, call.callee.name, error)

    def _make(self, call: StandingCall) -> None:
        with self._connection(call) as connection:
            body = b"{}" if call.method == "POST" else None
            headers = {"Host": f"{call.callee.name}.mesh", "User-Agent": call.caller.name}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(call.method, call.path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
            _log.debug("%s %s%s: %d", call.caller.name, call.callee.name, call.path, answer.status)

    @contextlib.contextmanager
    def _connection(self, call: StandingCall) -> Iterator[http.client.HTTPConnection]:
        """Certificates are read for every call, because the node agent renews them."""
        folder = self.identities / slug(call.caller.workload)
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        raw = socket.create_connection(("127.0.0.1", call.callee.sidecar_port), timeout=CALL_SECONDS)
        with context.wrap_socket(raw) as secured:
            connection = http.client.HTTPConnection("127.0.0.1", call.callee.sidecar_port)
            connection.sock = secured
            yield connection


async def serve(services: list[Service]) -> None:
    """All ports until the process is asked to end."""
    application = Application({service.port: service for service in services})
    sockets = [_listen(service.port) for service in services]
    config = uvicorn.Config(application, lifespan="off", log_level="warning", access_log=False, server_header=False)
    await uvicorn.Server(config).serve(sockets=sockets)


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio switches Nagle off only for sockets that say TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def main() -> None:
    parser = argparse.ArgumentParser(description="The sample services of the demo.")
    parser.add_argument("--config", type=Path, required=True)
    config = json.loads(parser.parse_args().config.read_text(encoding="utf-8"))
    logging.basicConfig(level=config.get("log_level", "INFO"), format="%(levelname)s %(message)s")
    services = [Service.of(data) for data in config["services"]]
    others = [one for usual, data in zip(services, config["services"], strict=True) for one in usual.versions(data)]
    calls = standing_calls({service.name: service for service in services}, config.get("calls", []))
    caller = Caller(Path(config["identities"]), Path(config["ca"]), calls, config.get("calls_per_second", 2.0))
    thread = threading.Thread(target=caller.run, daemon=True)
    thread.start()
    try:
        asyncio.run(serve([*services, *others]))
    finally:
        caller.stopping.set()


if __name__ == "__main__":
    main()
