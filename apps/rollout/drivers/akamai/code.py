"""Code at the edge: uploaded once, activated on staging, then on production, and old versions tidied away.

Every call looks at how far that is and takes the next step, so that it may be killed anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgeworker import pack
from apps.rollout.drivers.akamai.api import EDGEWORKERS, PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.akamai.errors import CATALOGUE, ENDINGS, Does, explain, invalid_bundle
from apps.rollout.drivers.akamai.words import standing
from apps.rollout.drivers.base import Budget, Move, Step, VendorError

MANIFEST = "bundle.json"
UNDER_WAY = frozenset({"PRESUBMIT", "PENDING", "IN_PROGRESS"})
CANCELLABLE = frozenset({"PRESUBMIT", "PENDING"})
NOTE = "Sallyport"
OFF_ALREADY = ("EW1031", "EW1032")
"""Somebody else was first: it is being deactivated, or was."""

BEGUN = 400
"""What Akamai answers to a cancellation that comes too late."""
FAILURES_IN_A_ROW = 3
"""After so many failed activations of one version on one network, a person is asked."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gate:
    """How far code may go. ``forgiven``: failed activations that count no longer, since a person said so; ``noted``:
    those that were reported already, and waited for.

    ``approved`` is the one version a person let go to production, where ``by_person`` says that it takes one.

    ``tried`` is the version that was tried on staging, where ``on_trial`` says that it must be. ``held``: versions that
    nobody activates again before a person says so, each with the name of the trouble. ``straight``: the version that
    was good before and goes back to production at once, then to staging.
    """

    by_person: bool = False
    approved: str = ""
    forgiven: frozenset[int] = frozenset()
    noted: frozenset[int] = frozenset()
    on_trial: bool = False
    tried: str = ""
    held: Mapping[str, str] = field(default_factory=dict)
    straight: str = ""

    def way(self, version: str) -> tuple[str, str]:
        """The networks, in the order in which a version goes to them."""
        return (PRODUCTION, STAGING) if version == self.straight else (STAGING, PRODUCTION)


@dataclass
class Progress:
    """What one ``apply`` did, gathered from several threads."""

    applied: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    failures: list[VendorError] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    waiting: str = ""
    wait: float | None = None
    to_approve: str = ""
    to_try: str = ""
    live: dict[str, str] = field(default_factory=dict)

    def step(self, *, done: bool) -> Step:
        first = self.failures[0] if self.failures else None
        trouble = explain(first).code if first else ""
        return Step(
            done=done and first is None,
            applied=self.applied,
            events=tuple(self.events),
            waiting=self.waiting,
            error=str(first) if first else "",
            retry_after=first.retry_after if first else self.wait,
            trouble=trouble,
            moves=tuple(self.moves),
            to_approve=self.to_approve,
            to_try=self.to_try,
            live=self.live,
        )


class EdgeCode:
    """The versions and activations of one EdgeWorker id."""

    def __init__(self, api: AkamaiApi, edgeworker_id: int | None, budget: Budget, gate: Gate) -> None:
        self._api, self._budget, self._gate = api, budget, gate
        self._worker = f"{EDGEWORKERS}/ids/{edgeworker_id}"

    def bring(self, code: tuple[Artifact, ...], progress: Progress) -> bool:
        """True when the code is live on production. What keeps it is in ``progress``."""
        try:
            version = self._ensure_version(code, progress)
            way = self._gate.way(version)
            done = version != "" and all(self._ensure_active(version, one, progress) for one in way)
        except VendorError as error:
            if explain(error).does != Does.GO_ON:
                progress.failures.append(error)
            else:
                progress.waiting, progress.wait = explain(error).what, explain(error).first
            return False
        if done:
            progress.applied.update({artifact.path: artifact.sha256 for artifact in code})
        return done

    def _ensure_version(self, code: tuple[Artifact, ...], progress: Progress) -> str:
        """The version's name once it is uploaded; empty while the budget has no room for it."""
        version, bundle = code_version(code), pack(code)
        found = next((row for row in self.versions() if row.get("version") == version), None)
        if found is not None:
            _require_same(found, bundle)
            return version
        verdict = self._api.post_bundle(f"{EDGEWORKERS}/validations", bundle)
        if verdict.get("errors"):
            raise invalid_bundle(verdict["errors"])
        leave = self._budget.version()
        if not leave.granted:
            progress.waiting, progress.wait = leave.why, leave.wait
            return ""
        self._api.post_bundle(f"{self._worker}/versions", bundle)
        progress.events.append(f"Version {version} is uploaded ({len(bundle)} bytes).")
        return version

    def versions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.get_json(f"{self._worker}/versions").get("versions", [])
        return found

    def _ensure_active(self, version: str, network: str, progress: Progress) -> bool:
        """True when the version is live on the network; else the activation is asked for, or still being waited for."""
        rows = self.activations({"version": version, "network": network})
        progress.moves.extend(_move(row) for row in rows[:FAILURES_IN_A_ROW])
        if self.live_version(network) == version:
            progress.live[network] = version
            return True
        under_way: Row | None = next((row for row in rows if row["status"] in UNDER_WAY), None)
        if under_way is None and not self._may_activate(version, network, rows, progress):
            return False
        under_way = under_way or self._activate(version, network, progress)
        progress.waiting = f"Activation {under_way['activationId']} on {network} is {standing(under_way['status'])}."
        return False

    def _may_activate(self, version: str, network: str, rows: Sequence[Row], progress: Progress) -> bool:
        """Not while a person is to decide, after it failed too often, or beyond the budget."""
        self._require_hope(rows, network)
        if version in self._gate.held:
            raise VendorError(f"Version {version}", 0, "is held back", kind=self._gate.held[version])
        if network == PRODUCTION and version != self._gate.straight and not self._may_reach(version, progress):
            return False
        leave = self._budget.activation(network)
        if not leave.granted:
            progress.waiting, progress.wait = leave.why, leave.wait
            return False
        return True

    def _may_reach(self, version: str, progress: Progress) -> bool:
        """Production: only what was tried on staging and, where that is asked for, approved by a person."""
        if self._gate.on_trial and self._gate.tried != version:
            progress.waiting = f"Version {version} is live on staging and is tried there before it goes to production."
            progress.to_try = version
            return False
        if self._gate.by_person and self._gate.approved != version:
            progress.waiting = f"Version {version} is live on staging. An operator has to approve it for production."
            progress.wait, progress.to_approve = 60.0, version
            return False
        return True

    def _require_hope(self, rows: Sequence[Row], network: str) -> None:
        """Raise what the last activations ended in, unless it was waited for and is worth another try."""
        bad = self._failures(rows)
        if not bad:
            return
        status, number = str(bad[0]["status"]), int(bad[0]["activationId"])
        kind = ENDINGS[status]
        if CATALOGUE[kind].does != Does.HOLD and len(bad) >= FAILURES_IN_A_ROW:
            kind = "activation_failed"
        if CATALOGUE[kind].does == Does.HOLD or number not in self._gate.noted:
            raise VendorError(f"Activation {number} on {network}", 0, f"ended as {status}", kind=kind)

    def _failures(self, rows: Sequence[Row]) -> list[Row]:
        """The failed activations since one went well, newest first, but for those a person forgave."""
        bad: list[Row] = []
        for row in rows:
            if row["status"] not in ENDINGS:
                break
            if int(row["activationId"]) not in self._gate.forgiven:
                bad.append(row)
        return bad

    def _activate(self, version: str, network: str, progress: Progress) -> Row:
        made: Row = self._api.post_json(
            f"{self._worker}/activations", {"network": network, "version": version, "note": NOTE}
        )
        progress.events.append(f"Activation {made['activationId']} of {version} on {network} is asked for.")
        progress.moves.append(_move(made))
        return made

    def activations(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """Newest first."""
        rows = self._api.get_json(f"{self._worker}/activations", params).get("activations", [])
        return sorted(rows, key=lambda row: -int(row["activationId"]))

    def live_version(self, network: str) -> str:
        rows = self.activations({"activeOnNetwork": "true", "network": network})
        return str(rows[0]["version"]) if rows else ""

    def cancel(self, version: str) -> tuple[Move, ...]:
        """Stop what of a version is not in progress yet. Empty when it is too late, or nothing is under way."""
        stopped: list[Move] = []
        for row in self.activations({"version": version}):
            if row["status"] in CANCELLABLE and self._stop(row):
                stopped.append(_move({**row, "status": "CANCELLED"}))
        return tuple(stopped)

    # -- leaving ---------------------------------------------------------------------------------------------------
    def exists(self) -> bool:
        return self._api.find_json(self._worker) is not None

    def used_by(self) -> tuple[str, ...]:
        """Names of the properties that run this EdgeWorker on either network, as far as this credential may see."""
        rows = self._api.get_json(f"{self._worker}/properties", {"activeOnly": "true"})["properties"]
        return tuple(str(row["propertyName"]) for row in rows)

    def unsettled(self) -> bool:
        """Whether an activation is still under way; those that had not begun are stopped."""
        rows = [row for row in self.activations({}) if row["status"] in UNDER_WAY]
        begun = [row for row in rows if row["status"] not in CANCELLABLE or not self._stop(row)]
        return bool(begun)

    def take_off(self, version: str, network: str, *, failures: int = 0) -> None:
        """Have a version that is live deactivated, unless that is under way already.

        Raises what the last one ended in, when more failed than the ``failures`` that were waited for.
        """
        found = self._api.get_json(f"{self._worker}/deactivations", {"version": version}).get("deactivations", [])
        rows = sorted((row for row in found if row["network"] == network), key=lambda row: -int(row["deactivationId"]))
        if rows and rows[0]["status"] in UNDER_WAY:
            return
        bad = list(takewhile(lambda row: row["status"] in ENDINGS, rows))
        if len(bad) > failures:
            what = f"Deactivation {bad[0]['deactivationId']} on {network}"
            raise VendorError(what, 0, f"ended as {bad[0]['status']}", kind=ENDINGS[bad[0]["status"]])
        body = {"network": network, "version": version, "note": NOTE}
        try:
            self._api.post_json(f"{self._worker}/deactivations", body)
        except VendorError as error:
            if explain(error).code not in OFF_ALREADY:
                raise

    def delete_worker(self) -> None:
        """The id itself. Akamai refuses while a version is live."""
        self._api.delete(self._worker)

    def _stop(self, row: Row) -> bool:
        """False when it has begun since it was read: Akamai refuses then."""
        try:
            self._api.delete(f"{self._worker}/activations/{row['activationId']}")
        except VendorError as error:
            if error.status != BEGUN:
                raise
            return False
        return True

    def spare_versions(self, keep: int) -> tuple[str, ...]:
        """Versions that may go, oldest first: not live, not under way, not among the newest ``keep``."""
        rows = sorted(self.versions(), key=lambda row: (str(row.get("createdTime", "")), _number(row)))
        busy = {str(row["version"]) for row in self.activations({}) if row["status"] in UNDER_WAY}
        busy |= {self.live_version(network) for network in (STAGING, PRODUCTION)}
        return tuple(str(row["version"]) for row in rows[: max(len(rows) - keep, 0)] if str(row["version"]) not in busy)

    def delete_version(self, version: str) -> None:
        self._api.delete(f"{self._worker}/versions/{version}")


def _move(row: Row) -> Move:
    asked, changed = str(row.get("createdTime", "")), str(row.get("lastModifiedTime", ""))
    return Move(int(row["activationId"]), str(row["network"]), str(row["version"]), str(row["status"]), asked, changed)


def _number(row: Row) -> int:
    text = str(row.get("sequenceNumber", ""))
    return int(text) if text.isdecimal() else 0


def _require_same(found: Row, bundle: bytes) -> None:
    """The name of a version holds the digest of its code, and the bundle is packed the same way each time."""
    checksum = str(found.get("checksum", ""))
    if checksum and checksum != hashlib.sha256(bundle).hexdigest():
        raise VendorError(f"Version {found['version']}", 0, f"has the checksum {checksum}", kind="version_taken")


def code_version(code: Iterable[Artifact]) -> str:
    """The version its manifest names; empty for no code."""
    for artifact in code:
        if artifact.path == MANIFEST:
            return str(json.loads(artifact.content)["edgeworker-version"])
    return ""


def named(code: Collection[Artifact], version: str) -> tuple[Artifact, ...]:
    """The same code under another version, for when its own name was used up."""
    return tuple(_renamed(one, version) if one.path == MANIFEST else one for one in code)


def _renamed(manifest: Artifact, version: str) -> Artifact:
    facts = {**json.loads(manifest.content), "edgeworker-version": version}
    text = json.dumps(facts, separators=(",", ":"), sort_keys=True)
    return Artifact.of(manifest.path, manifest.media_type, text.encode())
