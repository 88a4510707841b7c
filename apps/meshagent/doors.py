"""Which doors stand on this node. A bundle holds those of every service; some belong to workloads that live elsewhere.

Such a door is put aside under another name, because NGINX could not open it without its key. Its policy stays, and so
does its signature: nothing in a file is changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

ASIDE = ".elsewhere"
_IDENTITY = re.compile(r"^\s*ssl_certificate \S*identities/([^/\s]+)/cert\.pem;", re.MULTILINE)
_UPSTREAM = re.compile(r"^upstream (sp_door_\S+) \{", re.MULTILINE)
_ADDRESS = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def settle(revision: Path, own: Collection[str]) -> None:
    """Gives every door of a revision the name that fits this node. ``own`` are the folders of its identities."""
    for path in list(_doors(revision)):
        plain = path.with_name(path.name.removesuffix(ASIDE))
        identity = _IDENTITY.search(path.read_text(encoding="utf-8"))
        elsewhere = identity is not None and identity[1] not in own
        path.rename(plain.with_name(plain.name + ASIDE) if elsewhere else plain)


def where(path: Path) -> Path:
    """A file of a revision under the name it has on this node."""
    aside = path.with_name(path.name + ASIDE)
    return aside if not path.exists() and aside.exists() else path


def ways(revision: Path, addresses: Mapping[str, str]) -> str:
    """How the ingress of this node finds the doors that stand elsewhere; ``addresses`` by service folder.

    Without an address a door cannot be reached from here, and a call to it fails.
    """
    lines = []
    for path in sorted(revision.glob(f"services/*/server.conf{ASIDE}")):
        address, upstream = addresses.get(path.parent.name, ""), _UPSTREAM.search(path.read_text(encoding="utf-8"))
        if upstream is not None and _ADDRESS.fullmatch(address):
            lines.append(f"upstream {upstream[1]} {{\n    server {address};\n    keepalive 32;\n}}\n")
    return "".join(lines)


def _doors(revision: Path) -> Iterator[Path]:
    for pattern in ("ingress.conf", "services/*/server.conf"):
        yield from revision.glob(pattern)
        yield from revision.glob(pattern + ASIDE)
