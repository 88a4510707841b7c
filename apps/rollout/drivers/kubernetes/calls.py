"""The calls the Kubernetes driver makes, and the right each of them takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_KIND = "/apis/{group}/{version}/namespaces/{namespace}/{kind}"
_OBJECT = f"{_KIND}/{{name}}"
EVERYBODY = "none: everybody who is signed in may"


@dataclass(frozen=True, slots=True)
class Call:
    """``params`` tell calls of one method and path apart. ``right``: the verbs a Role has to allow on the kind."""

    name: str
    method: str
    path: str
    purpose: str
    right: str
    params: tuple[tuple[str, str], ...] = ()

    @property
    def template(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.params)
        return f"{self.path}?{query}" if query else self.path

    def matches(self, method: str, path: str, params: Mapping[str, str]) -> bool:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.path))
        fits = method == self.method and re.fullmatch(pattern, path) is not None
        return fits and all(params.get(name) == value for name, value in self.params)


CALLS = (
    Call("version", "GET", "/version", "see which version answers", EVERYBODY),
    Call("discover", "GET", "/apis/{group}/{version}", "see whether a kind is defined", EVERYBODY),
    Call(
        "review",
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "ask whether it may do something",
        EVERYBODY,
    ),
    Call("watch", "GET", _KIND, "hear what changes of its objects", "watch", (("watch", "true"),)),
    Call("list", "GET", _KIND, "read its objects back, page by page, by label", "list"),
    Call("get", "GET", _OBJECT, "read one object back", "get"),
    Call("try", "PATCH", _OBJECT, "have an object checked, leaving it as it is", "patch, create", (("dryRun", "All"),)),
    Call("force", "PATCH", _OBJECT, "take over fields a person said to take", "patch, create", (("force", "true"),)),
    Call("apply", "PATCH", _OBJECT, "bring an object (server-side apply)", "patch, create"),
    Call("delete", "DELETE", _OBJECT, "delete just the object it read, by uid and version", "delete"),
)
"""Told apart in this order: the first that matches is meant."""


def call_of(method: str, path: str, params: Mapping[str, str]) -> Call | None:
    return next((call for call in CALLS if call.matches(method, path, params)), None)


def table() -> str:
    """As it stands in the reference."""
    lines = ["| call | request | to | right |", "|---|---|---|---|"]
    lines += [f"| `{one.name}` | `{one.method} {one.template}` | {one.purpose} | {one.right} |" for one in CALLS]
    return "\n".join(lines) + "\n"
