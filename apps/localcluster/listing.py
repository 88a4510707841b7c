"""Lists, page by page, and watches, event by event."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import orjson

from apps.localcluster.http import Obj, Refused, Request, bad_request, expired
from apps.localcluster.kinds import Resource
from apps.localcluster.operations import shown
from apps.localcluster.selectors import Chooses, choosing
from apps.localcluster.store import ADDED, DELETED, MODIFIED, Event, Objects

LONGEST = 1800.0
"""Seconds a watch lasts that does not say how long it shall."""

_GONE = "The provided continue parameter is too old to display a consistent list result."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of a list or watch."""

    resource: Resource
    namespace: str
    chooses: Chooses

    @classmethod
    def of(cls, resource: Resource, namespace: str, request: Request) -> Wanted:
        labels, fields = request.params.get("labelSelector", ""), request.params.get("fieldSelector", "")
        return cls(resource, namespace, choosing(labels, fields))


def listed(objects: Objects, wanted: Wanted, request: Request) -> Obj:
    """With ``limit``, as many, and a token for the rest. Later pages show what is there when they are asked for."""
    limit = _number(request.params.get("limit", "0"), "limit")
    version, after = _continued(objects, request.params.get("continue", ""))
    resource = wanted.resource
    chosen: list[Obj] = []
    meta: Obj = {"resourceVersion": str(version)}
    for key in objects.keys(resource.store, wanted.namespace):
        obj = objects.get(resource.store, key)
        if list(key) <= after or obj is None or not wanted.chooses(obj):
            continue
        if limit and len(chosen) == limit:
            meta["continue"] = _token(version, chosen[-1])
            break
        chosen.append(obj)
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": meta,
        "items": [_as_item(resource, obj) for obj in chosen],
    }


def _as_item(resource: Resource, obj: Obj) -> Obj:
    """Built-in kinds are not named in lists, as by the real server."""
    if resource.custom:
        return shown(resource, obj)
    return {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}


def _token(version: int, last: Obj) -> str:
    key = [last["metadata"].get("namespace", ""), last["metadata"]["name"]]
    return base64.urlsafe_b64encode(orjson.dumps([version, key])).decode()


def _continued(objects: Objects, token: str) -> tuple[int, list[str]]:
    if not token:
        return objects.version, []
    try:
        version, key = orjson.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise bad_request("continue key is not valid") from error
    if version < objects.oldest:
        raise expired(_GONE)
    return version, key


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise bad_request(f"unable to parse {name}: {text!r}")
    return int(text)


class Watch:
    """One stream. ``bookmarks``: seconds between them, where they are wanted."""

    def __init__(self, objects: Objects, wanted: Wanted, request: Request, bookmarks: float) -> None:
        self._objects, self._wanted = objects, wanted
        self._marks = bookmarks if request.flag("allowWatchBookmarks") else None
        self._seconds = float(_number(request.params.get("timeoutSeconds", "0"), "timeoutSeconds")) or LONGEST
        since = request.params.get("resourceVersion", "")
        self._position = _number(since or "0", "resourceVersion")

    async def lines(self) -> AsyncIterator[bytes]:
        """Ends with the time that was asked for, or with an ERROR when the changes since then are forgotten."""
        now = asyncio.get_running_loop().time
        end, mark = now() + self._seconds, now()
        for line in [] if self._position else self._present():
            yield line
        while now() < end:
            if self._position < self._objects.oldest:
                yield self._error()
                return
            for line in self._changes():
                yield line
            if now() - mark >= (self._marks or self._seconds):
                mark = now()
                yield self._bookmark()
            await self._objects.news(max(min(end - now(), self._marks or self._seconds), 0.0))
        if self._marks is not None:
            yield self._bookmark()

    def _present(self) -> Iterator[bytes]:
        """Without a version to begin at, all that is there comes first."""
        self._position = self._objects.version
        for obj in self._objects.all(self._wanted.resource.store, self._wanted.namespace):
            if self._wanted.chooses(obj):
                yield self._line(ADDED, obj)

    def _changes(self) -> Iterator[bytes]:
        store = self._wanted.resource.store
        events, self._position = self._objects.events(store, self._position), self._objects.version
        for event in events:
            if self._wanted.namespace in ("", event.obj["metadata"].get("namespace", "")):
                seen = self._seen(event)
                if seen:
                    yield self._line(seen, event.obj)

    def _seen(self, event: Event) -> str:
        """What a change is to somebody who sees only what is chosen; nothing, perhaps."""
        was = event.before is not None and self._wanted.chooses(event.before)
        now = event.type != DELETED and self._wanted.chooses(event.obj)
        if was and now:
            return MODIFIED
        return ADDED if now else (DELETED if was else "")

    def _bookmark(self) -> bytes:
        resource = self._wanted.resource
        meta = {"resourceVersion": str(self._objects.version)}
        mark = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return orjson.dumps({"type": "BOOKMARK", "object": mark}) + b"\n"

    def _error(self) -> bytes:
        said: Refused = expired(f"too old resource version: {self._position} ({self._objects.oldest})")
        return orjson.dumps({"type": "ERROR", "object": said.status()}) + b"\n"

    def _line(self, seen: str, obj: Obj) -> bytes:
        return orjson.dumps({"type": seen, "object": shown(self._wanted.resource, obj)}) + b"\n"
