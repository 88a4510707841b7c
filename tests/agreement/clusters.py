"""Kubernetes objects as their readers understand them: models to hold the compiler's output against decide().

They are written from the published meaning of the objects, never from how the objects are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from apps.compiler.emitters.cluster.objects import Account, Object


class Smi:
    """SMI's access control as NGINX Service Mesh enforces it: on the destination's side, only ever allowing.

    A destination that no target names is open in ``allow`` mode and closed in ``deny`` mode.
    """

    def __init__(self, objects: Iterable[Object], access_control: str) -> None:
        self._mode = access_control
        self._targets: list[Any] = []
        self._groups: dict[tuple[str, str], dict[str, Any]] = {}
        self._connections: set[tuple[str, str]] = set()
        for one in objects:
            where = one["metadata"]["namespace"], one["metadata"]["name"]
            if one["kind"] == "TrafficTarget":
                self._targets.append((where[0], one["spec"]))
            if one["kind"] == "HTTPRouteGroup":
                self._groups[where] = {match["name"]: match for match in one["spec"]["matches"]}
            if one["kind"] == "TCPRoute":
                self._connections.add(where)

    def allows(self, source: Account, destination: Account, port: int, method: str, path: str) -> bool:
        """A call to a port that speaks HTTP."""
        return self._lets(source, destination, port, lambda where, rule: self._fits(where, rule, method, path))

    def connects(self, source: Account, destination: Account, port: int) -> bool:
        """A connection to a port of plain TCP, where no rule about HTTP fits."""
        return self._lets(source, destination, port, self._is_connection)

    def _lets(self, source: Account, destination: Account, port: int, fits: Callable[[str, Any], bool]) -> bool:
        named = [target for target in self._targets if _is(target[1]["destination"], destination)]
        if not named:
            return self._mode == "allow"
        return any(
            spec["destination"].get("port", port) == port
            and any(_is(party, source) for party in spec["sources"])
            and any(fits(namespace, rule) for rule in spec["rules"])
            for namespace, spec in named
        )

    def _is_connection(self, namespace: str, rule: Any) -> bool:
        return rule["kind"] == "TCPRoute" and (namespace, rule["name"]) in self._connections

    def _fits(self, namespace: str, rule: Any, method: str, path: str) -> bool:
        if rule["kind"] != "HTTPRouteGroup":
            return False
        matches = self._groups[namespace, rule["name"]]
        chosen = rule.get("matches") or matches
        return any(_matches(matches[name], method, path) for name in chosen)


def _is(party: Any, account: Account) -> bool:
    return (party["kind"], party["namespace"], party["name"]) == ("ServiceAccount", *account)


def _matches(match: Any, method: str, path: str) -> bool:
    methods = match.get("methods", ["*"])
    return (method in methods or "*" in methods) and re.match(match.get("pathRegex", ""), path) is not None


@dataclass(frozen=True)
class Question:
    """What an ingress asks the verifier, and the path that the application gets when the answer is yes."""

    key: str
    method: str
    target: str
    passed_on: str


def normalised(path: str) -> str | None:
    """A path as NGINX compares it with its locations; None where it answers 400."""
    raw = unquote(path, errors="surrogateescape")
    if not path.startswith("/") or "\0" in raw or re.search(r"%(?![0-9A-Fa-f]{2})", path):
        return None
    parts: list[str] = []
    pieces = raw.split("/")[1:]
    for place, part in enumerate(pieces):
        last = place == len(pieces) - 1
        if part == "..":
            if not parts:
                return None
            parts.pop()
        if part not in ("", ".", ".."):
            parts.append(part)
        elif last:
            parts.append("")
    return "/" + "/".join(parts)


class Nic:
    """Routing of NGINX Ingress Controller: a host's routes, exact before the longest prefix, to their subroutes."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self._policies = {_place(one): one["spec"] for one in objects if one["kind"] == "Policy"}
        self._routes = {_place(one): one["spec"] for one in objects if one["kind"] == "VirtualServerRoute"}
        self._servers = {one["spec"]["host"]: one for one in objects if one["kind"] == "VirtualServer"}

    def ask(self, host: str, method: str, path: str) -> Question | None:
        """None: nothing answers there (404), or NGINX does not take the path (400)."""
        server, plain = self._servers.get(host), normalised(path)
        if server is None or plain is None:
            return None
        known = {route["path"]: route["route"] for route in server["spec"]["routes"]}
        chosen = _location(known, plain)
        if chosen is None:
            return None
        namespace, _, name = known[chosen].partition("/")
        return self._asked(namespace, self._routes[namespace, name], chosen, (method, path, plain))

    def _asked(self, namespace: str, route: Any, chosen: str, call: tuple[str, str, str]) -> Question:
        method, path, plain = call
        [subroute] = route["subroutes"]
        assert subroute["path"] == chosen
        policies = [self._policies[namespace, one["name"]] for one in subroute["policies"]]
        [asking] = [one["externalAuth"] for one in policies if "externalAuth" in one]
        address = asking["authURI"].replace("$request_method", method).replace("$request_uri", path)
        _, ingress, key, asked_method, target = address.split("/", 4)
        assert ingress == "nic"
        proxy = subroute["action"]["proxy"]
        prefix = chosen.removeprefix("=")
        passed_on = proxy["rewritePath"] + plain[len(prefix) :] if "rewritePath" in proxy else path
        return Question(key, asked_method, f"/{target}", passed_on)


def _place(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]


def _location(known: Iterable[str], path: str) -> str | None:
    prefixes = [one for one in known if not one.startswith("=") and path.startswith(one)]
    return f"={path}" if f"={path}" in known else max(prefixes, key=len, default=None)


class Gateway:
    """Routing of the Gateway API: by host name, then the longest prefix of whole segments."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self._rules: list[tuple[str, str, Any]] = []
        for one in objects:
            if one["kind"] == "HTTPRoute":
                for rule in one["spec"]["rules"]:
                    [match] = rule["matches"]
                    self._rules += [(host, match["path"]["value"], rule) for host in one["spec"]["hostnames"]]

    def ask(self, host: str, method: str, path: str) -> Question | None:
        plain = normalised(path)
        if plain is None:
            return None
        found = [(base, rule) for where, base, rule in self._rules if where == host and _is_below(plain, base)]
        if not found:
            return None
        base, rule = max(found, key=lambda pair: len(pair[0]))
        filters = {one["type"]: one for one in rule["filters"]}
        _, ingress, key = filters["ExternalAuth"]["externalAuth"]["http"]["path"].split("/")
        assert ingress == "gateway"
        rewritten = "/" + plain.removeprefix(base).removeprefix("/")
        return Question(key, method, path, rewritten if "URLRewrite" in filters else path)


def _is_below(path: str, base: str) -> bool:
    return base == "/" or path == base or path.startswith(f"{base}/")
