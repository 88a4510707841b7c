"""A running verifier for tests: its pod's volume laid out as a kubelet does, its container's command run here."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.compiler.artifacts import Artifact
from tests.meshfixtures import builds


@dataclass
class Verifier:
    """``port`` is that of its Kubernetes Service: ``free_block(2)``, since health is asked at the next one."""

    root: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    version: int = 0
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def mount(self, artifacts: Iterable[Artifact]) -> None:
        """The pod's projected volume from the ConfigMaps there are, swapped in at once."""
        objects = [json.loads(artifact.content) for artifact in artifacts]
        maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
        [deployment] = [one for one in objects if one["kind"] == "Deployment"]
        pod = deployment["spec"]["template"]["spec"]
        [sources] = [one["projected"]["sources"] for one in pod["volumes"] if "projected" in one]
        self.version += 1
        folder = self.conf / f"..v{self.version}"
        for source in sources:
            self._place(folder, source["configMap"], maps)
        fresh = self.conf / "..fresh"
        fresh.symlink_to(folder.name)
        fresh.rename(self.conf / "..data")
        for entry in folder.iterdir():
            link = self.conf / entry.name
            if not link.is_symlink():
                link.symlink_to(f"..data/{entry.name}")

    def _place(self, folder: Path, source: Any, maps: dict[str, Any]) -> None:
        data = maps.get(source["name"])
        if data is None:
            assert source.get("optional"), f"{source['name']} is missing"
            return
        for item in source["items"]:
            path = folder / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(data[item["key"]])

    @property
    def conf(self) -> Path:
        folder = self.root / "conf"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def launch(self) -> None:
        build = builds()[0]
        told = {"SALLYPORT_CONF": str(self.conf), "SALLYPORT_WORK": str(self.root / "work"), "SALLYPORT_PAUSE": "0.02"}
        told |= {"SALLYPORT_NGINX": build.path, "SALLYPORT_NJS": "/nonexistent"}
        log = (self.root / "log").open("wb")
        command = ["/bin/sh", str(self.conf / "start.sh")]
        self.process = subprocess.Popen(command, env={**os.environ, **told}, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 10
        while not self.is_up():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(self.log())
            time.sleep(0.01)

    def is_up(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port + 1, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status == 204
        except OSError:
            return False

    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def ask(self, target: str, *, host: str, headers: Sequence[tuple[str, str]] = ()) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer to a GET, as an ingress asks; the target is sent as written."""
        for attempt in range(2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                return self._asked(self._connection, target, [("Host", host), ("Content-Length", "0"), *headers])
            except (http.client.HTTPException, ConnectionError):
                self._connection = None
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def _asked(
        self, connection: http.client.HTTPConnection, target: str, headers: Sequence[tuple[str, str]]
    ) -> tuple[int, dict[str, str]]:
        connection._validate_path = lambda url: None  # type: ignore[method-assign, attr-defined] # sent as written
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)
            self.process = None


@contextlib.contextmanager
def running(root: Path, port: int, artifacts: Iterable[Artifact]) -> Iterator[Verifier]:
    verifier = Verifier(root, port)
    verifier.mount(artifacts)
    verifier.launch()
    try:
        yield verifier
    finally:
        verifier.stop()
