"""Akamai: grants travel as EdgeKV items in seconds, code as EdgeWorker versions in minutes.

Items go to the staging store, then to the production store. Code is uploaded once, activated on staging, then on
production; every call looks at how far that is and takes the next step, so that it may be killed anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import GROUP
from apps.rollout.drivers.akamai.api import EDGEKV, EDGEWORKERS, POOL, PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.akamai.code import EdgeCode, Gate, Progress, code_version
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.base import (
    Budget,
    Desired,
    Expectation,
    Observed,
    Plan,
    Proof,
    Step,
    Unlimited,
    VendorError,
)

GONE, NEVER, NAME_LENGTH = 410, 9999, 32
WRITES_PER_ITEM = 2
"""One for each network's store."""


class NotReady(VendorError):
    """The account is still being prepared."""

    def __init__(self, state: object) -> None:
        super().__init__("EdgeKV", 0, f"is being initialised: {state}", retry_after=5.0, kind="not_ready")


@dataclass(frozen=True, slots=True)
class AkamaiConfig:
    """``edgeworker_id`` is found or made by ``setup`` and remembered.

    ``chosen_id``: the one a person chose. ``makes_namespace``: it may be made when it is not there. ``token_name``: of
    the token that is in use already.
    """

    namespace: str
    edgeworker_name: str
    group_id: int
    resource_tier_id: int
    edgeworker_id: int | None = None
    chosen_id: int | None = None
    makes_namespace: bool = True
    token_name: str = ""


@dataclass(frozen=True, slots=True)
class KvToken:
    """A token the code at the edge reads EdgeKV with. Of the newer kind the ``uuid`` is all that is known and goes into
    the code; of the older kind the ``value`` does. ``expires_on`` is None for never.
    """

    name: str
    uuid: str
    value: str = field(default="", repr=False)
    expires_on: date | None = None
    refreshed_next: date | None = None


class AkamaiDriver:
    """``code`` is the part of it that moves versions; ``budget`` is asked before anything is spent."""

    def __init__(
        self,
        api: AkamaiApi,
        config: AkamaiConfig,
        caller: EdgeCaller,
        budget: Budget | None = None,
        gate: Gate | None = None,
        staging: EdgeCaller | None = None,
    ) -> None:
        self._api, self._config, self._caller, self._staging = api, config, caller, staging
        self._budget: Budget = budget or Unlimited()
        self.code = EdgeCode(api, config.edgeworker_id, self._budget, gate or Gate())

    # -- once ------------------------------------------------------------------------------------------------------
    @as_documented()
    def setup(self) -> Mapping[str, object]:
        """The EdgeKV store and namespace, the EdgeWorker id, and the token its code reads EdgeKV with."""
        store = self._initialize_store()
        for network in (STAGING, PRODUCTION):
            self._ensure_namespace(network)
        worker = self._ensure_edgeworker()
        edgeworker_id = int(worker["edgeWorkerId"])
        return {
            "edgeworker_id": edgeworker_id,
            "account_id": str(worker.get("accountId", "")),
            **store,
            "kv_token": self._ensure_some_token(edgeworker_id),
        }

    def _ensure_some_token(self, edgeworker_id: int) -> KvToken:
        """The one in use, or the first under our names that did not end."""
        base, used = kv_token_name(self._config.namespace, edgeworker_id), set[str]()
        name = self._config.token_name or base
        while (token := self.ensure_token(name, edgeworker_id)) is None:
            used |= {name, base}
            name = next_token_name(base, used)
        return token

    @as_documented()
    def store(self) -> Mapping[str, object]:
        """Which EdgeKV store this is, as far as Akamai tells."""
        return store_of(self._api)

    def _initialize_store(self) -> Mapping[str, object]:
        found = self._api.find_json(f"{EDGEKV}/initialize")
        if found is None or found.get("accountStatus") == "UNINITIALIZED":
            policy = {"restrictDataAccess": True, "allowNamespacePolicyOverride": False}
            self._api.put_json(f"{EDGEKV}/initialize", {"dataAccessPolicy": policy})
            found = self._api.get_json(f"{EDGEKV}/initialize")
        if found.get("accountStatus") != "INITIALIZED":
            raise NotReady(found.get("accountStatus"))
        return _store(found)

    def _ensure_namespace(self, network: str) -> None:
        base = f"{EDGEKV}/networks/{network.lower()}/namespaces"
        rows = self._api.get_json(base).get("namespaces", [])
        if any(row.get("namespace") == self._config.namespace for row in rows):
            return
        if not self._config.makes_namespace:
            missing = f"is not there on {network.lower()}, and a person said that it is not to be made"
            raise VendorError(f"EdgeKV namespace {self._config.namespace}", 0, missing, kind="namespace_missing")
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

    def _ensure_edgeworker(self) -> Mapping[str, Any]:
        if self._config.chosen_id is not None:
            chosen: Mapping[str, Any] = self._api.get_json(f"{EDGEWORKERS}/ids/{self._config.chosen_id}")
            return chosen
        own = own_edgeworker(self._api, self._config.edgeworker_name, self._config.group_id)
        if own is not None:
            return own
        made: Mapping[str, Any] = self._api.post_json(
            f"{EDGEWORKERS}/ids",
            {
                "name": self._config.edgeworker_name,
                "groupId": self._config.group_id,
                "resourceTierId": self._config.resource_tier_id,
                "description": "The edge door of Sallyport",
            },
        )
        return made

    @as_documented()
    def undo_setup(self) -> None:
        """Take away what a set-up made that never came to its end. An EdgeWorker with versions is somebody's."""
        config = self._config
        found = own_edgeworker(self._api, config.edgeworker_name, config.group_id)
        if config.chosen_id is not None or found is None:
            return
        number = int(found["edgeWorkerId"])
        worker = EdgeCode(self._api, number, self._budget, Gate())
        if not worker.versions():
            self.delete_token(kv_token_name(self._config.namespace, number))
            worker.delete_worker()

    @as_documented()
    def ensure_token(self, name: str, edgeworker_id: int) -> KvToken | None:
        """The token of this name, made when it is not there. None when it ended: its name is used up then."""
        found = self._find_token(name)
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
        return _token(name, found) if found else None

    def _find_token(self, name: str) -> Mapping[str, Any] | None:
        """None when there is none; empty when it ended."""
        try:
            found: Mapping[str, Any] | None = self._api.find_json(f"{EDGEKV}/tokens/{name}")
        except VendorError as error:
            if error.status == GONE:
                return {}
            raise
        return found

    def delete_token(self, name: str) -> None:
        """For good: code that names it reads nothing any more."""
        self._api.delete(f"{EDGEKV}/tokens/{name}")

    @as_documented()
    def limits(self) -> Mapping[str, int]:
        """What the account may do, by Akamai's own names."""
        rows = self._api.get_json(f"{EDGEWORKERS}/limits").get("limits", [])
        return {str(row["limitId"]): int(row["limitValue"]) for row in rows}

    # -- reading back ----------------------------------------------------------------------------------------------
    @as_documented()
    def observe(self, expected: Sequence[Artifact]) -> Observed:
        """The named items in the production store, and the version that is live there."""
        with ThreadPoolExecutor(POOL) as pool:
            hashes = pool.map(self._held, expected)
            found = {artifact.path: held for artifact, held in zip(expected, hashes, strict=True)}
        return Observed(artifacts=found, code_version=self.code.live_version(PRODUCTION))

    def _held(self, expected: Artifact) -> str:
        text = self._api.find_text(self._item_path(PRODUCTION, expected.path))
        if text is None:
            return ""
        return expected.sha256 if _same_json(text, expected.content) else hashlib.sha256(text.encode()).hexdigest()

    def held_text(self, path: str) -> str:
        """What the production store holds there, as it is."""
        return self._api.find_text(self._item_path(PRODUCTION, path)) or ""

    @as_documented()
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

    @as_documented()
    def apply(self, plan: Plan) -> Step:
        """Items first, since new code may read new items; what is gone goes last, when no code reads it any more."""
        progress = Progress()
        if not self._each(plan.puts, self._put_item, progress) or progress.failures:
            return progress.step(done=False)
        if plan.code and not self.code.bring(plan.code, progress):
            return progress.step(done=False)
        return progress.step(done=self._each(plan.deletes, self._delete_item, progress))

    def _each(self, items: Sequence[Any], action: Callable[[Any, Progress], None], progress: Progress) -> bool:
        """As many as the budget has room for. False when some are left for later."""
        if not items:
            return True
        leave = self._budget.writes(WRITES_PER_ITEM * len(items))
        now = items[: leave.granted // WRITES_PER_ITEM]
        self._at_once(now, action, progress)
        if len(now) < len(items):
            progress.waiting, progress.wait = leave.why, leave.wait
        return len(now) == len(items)

    def _at_once(self, items: Iterable[Any], action: Callable[[Any, Progress], None], progress: Progress) -> None:
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

    def _put_item(self, item: Artifact, progress: Progress) -> None:
        for network in (STAGING, PRODUCTION):
            self._api.put_text(self._item_path(network, item.path), item.content, item.media_type)
        progress.applied[item.path] = item.sha256
        progress.events.append(f"EdgeKV holds {item.path} ({len(item.content)} bytes) on staging and production.")

    def _delete_item(self, path: str, progress: Progress) -> None:
        for network in (STAGING, PRODUCTION):
            self._api.delete(self._item_path(network, path))
        progress.applied[path] = ""
        progress.events.append(f"EdgeKV no longer holds {path}.")

    def _item_path(self, network: str, path: str) -> str:
        group, _, key = path.partition("/")
        base = f"{EDGEKV}/networks/{network.lower()}/namespaces/{self._config.namespace}"
        return f"{base}/groups/{group}/items/{key}"

    # -- proving ---------------------------------------------------------------------------------------------------
    def probe(self, expectations: Sequence[Expectation]) -> tuple[Proof, ...]:
        return self._caller.probe(expectations)

    def probe_staging(self, expectations: Sequence[Expectation]) -> tuple[Proof, ...] | None:
        """The same through the staging network; None when no way into it is known."""
        return self._staging.probe(expectations) if self._staging else None


def store_of(api: AkamaiApi) -> Mapping[str, object]:
    """Which EdgeKV store the credential reaches: an account has one, and one code its traffic is counted under. Empty
    before it is initialised.
    """
    return _store(api.find_json(f"{EDGEKV}/initialize") or {})


def _store(found: Mapping[str, Any]) -> Mapping[str, object]:
    return {"edgekv_cpcode": str(found["cpcode"])} if found.get("cpcode") else {}


def own_edgeworker(api: AkamaiApi, name: str, group_id: int) -> Mapping[str, Any] | None:
    """By its name, in its group."""
    found = api.get_json(f"{EDGEWORKERS}/ids", {"groupId": str(group_id)})
    rows: list[Mapping[str, Any]] = found.get("edgeWorkerIds", [])
    return next((row for row in rows if row.get("name") == name), None)


def _token(name: str, row: Mapping[str, Any]) -> KvToken:
    return KvToken(
        name=name,
        uuid=str(row["uuid"]),
        value=str(row.get("value") or ""),
        expires_on=_day(row.get("expiry")),
        refreshed_next=_day(row.get("nextScheduledRefreshDate")),
    )


def _day(text: object) -> date | None:
    """None for never, which Akamai writes as the last day of the year 9999, and for what is no day."""
    try:
        found = date.fromisoformat(str(text)[:10])
    except ValueError:
        return None
    return None if found.year == NEVER else found


def next_token_name(base: str, used: Collection[str]) -> str:
    """Names are never used twice: a deleted or ended one may be in code somebody goes back to."""
    if base not in used:
        return base
    numbered = (f"{base[: NAME_LENGTH - 1 - len(str(number))]}-{number}" for number in range(2, len(used) + 3))
    return next(name for name in numbered if name not in used)


def kv_token_name(namespace: str, edgeworker_id: int) -> str:
    """Of the token the code at the edge reads EdgeKV with; names have at most 32 characters."""
    return f"{namespace}-{edgeworker_id}"[:NAME_LENGTH]


def is_code(path: str) -> bool:
    """Whether a path of an edge target is part of the bundle rather than an EdgeKV item."""
    return "/" not in path


def _same_json(text: str, content: bytes) -> bool:
    """EdgeKV may give an item back written otherwise; what counts is what it says."""
    try:
        return bool(json.loads(text) == json.loads(content))
    except ValueError:
        return False
