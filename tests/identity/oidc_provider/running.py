"""The npm package oidc-provider as a real OpenID provider: installed from the lock file, run on Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.localedge.engine import find_node
from deploy.demo.places import answers
from tests.servers import free_port

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "server.mjs")
CLIENT_ID, CLIENT_SECRET = "0oa1console", "a secret of the console"


@dataclass(frozen=True)
class Directory:
    """Where it listens, and what it logged."""

    issuer: str
    log: Path


def install(folder: Path) -> Path:
    """The server with its packages in ``folder``. Where npm cannot install, a laptop skips and CI fails."""
    for name in FILES:
        shutil.copy(HERE / name, folder)
    node = Path(find_node(None))
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    argv = [str(node), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        said = done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired:
        said = "it took more than two minutes"
    if said:
        message = f"npm cannot install oidc-provider, so the real provider is not tried: {said[-500:]}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@contextmanager
def directory(
    folder: Path, *, console: str, slug: str, path: str, auth: str, claims: dict[str, Any]
) -> Iterator[Directory]:
    """A provider that knows ``console`` as its client, at an issuer that ends with ``path``."""
    port = free_port()
    client: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "token_endpoint_auth_method": auth,
        "redirect_uris": [f"{console}/oidc/{slug}/callback/"],
        "post_logout_redirect_uris": [f"{console}/sign-in/"],
        "backchannel_logout_uri": f"{console}/oidc/{slug}/backchannel-logout/",
    }
    if auth == "private_key_jwt":
        client |= {"jwks_uri": f"{console}/oidc/{slug}/jwks.json", "token_endpoint_auth_signing_alg": "RS256"}
    else:
        client["client_secret"] = CLIENT_SECRET
    config = json.dumps({"port": port, "path": path, "client": client, "claims": claims})
    log = folder / f"{slug}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [find_node(None), "server.mjs"],
            cwd=folder,
            env={"CONFIG": config, "NODE_ENV": "test"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + 20
        while not answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"oidc-provider did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield Directory(f"http://127.0.0.1:{port}{path}", log)
    finally:
        process.terminate()
        process.wait(10)
