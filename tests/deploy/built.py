"""Images as they are run: built with buildah, on a root that can only be read, with no more rights than told."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.arch.source import ROOT

BASE, OPTIONS, TAG = "SALLYPORT_IMAGE_BASE", "SALLYPORT_IMAGE_OPTIONS", "SALLYPORT_IMAGE_TAG"
BUILDAH = "SALLYPORT_BUILDAH"
"""The name of a Debian 12 image, options of the build, the tag of images that are built already, the builder."""


def why_not() -> str:
    """Why no image can be built and run here; empty when one can."""
    if os.geteuid() != 0:
        return "an image is unpacked as root"
    if shutil.which(_buildah()[0]) is None:
        return "buildah is not installed"
    if not (os.environ.get(BASE) or os.environ.get(TAG)):
        return f"{BASE} names no Debian 12 image to build on (see docs/how-to/build-images.md)"
    return ""


def _buildah(*arguments: str) -> list[str]:
    return [*shlex.split(os.environ.get(BUILDAH, "buildah")), *arguments]


def _told(*arguments: str) -> str:
    done = subprocess.run(_buildah(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-3000:])
    return done.stdout.strip()


@dataclass
class Image:
    root: Path
    config: Mapping[str, Any]

    @classmethod
    @contextlib.contextmanager
    def of(cls, name: str) -> Iterator[Image]:
        tag = os.environ.get(TAG, "")
        if not tag:
            tag = "test"
            options = [*shlex.split(os.environ.get(OPTIONS, "")), "--build-arg", f"BASE={os.environ[BASE]}"]
            _told("build", *options, "-f", f"deploy/images/{name}.Containerfile", "-t", f"sallyport-{name}:{tag}", ".")
        container = _told("from", f"localhost/sallyport-{name}:{tag}")
        try:
            config = json.loads(_told("inspect", container))["OCIv1"]["config"]
            yield cls(Path(_told("mount", container)), config)
        finally:
            _told("rm", container)

    def argv(
        self,
        command: Sequence[str] = (),
        *,
        mounts: Mapping[str, Path],
        user: int | None = None,
        rights: Sequence[str] = (),
        namespace: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """``mounts`` by path in the image; everything else in it can only be read. ``namespace`` is of the network."""
        for path in mounts:
            (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        root = shlex.quote(str(self.root))
        kept = [f"mount --bind {shlex.quote(str(host))} {root}{path}" for path, host in mounts.items()]
        steps = [f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}", *kept]
        steps += [f"mount -t proc proc {root}/proc", f"mount --bind /dev {root}/dev"]
        known = {**dict(one.partition("=")[::2] for one in self.config.get("Env", ())), **(environment or {})}
        number = str(self.config["User"].partition(":")[0] if user is None else user)
        held = ",".join(["-all", *(f"+{right}" for right in rights)])
        run = ["chroot", str(self.root), "setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
        run += ["--no-new-privs", f"--bounding-set={held}", "--inh-caps=-all", "env", "-i"]
        run += ["-C", self.config.get("WorkingDir") or "/", *(f"{name}={value}" for name, value in known.items())]
        started = shlex.join([*run, *(command or self.config["Cmd"])])
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        script = "; ".join(["set -e", *steps, f"exec {started}"])
        return [*inside, "unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def folder() -> Path:
    """One that anybody may walk to, as a pod's volumes are."""
    made = Path(tempfile.mkdtemp(prefix="sallyport-image-"))
    made.chmod(0o755)
    return made
