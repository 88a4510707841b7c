"""What an edge target should hold as of one revision: everything an export is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import GROUP, ITEM_LIMIT
from apps.compiler.emitters.edgeworker import policy_in
from apps.rollout.drivers.akamai.rules import Attached
from apps.rollout.exports.beside import BesideCode
from apps.rollout.exports.laid_out import compact

UNKNOWN_ID = 0
LISTED_AT_ONCE = 100
"""So many keys of a group EdgeKV lists unless asked for more; Akamai's Terraform provider does not ask for more."""

_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,512}")


class NotExportable(ValueError):
    """Akamai would refuse what should be exported; the message says what and why."""


@dataclass(frozen=True, slots=True)
class EdgeState:
    """``items`` by key. ``code`` is the whole bundle, secrets and all; ``code_sha256`` that of the packed one.

    ``edgeworker_id`` is None as long as nobody said which it is. ``taken_over``: some revision was in force before, so
    the items and the activations are at Akamai already. ``stream_id`` and ``client_certificate`` are what the rule in a
    property names beside the code, if anything; ``beside`` is what there is of it to export.
    """

    target: str
    name: str
    namespace: str
    group_id: int
    resource_tier_id: int
    edgeworker_name: str
    edgeworker_id: int | None
    revision: int
    digest: str
    items: Mapping[str, bytes]
    code: tuple[Artifact, ...]
    code_version: str
    code_sha256: str
    taken_over: bool
    stream_id: int | None = None
    client_certificate: str = ""
    beside: BesideCode = field(default_factory=BesideCode)

    @property
    def wish(self) -> Attached:
        """What a property should do. The EdgeWorker's id is 0 as long as nobody knows it."""
        return Attached(
            target=self.target,
            edgeworker_id=self.edgeworker_id or UNKNOWN_ID,
            hostnames=self.hosts,
            stream_id=self.stream_id,
            client_certificate=self.client_certificate,
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(host for host, _ in policy_in(self.code).get("hosts", []))

    @property
    def cautions(self) -> tuple[str, ...]:
        """What somebody who applies this has to know, in words."""
        if len(self.items) <= LISTED_AT_ONCE:
            return self.beside.cautions
        return (
            f"The group {GROUP} has {len(self.items)} items, and Akamai's Terraform provider reads {LISTED_AT_ONCE} of"
            " them: its plans will go on showing the others as new. Applying them again does no harm.",
            *self.beside.cautions,
        )


def require_exportable(state: EdgeState) -> None:
    """Names and sizes within EdgeKV's limits. Raises NotExportable."""
    if not _NAMESPACE.fullmatch(state.namespace):
        raise NotExportable(
            f"{state.namespace} cannot be the name of an EdgeKV namespace: 32 letters, digits, - and _."
        )
    for key, content in state.items.items():
        if not _KEY.fullmatch(key):
            raise NotExportable(f"{key} cannot be the key of an EdgeKV item: 512 letters, digits, - and _.")
        size = len(compact(content).encode())
        if size > ITEM_LIMIT:
            raise NotExportable(f"The item {key} has {size} bytes as Terraform writes it; the edge reads {ITEM_LIMIT}.")
