"""Kubernetes: each artifact is one object, brought by server-side apply and read back by list or watch.

    api = ClusterApi(ClusterConnection(url=..., token=..., ca_pem=...))     # close() it
    driver = KubernetesDriver(api, ClusterConfig(cluster="prod", namespaces=("shop",), kinds=(...)))

Every failure is a VendorError with the server's own words; ``kubernetes_errors.explain`` says what it means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import Desired, Observed, Plan, Step
from apps.rollout.drivers.kubernetes_access import AccessReview
from apps.rollout.drivers.kubernetes_api import ClusterApi
from apps.rollout.drivers.kubernetes_kinds import KINDS

MANAGER = "sallyport"


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """``cluster`` is the value of the label ``sallyport.dev/cluster`` on everything that is ours there.

    ``namespaces`` are those that objects may be in: nothing else is read or written. ``kinds`` are keys of ``KINDS``
    (see ``EMITTER_KINDS``). ``access_control`` is the mesh's mode, ``allow`` or ``deny``. ``force_paths`` are artifacts
    whose conflicting fields are to be taken from whoever owns them, since a person said so.
    """

    cluster: str
    namespaces: tuple[str, ...]
    kinds: tuple[str, ...] = tuple(KINDS)
    access_control: str = "allow"
    force_paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HeldObject:
    """One object of ours as it was found. ``text`` is it without what the server keeps for itself, as readable JSON.

    ``sha256`` is the artifact's where the object holds all it says, else another. ``others``: fields that somebody else
    added to it (``.spec.egress``), by that manager's name; we own none of them and compare none of them.
    """

    path: str
    sha256: str
    text: str
    revision: str = ""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadBack:
    """All that is ours, by path, and from where ``watch`` goes on: scope (``shop/networkpolicies...``) to version."""

    objects: Mapping[str, HeldObject]
    positions: Mapping[str, str]

    def strays(self, known: Collection[str]) -> tuple[str, ...]:
        """Ours by their labels, but in no revision: they may be given as ``Desired.deletes``."""
        return tuple(sorted(path for path in self.objects if path not in known))


class Seen(StrEnum):
    CHANGED = "changed"
    REMOVED = "removed"
    POSITION = "position"
    """Nothing happened; the position is newer."""
    LOST = "lost"
    """The position is too old for the server: read all back, and watch from there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a watch saw. Keep ``version`` under ``scope``, and a later watch goes on after it.

    ``path`` and ``revision`` (of the label) are empty for POSITION and LOST.
    """

    seen: Seen
    scope: str
    version: str
    path: str = ""
    revision: str = ""


class KubernetesDriver:
    """Moves one cluster. Safe to repeat at any point, and beside another console that does the same."""

    def __init__(self, api: ClusterApi, config: ClusterConfig) -> None:
        raise NotImplementedError

    def setup(self) -> Mapping[str, object]:
        """``server_version``, and nothing else is made. VendorError ``kinds_missing``: the cluster lacks definitions."""
        raise NotImplementedError

    def observe(self, expected: Sequence[Artifact]) -> Observed:
        """What is found at each path: the artifact's own hash where the object holds all it says, ``""`` where there is
        none, else another hash. Few are fetched one by one, many by list.
        """
        raise NotImplementedError

    def read_back(self, expected: Sequence[Artifact] = ()) -> ReadBack:
        """Everything of ours in the cluster, by list. A stand-in for the last TrafficTarget of a destination is not in
        it (see ``apply``).
        """
        raise NotImplementedError

    def held_text(self, path: str) -> str:
        """The object there as readable JSON, without what the server keeps for itself; ``""``: there is none."""
        raise NotImplementedError

    def plan(self, desired: Desired, observed: Observed) -> Plan:
        raise NotImplementedError

    def apply(self, plan: Plan) -> Step:
        """Everything is tried on the server first (dry run), then written in order.

        First what takes access away, in reverse order of kinds; then what gives some; then deletes, in reverse order. A
        service of which an object is refused keeps what it has, save that what takes access away still goes.
        ``Step.error`` has the server's words; ``Step.trouble`` a code of ``kubernetes_errors.CATALOGUE``. Only what
        bears our labels is deleted. While the mesh is in ``allow`` mode the last TrafficTarget of a destination is not
        deleted, which would open it to everybody: one that lets in nobody takes its place.
        """
        raise NotImplementedError

    def watch(self, since: Mapping[str, str], *, seconds: float) -> Iterator[Change]:
        """What changes of ours within that time, after the positions of a ReadBack. Ends by itself."""
        raise NotImplementedError

    def access_review(self) -> AccessReview:
        """Asks about every verb, kind and namespace of the configuration. Raises VendorError."""
        raise NotImplementedError


def rbac_manifest(
    namespaces: Sequence[str],
    kinds: Sequence[str] = tuple(KINDS),
    *,
    account: str = "sallyport",
    home: str = "sallyport",
) -> str:
    """YAML to be applied by an administrator: a ServiceAccount ``account`` in namespace ``home`` with a token Secret,
    and in each of ``namespaces`` a Role that allows just what the driver does, bound to it.
    """
    raise NotImplementedError
