"""Puts the stand-in together: one process, one thread, one file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import yaml

from apps.localcluster.admission import Admission
from apps.localcluster.config import BadConfig, Config
from apps.localcluster.faults import Faults
from apps.localcluster.http import Obj, Refused
from apps.localcluster.kinds import Registry
from apps.localcluster.operations import Operations, Options
from apps.localcluster.rbac import Rights
from apps.localcluster.server import Server
from apps.localcluster.store import Objects

FILE = "localcluster.sqlite3"
MANAGER = "localcluster"
KEEP_ALIVE = 90
"""Seconds an idle connection is kept: the real server keeps it for minutes."""


class Service:
    """Raises BadConfig when a definition cannot be served."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._objects = Objects(config.state_dir / FILE, config.history)
        registry, admission = Registry(), Admission()
        self._operations = Operations(self._objects, registry, admission, time.time)
        self._registry = registry
        self._furnish()
        self._server = Server(
            objects=self._objects,
            registry=registry,
            operations=self._operations,
            rights=Rights(config.tokens, self._objects),
            admission=admission,
            faults=Faults(),
            version=config.version,
            bookmarks=config.bookmark_seconds,
        )

    def _furnish(self) -> None:
        """The namespaces and definitions of the configuration, where they are not there yet."""
        found: list[Obj] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in self._config.namespaces
        ]
        found += [one for path in self._config.definitions for one in _documents(path)]
        for obj in found:
            resource = self._registry.of_kind(obj.get("apiVersion", ""), obj.get("kind", ""))
            if resource is None:
                raise BadConfig(f"'definitions': {obj.get('kind')} is no kind that is served from the start")
            try:
                self._operations.apply(resource, ("", obj["metadata"]["name"]), obj, Options(MANAGER, force=True))
            except Refused as refused:
                raise BadConfig(f"{obj['metadata']['name']}: {refused.message}") from refused

    def run(self) -> None:
        """Serves until a signal ends it."""
        server = uvicorn.Server(
            uvicorn.Config(
                self._server,
                host=self._config.host,
                port=self._config.port,
                lifespan="off",
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=1,
                timeout_keep_alive=KEEP_ALIVE,
                ssl_certfile=self._config.certificate or None,
                ssl_keyfile=self._config.key or None,
            )
        )
        try:
            server.run()
        finally:
            self._objects.close()


def _documents(path: Path) -> Iterator[Obj]:
    try:
        for found in yaml.safe_load_all(path.read_text()):
            if found:
                yield found
    except (OSError, yaml.YAMLError) as error:
        raise BadConfig(f"'definitions': cannot read {path}: {error}") from error
