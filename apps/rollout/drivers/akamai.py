"""Akamai: grants travel as EdgeKV items in seconds, code as EdgeWorker versions in minutes.

Items go to the staging store, then to the production store. Code is uploaded once, activated on staging, then on
production; every call looks at how far that is and takes the next step, so that it may be killed anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import GROUP
from apps.compiler.emitters.edgeworker import pack
from apps.rollout.drivers.akamai_api import EDGEKV, EDGEWORKERS, POOL, PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.base import Desired, Expectation, Observed, Plan, Proof, Step, VendorError
from apps.rollout.drivers.edge_calls import EdgeCaller

MANIFEST = "bundle.json"
UNDER_WAY = frozenset({"PRESUBMIT", "PENDING", "IN_PROGRESS"})
NOTE = "Sallyport"


class NotReady(VendorError):
    """The account is still being prepared."""


@dataclass(frozen=True, slots=True)
class AkamaiConfig:
    """``edgeworker_id`` is found or made by ``setup`` and remembered."""

    namespace: str
    edgeworker_name: str
    group_id: int
    resource_tier_id: int
    edgeworker_id: int | None = None


@dataclass
class _Progress:
    """What one ``apply`` did, gathered from several threads."""

    applied: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    failures: list[VendorError] = field(default_factory=list)
    waiting: str = ""

    def step(self, *, done: bool) -> Step:
        first = self.failures[0] if self.failures else None
        return Step(
            done=done and first is None,
            applied=self.applied,
            events=tuple(self.events),
            waiting=self.waiting,
            error=str(first) if first else "",
            retry_after=first.retry_after if first else None,
        )


class AkamaiDriver:
    def __init__(self, api: AkamaiApi, config: AkamaiConfig, caller: EdgeCaller) -> None:
        self._api, self._config, self._caller = api, config, caller

    # -- once ------------------------------------------------------------------------------------------------------
    def setup(self) -> Mapping[str, object]:
        """The EdgeKV store and namespace, the EdgeWorker id, and the token its code reads EdgeKV with."""
        self._initialize_store()
        for network in (STAGING, PRODUCTION):
            self._ensure_namespace(network)
        edgeworker_id = self._ensure_edgeworker()
        return {"edgeworker_id": edgeworker_id, "kv_token_ref": self._ensure_kv_token(edgeworker_id)}

    def _initialize_store(self) -> None:
        found = self._api.find_json(f"{EDGEKV}/initialize")
        if found is None or found.get("accountStatus") == "UNINITIALIZED":
            policy = {"restrictDataAccess": True, "allowNamespacePolicyOverride": False}
            self._api.put_json(f"{EDGEKV}/initialize", {"dataAccessPolicy": policy})
            found = self._api.get_json(f"{EDGEKV}/initialize")
        if found.get("accountStatus") != "INITIALIZED":
            raise NotReady("EdgeKV", 0, f"is being initialised: {found.get('accountStatus')}", retry_after=5.0)

    def _ensure_namespace(self, network: str) -> None:
        base = f"{EDGEKV}/networks/{network.lower()}/namespaces"
        rows = self._api.get_json(base).get("namespaces", [])
        if any(row.get("namespace") == self._config.namespace for row in rows):
            return
        body: dict[str, object] = {
            "namespace": self._config.namespace,
            "retentionInSeconds": 0,
            "groupId": self._config.group_id,
            "geoLocation": "US",
        }
        try:
            self._api.post_json(base, body)
        except VendorError as error:
            if error.status != 409:
                raise

    def _ensure_edgeworker(self) -> int:
        found = self._api.get_json(f"{EDGEWORKERS}/ids", {"groupId": str(self._config.group_id)})
        for row in found.get("edgeWorkerIds", []):
            if row.get("name") == self._config.edgeworker_name:
                return int(row["edgeWorkerId"])
        made = self._api.post_json(
            f"{EDGEWORKERS}/ids",
            {
                "name": self._config.edgeworker_name,
                "groupId": self._config.group_id,
                "resourceTierId": self._config.resource_tier_id,
                "description": "The edge door of Sallyport",
            },
        )
        return int(made["edgeWorkerId"])

    def _ensure_kv_token(self, edgeworker_id: int) -> str:
        name = kv_token_name(self._config.namespace, edgeworker_id)
        found = self._api.find_json(f"{EDGEKV}/tokens/{name}")
        if found is None:
            found = self._api.post_json(
                f"{EDGEKV}/tokens",
                {
                    "name": name,
                    "allowOnStaging": True,
                    "allowOnProduction": True,
                    "namespacePermissions": {self._config.namespace: ["r"]},
                    "restrictToEdgeWorkerIds": [str(edgeworker_id)],
                },
            )
        return str(found["uuid"])

    # -- reading back ----------------------------------------------------------------------------------------------
    def observe(self, expected: Sequence[Artifact]) -> Observed:
        """The named items in the production store, and the version that is live there."""
        with ThreadPoolExecutor(POOL) as pool:
            hashes = pool.map(self._held, expected)
            found = {artifact.path: held for artifact, held in zip(expected, hashes, strict=True)}
        return Observed(artifacts=found, code_version=self._live_version(PRODUCTION))

    def _held(self, expected: Artifact) -> str:
        text = self._api.find_text(self._item_path(PRODUCTION, expected.path))
        if text is None:
            return ""
        return expected.sha256 if _same_json(text, expected.content) else hashlib.sha256(text.encode()).hexdigest()

    def _live_version(self, network: str) -> str:
        rows = self._activations({"activeOnNetwork": "true", "network": network})
        return str(rows[0]["version"]) if rows else ""

    def listed_items(self) -> tuple[str, ...]:
        """Paths of the items in our group of the production store: as many as the vendor lists, which are not all."""
        base = f"{EDGEKV}/networks/{PRODUCTION.lower()}/namespaces/{self._config.namespace}"
        return tuple(f"{GROUP}/{key}" for key in self._api.find_json(f"{base}/groups/{GROUP}") or ())

    # -- moving ----------------------------------------------------------------------------------------------------
    def plan(self, desired: Desired, observed: Observed) -> Plan:
        held = observed.artifacts
        version = code_version(desired.code)
        return Plan(
            number=desired.number,
            digest=desired.digest,
            observed=observed.fingerprint,
            puts=tuple(item for item in desired.puts if held.get(item.path) != item.sha256),
            deletes=tuple(path for path in desired.deletes if held.get(path, "?") != ""),
            code=desired.code if version != observed.code_version else (),
        )

    def apply(self, plan: Plan) -> Step:
        """Items first, since new code may read new items; what is gone goes last, when no code reads it any more."""
        progress = _Progress()
        self._each(plan.puts, self._put_item, progress)
        code_done = self._apply_code(plan.code, progress) if plan.code and not progress.failures else not plan.code
        if code_done and not progress.failures:
            self._each(plan.deletes, self._delete_item, progress)
        return progress.step(done=code_done)

    def _each(self, items: Iterable[Any], action: Callable[[Any, _Progress], None], progress: _Progress) -> None:
        """Several at a time; a failure does not keep the others from being tried."""

        def attempt(item: Any) -> None:
            try:
                action(item, progress)
            except VendorError as error:
                progress.failures.append(error)

        work = list(items)
        if len(work) == 1:
            attempt(work[0])
        elif work:
            with ThreadPoolExecutor(POOL) as pool:
                list(pool.map(attempt, work))

    def _put_item(self, item: Artifact, progress: _Progress) -> None:
        for network in (STAGING, PRODUCTION):
            self._api.put_text(self._item_path(network, item.path), item.content, item.media_type)
        progress.applied[item.path] = item.sha256
        progress.events.append(f"EdgeKV holds {item.path} ({len(item.content)} bytes) on staging and production.")

    def _delete_item(self, path: str, progress: _Progress) -> None:
        for network in (STAGING, PRODUCTION):
            self._api.delete(self._item_path(network, path))
        progress.applied[path] = ""
        progress.events.append(f"EdgeKV no longer holds {path}.")

    def _item_path(self, network: str, path: str) -> str:
        group, _, key = path.partition("/")
        base = f"{EDGEKV}/networks/{network.lower()}/namespaces/{self._config.namespace}"
        return f"{base}/groups/{group}/items/{key}"

    def _apply_code(self, code: tuple[Artifact, ...], progress: _Progress) -> bool:
        try:
            version = self._ensure_version(code, progress)
            for network in (STAGING, PRODUCTION):
                if not self._ensure_active(version, network, progress):
                    return False
        except VendorError as error:
            progress.failures.append(error)
            return False
        progress.applied.update({artifact.path: artifact.sha256 for artifact in code})
        return True

    def _ensure_version(self, code: tuple[Artifact, ...], progress: _Progress) -> str:
        version = code_version(code)
        rows = self._api.get_json(f"{self._worker()}/versions").get("versions", [])
        if any(row.get("version") == version for row in rows):
            return version
        bundle = pack(code)
        verdict = self._api.post_bundle(f"{EDGEWORKERS}/validations", bundle)
        if verdict.get("errors"):
            raise VendorError("The bundle is not valid", 200, json.dumps(verdict["errors"]))
        self._api.post_bundle(f"{self._worker()}/versions", bundle)
        progress.events.append(f"Version {version} is uploaded ({len(bundle)} bytes).")
        return version

    def _ensure_active(self, version: str, network: str, progress: _Progress) -> bool:
        """True when the version is live on the network; else the activation is asked for, or still being waited for."""
        if self._live_version(network) == version:
            return True
        rows = self._activations({"version": version, "network": network})
        newest = max(rows, key=lambda row: int(row["activationId"]), default=None)
        if newest is not None and newest["status"] == "COMPLETE" and self._live_version(network) == version:
            return True  # it went live between the two questions
        under_way: Mapping[str, Any] = (
            newest
            if newest is not None and newest["status"] in UNDER_WAY
            else self._activate(version, network, progress, failed=newest)
        )
        progress.waiting = f"Activation {under_way['activationId']} on {network} is {under_way['status']}."
        return False

    def _activate(
        self, version: str, network: str, progress: _Progress, *, failed: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        if failed is not None and failed["status"] != "COMPLETE":
            progress.events.append(f"Activation {failed['activationId']} on {network} ended as {failed['status']}.")
        made: Mapping[str, Any] = self._api.post_json(
            f"{self._worker()}/activations", {"network": network, "version": version, "note": NOTE}
        )
        progress.events.append(f"Activation {made['activationId']} of {version} on {network} is asked for.")
        return made

    def _activations(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.get_json(f"{self._worker()}/activations", params).get("activations", [])
        return found

    def _worker(self) -> str:
        return f"{EDGEWORKERS}/ids/{self._config.edgeworker_id}"

    # -- proving ---------------------------------------------------------------------------------------------------
    def probe(self, expectations: Sequence[Expectation]) -> tuple[Proof, ...]:
        return self._caller.probe(expectations)


def kv_token_name(namespace: str, edgeworker_id: int) -> str:
    """Of the token the code at the edge reads EdgeKV with; names have at most 32 characters."""
    return f"{namespace}-{edgeworker_id}"[:32]


def code_version(code: Iterable[Artifact]) -> str:
    """The version its manifest names; empty for no code."""
    for artifact in code:
        if artifact.path == MANIFEST:
            return str(json.loads(artifact.content)["edgeworker-version"])
    return ""


def is_code(path: str) -> bool:
    """Whether a path of an edge target is part of the bundle rather than an EdgeKV item."""
    return "/" not in path


def _same_json(text: str, content: bytes) -> bool:
    """EdgeKV may give an item back written otherwise; what counts is what it says."""
    try:
        return bool(json.loads(text) == json.loads(content))
    except ValueError:
        return False
