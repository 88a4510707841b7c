"""Kubernetes: each artifact is one object, brought by server-side apply and read back by list; see also ``Ear``.

    api = ClusterApi(ClusterConnection(url=..., token=..., ca_pem=...))     # close() it
    driver = KubernetesDriver(api, ClusterConfig(cluster="prod", namespaces=("shop",), kinds=(...)))

Every failure is a VendorError with the server's own words; ``kubernetes_errors.explain`` says what it means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import Desired, Observed, Plan, Step, VendorError
from apps.rollout.drivers.kubernetes.access import (
    AccessReview,
    Permission,
    missing_kinds,
    rbac_manifest,
    review,
)
from apps.rollout.drivers.kubernetes.api import MANAGER, ClusterApi, Obj
from apps.rollout.drivers.kubernetes.apply import ALLOW, Applying
from apps.rollout.drivers.kubernetes.compare import REVISION, bears, held_hash, labels_of, others_in, text_of
from apps.rollout.drivers.kubernetes.connection import BadConnection, ClusterConnection, server_of
from apps.rollout.drivers.kubernetes.errors import FieldConflict
from apps.rollout.drivers.kubernetes.kinds import EMITTER_KINDS, KINDS, Scope, kinds_for, ref_of, scopes_of
from apps.rollout.drivers.kubernetes.read import Reader, at_once, is_closed, parsed
from apps.rollout.drivers.kubernetes.watch import Change, Ear, Seen

__all__ = [
    "EMITTER_KINDS",
    "KINDS",
    "AccessReview",
    "BadConnection",
    "Change",
    "ClusterApi",
    "ClusterConfig",
    "ClusterConnection",
    "Ear",
    "FieldConflict",
    "HeldObject",
    "KubernetesDriver",
    "Permission",
    "ReadBack",
    "Seen",
    "kinds_for",
    "rbac_manifest",
    "server_of",
]


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """``cluster`` is the value of the label ``sallyport.dev/cluster`` on everything that is ours there.

    ``namespaces`` and ``kinds`` (keys of ``KINDS``; see ``kinds_for``) are those that are read back and watched.
    ``verifier`` is the namespace our verifier runs in: its parts are looked for there only (``""``: everywhere).
    ``access_control`` is the mesh's mode, ``allow`` or ``deny``. ``force_paths`` are artifacts whose conflicting fields
    are taken from whoever owns them, since a person said so.
    """

    cluster: str
    namespaces: tuple[str, ...]
    kinds: tuple[str, ...] = tuple(KINDS)
    access_control: str = ALLOW
    force_paths: frozenset[str] = frozenset()
    verifier: str = ""


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
    """All that is ours, by path, and from where an ``Ear`` goes on in each kind and namespace."""

    objects: Mapping[str, HeldObject]
    positions: Mapping[Scope, str]

    def strays(self, known: Collection[str]) -> tuple[str, ...]:
        """Ours by their labels, but in no revision: they may be given as ``Desired.deletes``."""
        return tuple(sorted(path for path in self.objects if path not in known))


class KubernetesDriver:
    """Moves one cluster. Safe to repeat at any point, and beside another console that does the same."""

    def __init__(self, api: ClusterApi, config: ClusterConfig) -> None:
        self._api, self._config = api, config
        self._reader = Reader(api, config.cluster)
        self._kinds = tuple(KINDS[key] for key in config.kinds)
        self.conflicts: Mapping[str, tuple[FieldConflict, ...]] = {}
        """Who owns which fields that the last ``apply`` was to set otherwise, by path."""

    def setup(self) -> Mapping[str, object]:
        """``server_version``; nothing is made. VendorError ``kinds_missing``: the cluster lacks definitions."""
        version = self._api.server_version()
        if missing := missing_kinds(self._api, self._kinds):
            raise VendorError("The cluster", 0, f"does not serve {', '.join(missing)}", kind="kinds_missing")
        return {"server_version": version}

    # -- reading back ----------------------------------------------------------------------------------------------
    def observe(self, expected: Sequence[Artifact]) -> Observed:
        """What is found at each path: the artifact's own hash where the object is what applying it makes it, ``""``
        where there is none, else another hash. Few are fetched one by one, many by list.
        """
        return Observed(artifacts=self._reader.hashes(expected))

    def read_back(self, expected: Sequence[Artifact] = (), scopes: Sequence[Scope] | None = None) -> ReadBack:
        """Everything of ours in the cluster, or in some kinds and namespaces of it, by list. A stand-in for the last
        TrafficTarget of a destination is not in it (see ``apply``).
        """
        objects, positions = self._reader.everything(self.scopes if scopes is None else scopes)
        wanted = {artifact.path: artifact for artifact in expected}
        return ReadBack({path: _held(path, live, wanted.get(path)) for path, live in objects.items()}, positions)

    def held(self, paths: Sequence[str], expected: Sequence[Artifact]) -> dict[str, HeldObject]:
        """What is at these paths, each read by itself. What is not ``expected`` there counts if it bears our labels."""
        wanted = {artifact.path: artifact for artifact in expected}
        found = zip(paths, at_once(self._api.get, [ref_of(path) for path in paths]), strict=True)
        return {
            path: _held(path, live, wanted.get(path))
            for path, live in found
            if live is not None and not is_closed(live) and (path in wanted or bears(live, self._config.cluster))
        }

    def leftovers(self) -> tuple[str, ...]:
        """Paths of all that bears our labels, also of what stands in for a last TrafficTarget.

        Of kinds the cluster does not serve there is nothing.
        """
        missing = set(missing_kinds(self._api, self._kinds))
        objects, _ = self._reader.everything(
            [scope for scope in self.scopes if scope.kind not in missing], stand_ins=True
        )
        return tuple(sorted(objects))

    @property
    def scopes(self) -> list[Scope]:
        """What is read back and watched."""
        return scopes_of(self._config.kinds, self._config.namespaces, self._config.verifier)

    # -- moving ----------------------------------------------------------------------------------------------------
    def plan(self, desired: Desired, observed: Observed) -> Plan:
        held = observed.artifacts
        return Plan(
            number=desired.number,
            digest=desired.digest,
            observed=observed.fingerprint,
            puts=tuple(item for item in desired.puts if held.get(item.path) != item.sha256),
            deletes=tuple(path for path in desired.deletes if held.get(path, "?") != ""),
        )

    def apply(self, plan: Plan) -> Step:
        """Everything is tried on the server first (dry run), then written in order. Raises nothing of the cluster's.

        First what takes access away, in reverse order of kinds; then what gives some; then deletes, in reverse order. A
        service of which an object is refused keeps what it has, save that what takes access away still goes, and the
        data our own programs decide by.
        ``Step.error`` has the server's words; ``Step.trouble`` a code of ``kubernetes_errors.CATALOGUE``.

        Only what bears our label, or lost it after we applied it, is deleted. While the mesh is in ``allow`` mode the
        last TrafficTarget of a destination is not deleted, which would open it to everybody: one that lets in nobody
        takes its place.
        """
        applying = Applying(
            self._api,
            cluster=self._config.cluster,
            access_control=self._config.access_control,
            force_paths=self._config.force_paths,
            plan=plan,
        )
        step = applying.run()
        self.conflicts = dict(applying.doing.conflicts)
        return step

    # -- rights ----------------------------------------------------------------------------------------------------
    def access_review(self) -> AccessReview:
        """Asks about every verb, kind and namespace of the configuration. Raises VendorError."""
        return review(self._api, self.scopes)


def _held(path: str, live: Obj, artifact: Artifact | None) -> HeldObject:
    sha256 = held_hash(live, parsed(artifact), artifact.sha256, MANAGER) if artifact else held_hash(live)
    return HeldObject(path, sha256, text_of(live), labels_of(live).get(REVISION, ""), others_in(live, MANAGER))
