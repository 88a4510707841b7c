"""What changes of ours in a cluster, as it happens: one stream for each kind and namespace, heard together.

ear = Ear(connection, "prod")                       # close() it
ear.listen(driver.read_back().positions)
for change in ear.wait(1.0): ...
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum

import httpx2
from lightkube.config.client_adapter import ConnectionParams

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.api import Obj, body_of, told
from apps.rollout.drivers.kubernetes.compare import selector
from apps.rollout.drivers.kubernetes.connection import ClusterConnection, config_of
from apps.rollout.drivers.kubernetes.errors import of_watch, vendor_error
from apps.rollout.drivers.kubernetes.kinds import KINDS, Kind, Ref, Scope
from apps.rollout.drivers.kubernetes.read import is_closed

STREAM_SECONDS = 80
"""So long the server is asked to keep a stream; then it is taken up again where it was."""

SILENCE_SECONDS = 100.0
"""A stream that says nothing for so long, and does not end either, is lost: nobody is at its other end. That nothing
was said until its end is no sign of that: servers may leave out where they are while nothing of a kind changes.
"""

SOON_SECONDS, PAUSE_SECONDS = 5.0, 1.0
"""After a stream that ended as soon as this, so long a pause before it is taken up again."""

MOST_WAITING, LARGEST_KEPT = 256, 64 * 1024
"""So many changes wait to be heard, none with a larger object (bytes of JSON) than this; then the streams wait too."""

OPENING = 16
"""So many streams are opened at once."""

RESUMED = frozenset({"cut", "unreachable"})
"""Kinds of errors that say nothing about the place the stream was at."""

SET_BACK = "is at an older moment than it was: it was set back"


class Seen(StrEnum):
    CHANGED = "changed"
    REMOVED = "removed"
    LOST = "lost"
    """The stream is over and cannot be taken up where it was: read its kind and namespace back, and listen again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a watch saw, in order within its scope.

    ``obj`` is the object that CHANGED; None where it is too large to be kept, so that it has to be read. ``path`` is
    empty for LOST, and ``error`` says why then. What was REMOVED may be there still, without our labels.
    """

    seen: Seen
    scope: Scope
    path: str = ""
    obj: Obj | None = None
    error: VendorError | None = None


class Ear:
    """All streams of one cluster, for one thread. They are read only while somebody waits: whoever is slow to hear
    makes the server wait, and is never flooded.

    ``on_answer`` is shown the beginning of every answer. Raises BadConnection. Nothing is called before ``wait`` is.
    """

    def __init__(
        self,
        connection: ClusterConnection,
        cluster: str,
        on_answer: Callable[[httpx2.Response], None] | None = None,
        *,
        seconds: int = STREAM_SECONDS,
    ) -> None:
        timeout = httpx2.Timeout(SILENCE_SECONDS, connect=connection.connect_seconds)
        params = ConnectionParams(timeout=timeout, trust_env=False, proxy=connection.proxy or None)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx2.AsyncClient(**params.httpx_params(config_of(connection)), limits=limits)
        if on_answer is not None:
            self._client.event_hooks = {"response": [_patient(on_answer)]}
        self._labels, self._seconds = selector(cluster), seconds
        self._loop = asyncio.new_event_loop()
        self._heard: asyncio.Queue[Change] = asyncio.Queue(MOST_WAITING)
        self._opening = asyncio.Semaphore(OPENING)
        self._streams: dict[Scope, asyncio.Task[None]] = {}

    def listen(self, positions: Mapping[Scope, str]) -> None:
        """From now on, to what comes after these positions (of a ReadBack)."""
        for scope, since in positions.items():
            if (former := self._streams.get(scope)) is not None:
                former.cancel()
            self._streams[scope] = self._loop.create_task(self._stream(scope, since))

    def wait(self, seconds: float) -> list[Change]:
        """What there is to hear, as soon as there is something; nothing after that time."""
        found = self._loop.run_until_complete(self._some(seconds))
        for scope, stream in list(self._streams.items()):
            if stream.done():
                del self._streams[scope]
                stream.result()
        return found

    def close(self) -> None:
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for stream in self._streams.values():
            stream.cancel()
        await asyncio.gather(*self._streams.values(), return_exceptions=True)
        await self._client.aclose()

    async def _some(self, seconds: float) -> list[Change]:
        found: list[Change] = []
        if self._heard.empty():
            with suppress(TimeoutError):
                found.append(await asyncio.wait_for(self._heard.get(), seconds))
        while not self._heard.empty():
            found.append(self._heard.get_nowait())
        return found

    async def _stream(self, scope: Scope, since: str) -> None:
        """Takes itself up where it was when its time is over, and once when it was cut; then it is lost."""
        cuts = 0
        while True:
            began, is_silent = self._loop.time(), True
            try:
                async with aclosing(self._changes(scope, since)) as changes:
                    async for version, change in changes:
                        _check_moment(scope, version, since)
                        since, cuts, is_silent = version, 0, False
                        if change is not None:
                            await self._heard.put(change)
                if is_silent:
                    _check_moment(scope, await self._moment(scope), since)
            except VendorError as error:
                cuts = cuts + 1 if self._loop.time() - began < SOON_SECONDS else 1
                if error.kind not in RESUMED or cuts > 1:
                    await self._heard.put(Change(Seen.LOST, scope, error=error))
                    return
            if self._loop.time() - began < SOON_SECONDS:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _changes(self, scope: Scope, since: str) -> AsyncGenerator[tuple[str, Change | None], None]:
        """Positions, each with what was changed to get there, if it was of ours. Raises VendorError."""
        kind = KINDS[scope.kind]
        what = f"watch {kind.plural} in {scope.namespace}"
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(self._seconds),
            "labelSelector": self._labels,
        }
        with told(what):
            request = self._client.build_request("GET", kind.home(scope.namespace), params=params)
            async with self._opening:
                answer = await self._client.send(request, stream=True)
            try:
                if answer.status_code >= 300:
                    await answer.aread()
                    raise vendor_error(what, answer)
                async for line in answer.aiter_lines():
                    yield _read(what, kind, scope, line)
            finally:
                await answer.aclose()

    async def _moment(self, scope: Scope) -> str:
        """Where the server is now. One that was set back to an older state is silent about what is yet to come."""
        kind = KINDS[scope.kind]
        what = f"list {kind.plural} in {scope.namespace}"
        params = {"limit": "1", "labelSelector": self._labels}
        with told(what):
            answer = await self._client.get(kind.home(scope.namespace), params=params)
        if answer.status_code >= 300:
            raise vendor_error(what, answer)
        found = body_of(what, answer.status_code, answer.content)
        return str((found.get("metadata") or {}).get("resourceVersion", ""))


def _check_moment(scope: Scope, version: str, since: str) -> None:
    """Raises VendorError of kind ``expired``: what was heard up to ``since`` is no longer so."""
    if version.isdecimal() and since.isdecimal() and int(version) < int(since):
        raise VendorError(f"watch {scope.kind} in {scope.namespace}", 0, SET_BACK, kind="expired")


def _patient(hear: Callable[[httpx2.Response], None]) -> Callable[[httpx2.Response], object]:
    async def hook(answer: httpx2.Response) -> None:
        hear(answer)

    return hook


def _read(what: str, kind: Kind, scope: Scope, line: str) -> tuple[str, Change | None]:
    """Raises VendorError; of kind ``expired`` when the position is too old for the server."""
    try:
        event = json.loads(line)
        seen, obj = str(event["type"]), dict(event["object"])
    except (ValueError, KeyError, TypeError) as error:
        raise VendorError(what, 200, line[:500], kind="cut") from error
    if seen == "ERROR":
        raise of_watch(what, obj)
    meta = obj["metadata"]
    version = str(meta.get("resourceVersion", ""))
    if seen == "BOOKMARK":
        return version, None
    path = Ref(kind, scope.namespace, meta["name"]).path
    if seen == "DELETED" or is_closed(obj):
        return version, Change(Seen.REMOVED, scope, path)
    return version, Change(Seen.CHANGED, scope, path, obj if len(line) <= LARGEST_KEPT else None)
