"""Where the demo lives: its ports, each with the variable that moves it, and its state folder."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# name -> (environment variable, default, what it is for)
PORTS: dict[str, tuple[str, int, str]] = {
    "web": ("SALLYPORT_WEB_PORT", 8000, "the console"),
    "edge": ("SALLYPORT_EDGE_PORT", 8080, "the edge (where callers knock)"),
    "edge_staging": ("SALLYPORT_EDGE_STAGING_PORT", 8081, "the edge's staging network"),
    "edge_control": ("SALLYPORT_EDGE_CONTROL_PORT", 8010, "the edge's control API"),
    "cluster": ("SALLYPORT_CLUSTER_PORT", 8020, "the cluster's API server"),
    "ingress": ("SALLYPORT_INGRESS_PORT", 8443, "the mesh ingress"),
    "postgres": ("SALLYPORT_POSTGRES_PORT", 5442, "PostgreSQL"),
    "valkey": ("SALLYPORT_VALKEY_PORT", 6389, "Valkey"),
}
MESH_BASE_VARIABLE, MESH_BASE_DEFAULT, SERVICES = "SALLYPORT_MESH_BASE_PORT", 9100, 11


class PortTaken(Exception):
    """A port the demo needs belongs to another process."""


@dataclass(frozen=True)
class Places:
    """``mesh_base`` + 1.. are the sidecars, ``mesh_base`` + 101.. the sample services behind them.

    After the sidecars comes the other version of one service.
    """

    state: Path
    ports: dict[str, int]
    mesh_base: int

    @classmethod
    def from_environment(cls, environ: dict[str, str] | None = None) -> Places:
        environ = dict(os.environ) if environ is None else environ
        state = Path(environ.get("SALLYPORT_DEMO_STATE", str(REPOSITORY / ".demo"))).resolve()
        ports = {name: int(environ.get(variable, default)) for name, (variable, default, _) in PORTS.items()}
        return cls(state, ports, int(environ.get(MESH_BASE_VARIABLE, MESH_BASE_DEFAULT)))

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['web']}"

    @property
    def edge_control_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['edge_control']}"

    @property
    def cluster_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['cluster']}"

    def check_free(self) -> None:
        """Raises PortTaken with a sentence for each port that cannot be bound."""
        problems = [
            f"Port {self.ports[name]} for {purpose} is taken: set {variable} to another one."
            for name, (variable, _, purpose) in PORTS.items()
            if not _is_free(self.ports[name])
        ]
        taken = [port for port in self.mesh_ports() if not _is_free(port)]
        if taken:
            problems.append(f"Ports {taken} for the mesh are taken: set {MESH_BASE_VARIABLE} to another base.")
        if problems:
            raise PortTaken("\n".join(problems))

    def taken(self) -> list[int]:
        """Its own ports that belong to some process now, but for the mesh's."""
        return [port for port in self.ports.values() if not _is_free(port)]

    def mesh_ports(self) -> list[int]:
        usual = [self.mesh_base + offset + n for offset in (0, 100) for n in range(1, SERVICES + 1)]
        return [*usual, self.mesh_base + SERVICES + 1]


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
