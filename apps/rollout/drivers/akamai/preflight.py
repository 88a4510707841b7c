"""What an Akamai account lets us do, found out before it is needed. Every call here only reads.

What is said of a capability comes from one call each: EdgeWorkers and EdgeKV answer with the capabilities of a group,
the other APIs by answering or refusing. Which role gives a right to activate properties is not published, so the level
of the API client's access to Property Manager stands for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from apps.rollout.drivers.akamai.api import EDGEKV, EDGEWORKERS, PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.akamai.words import NO_ANSWER, ODD, explain
from apps.rollout.drivers.base import VendorError

AT_ONCE = 4
CALL_SECONDS = 20.0
ALL_SECONDS = 90.0
MOST_CONTRACTS = 5

GRANTED, MISSING, UNKNOWN = "granted", "missing", "unknown"

PAPI, IAM = "/papi/v1", "/identity-management/v3"
KEYSTORE = "/mtls-origin-keystore/v1/client-certificates"
STREAMS = "/datastream-config-api/v2/log/streams"
NETWORK_LISTS, CLIENT_LISTS = "/network-list/v2/network-lists", "/client-list/v1/lists"
NO_PREFIXES = {"PAPI-Use-Prefixes": "false"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One capability. ``without`` says what breaks when it is missing; ``needed`` is False for what is only useful."""

    area: str
    name: str
    verdict: str
    said: str
    without: str
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a target relies on. Without a contract every contract of the account is looked through."""

    group_id: int
    resource_tier_id: int
    namespace: str
    token_name: str
    contract_id: str = ""


@dataclass(frozen=True, slots=True)
class Capability:
    """``codes`` are all needed for it. ``without``: what breaks."""

    name: str
    without: str
    codes: tuple[str, ...] = ()
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """What one call, or a short chain of calls, tells of some capabilities. ``ask`` answers in their order."""

    area: str
    capabilities: tuple[Capability, ...]
    ask: Callable[[AkamaiApi, Wanted, tuple[Capability, ...]], list[tuple[str, str]]]

    def run(self, api: AkamaiApi, wanted: Wanted) -> tuple[Finding, ...]:
        try:
            verdicts = self.ask(api, wanted, self.capabilities)
        except VendorError as error:
            return self.all(MISSING if error.status == 403 else UNKNOWN, explain(error))
        except (LookupError, TypeError, AttributeError, ValueError):
            return self.all(UNKNOWN, ODD)
        return tuple(self._found(one, *verdict) for one, verdict in zip(self.capabilities, verdicts, strict=True))

    def all(self, verdict: str, said: str) -> tuple[Finding, ...]:
        return tuple(self._found(one, verdict, said) for one in self.capabilities)

    def _found(self, one: Capability, verdict: str, said: str) -> Finding:
        return Finding(self.area, one.name, verdict, said, one.without, one.needed)


def examine(
    api: AkamaiApi, wanted: Wanted, *, checks: Sequence[Check], patience: float = ALL_SECONDS
) -> Iterator[tuple[int, tuple[Finding, ...]]]:
    """The place of each check in ``checks`` and its findings, as they come. What is not there in time is unknown."""
    pool = ThreadPoolExecutor(AT_ONCE)
    began = time.monotonic()
    asked = {pool.submit(check.run, api, wanted): number for number, check in enumerate(checks)}
    left = dict(asked)
    try:
        for done in _in_time(asked, patience):
            yield left.pop(done), done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for number in left.values():
        yield number, checks[number].all(UNKNOWN, f"{NO_ANSWER} ({time.monotonic() - began:.0f} s)")


def _in_time(asked: Mapping[Future[Any], int], patience: float) -> Iterator[Future[Any]]:
    try:
        yield from as_completed(asked, timeout=patience)
    except TimeoutError:
        return


def by_codes(held: Sequence[str], wanted: Sequence[Capability], group: object) -> list[tuple[str, str]]:
    """Granted when every code is held; else the missing ones are named."""
    found = []
    for one in wanted:
        lacking = [code for code in one.codes if code not in held]
        said = f"Group {group} lacks {', '.join(lacking)}." if lacking else f"Group {group} has {', '.join(one.codes)}."
        found.append((MISSING if lacking else GRANTED, said))
    return found


def ask_edgeworkers_group(api: AkamaiApi, wanted: Wanted, of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    held = api.get_json(f"{EDGEWORKERS}/groups/{wanted.group_id}")
    return by_codes([str(code) for code in held["capabilities"]], of, wanted.group_id)


def ask_edgekv_groups(api: AkamaiApi, wanted: Wanted, of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    groups = api.get_json(f"{EDGEKV}/auth/groups")["groups"]
    held = next((one["capabilities"] for one in groups if one["groupId"] == wanted.group_id), None)
    if held is None:
        return [(MISSING, f"EdgeKV does not list group {wanted.group_id} for this API client.")] * len(of)
    return by_codes([str(code) for code in held], of, wanted.group_id)


def ask_tiers(api: AkamaiApi, wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    """The contracts, and the wanted tier on one of them with the limits it has today."""
    contracts = [str(one) for one in api.get_json(f"{EDGEWORKERS}/contracts")["contractIds"]]
    chosen = [one for one in contracts if wanted.contract_id in ("", one)]
    if not chosen:
        named = ", ".join(contracts) or "none"
        said = f"Contract {wanted.contract_id or 'of any kind'} is not there. There: {named}."
        return [(MISSING, said), (UNKNOWN, "Without a contract no tier can be looked up.")]
    tiers = [
        (contract, tier)
        for contract in chosen[:MOST_CONTRACTS]
        for tier in api.get_json(f"{EDGEWORKERS}/resource-tiers", {"contractId": contract})["resourceTiers"]
    ]
    verdict, said = _tier(tiers, wanted.resource_tier_id)
    if verdict == MISSING and len(chosen) > MOST_CONTRACTS:
        verdict, said = UNKNOWN, f"{said} Only {MOST_CONTRACTS} of {len(chosen)} contracts were asked: name yours."
    return [(GRANTED, f"EdgeWorkers is on {', '.join(chosen)}."), (verdict, said)]


def _tier(tiers: Sequence[tuple[str, Mapping[str, Any]]], tier_id: int) -> tuple[str, str]:
    for contract, tier in tiers:
        if tier["resourceTierId"] == tier_id:
            limits = "; ".join(_limit(one) for one in tier.get("edgeWorkerLimits", []))
            return GRANTED, f"Tier {tier_id}, {tier['resourceTierName']}, on {contract}. {limits}".strip()
    offered = ", ".join(f"{tier['resourceTierId']} {tier['resourceTierName']}" for _, tier in tiers) or "none"
    return MISSING, f"There is no tier {tier_id}. There: {offered}."


def _limit(row: Mapping[str, Any]) -> str:
    unit = {"MILLISECOND": " ms", "BYTE": " bytes"}.get(str(row["limitUnit"]), "")
    return f"{row['limitName']}: {row['limitValue']}{unit}"


def ask_limits(api: AkamaiApi, _wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    rows = api.get_json(f"{EDGEWORKERS}/limits")["limits"]
    return [(GRANTED, "; ".join(f"{row['limitName']}: {row['limitValue']}" for row in rows) or "None are listed.")]


def ask_store(api: AkamaiApi, _wanted: Wanted, of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    found = api.find_json(f"{EDGEKV}/initialize")
    if found is None:
        return [(MISSING, "EdgeKV was never initialised. The set-up does it.")] * len(of)
    told = [str(found["stagingStatus"]), str(found["productionStatus"])]
    return [(GRANTED if one == "INITIALIZED" else MISSING, f"Akamai says {one}.") for one in told]


def ask_namespaces(api: AkamaiApi, wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    return [_namespace(api, wanted.namespace, network) for network in (STAGING, PRODUCTION)]


def _namespace(api: AkamaiApi, name: str, network: str) -> tuple[str, str]:
    rows = api.get_json(f"{EDGEKV}/networks/{network.lower()}/namespaces")["namespaces"]
    if any(row["namespace"] == name for row in rows):
        return GRANTED, f"{name} is there."
    return MISSING, f"{name} is not there. The set-up makes it."


def ask_tokens(api: AkamaiApi, wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    """New tokens name no end but a day on which they renew themselves; old ones run out."""
    rows = api.get_json(f"{EDGEKV}/tokens", {"includeExpired": "true"})["tokens"]
    row = next((one for one in rows if one["name"] == wanted.token_name), None)
    if row is None:
        return [(MISSING, f"{wanted.token_name} is not there. The set-up makes it.")]
    renewal = row.get("nextScheduledRefreshDate")
    more = f" Akamai renews it on {renewal}." if renewal and renewal != row["expiry"] else ""
    lasts = "It does not run out." if str(row["expiry"]).startswith("9999") else f"It is good until {row['expiry']}."
    return [(GRANTED, f"{wanted.token_name} is there. {lasts}{more}")]


def ask_client(api: AkamaiApi, _wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    """Only what is named here is kept of the answer: it also holds the access token."""
    found = api.get_json(f"{IAM}/api-clients/self", {"apiAccess": "true", "credentials": "true"})
    active = [one for one in found.get("credentials", []) if one.get("status") == "ACTIVE"]
    ends = sorted(str(one["expiresOn"])[:10] for one in active)
    right = _activation_right(found.get("apiAccess") or {})
    if not ends:
        return [(UNKNOWN, "Akamai lists no active credential of this API client."), right]
    return [(GRANTED, f"{found['clientName']} has {len(ends)} active; the first runs out on {ends[0]}."), right]


def _activation_right(access: Mapping[str, Any]) -> tuple[str, str]:
    if access.get("allAccessibleApis"):
        return GRANTED, "The API client may use every API its user may."
    level = next((str(one["accessLevel"]) for one in access.get("apis", []) if "papi" in str(one["endPoint"])), "")
    if not level:
        return MISSING, "The API client's list of APIs does not hold Property Manager."
    return (GRANTED if level == "READ-WRITE" else MISSING), f"Its access to Property Manager is {level}."


def ask_properties(api: AkamaiApi, wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
    groups = api.get_json(f"{PAPI}/groups", headers=NO_PREFIXES)["groups"]["items"]
    group = next((one for one in groups if str(one["groupId"]) == str(wanted.group_id)), None)
    if group is None:
        return [(MISSING, f"Property Manager does not list group {wanted.group_id} for this API client.")]
    contracts = [wanted.contract_id] if wanted.contract_id else [str(one) for one in group["contractIds"]]
    if not contracts:
        return [(MISSING, f"Group {wanted.group_id} is on no contract in Property Manager.")]
    seen = 0
    for contract in contracts[:MOST_CONTRACTS]:
        asked = {"contractId": contract, "groupId": str(wanted.group_id)}
        seen += len(api.get_json(f"{PAPI}/properties", asked, NO_PREFIXES)["properties"]["items"])
    return [(GRANTED, f"It sees {seen} propert{'y' if seen == 1 else 'ies'} in group {wanted.group_id}.")]


def ask_whether_it_answers(path: str, what: str) -> Callable[..., list[tuple[str, str]]]:
    def ask(api: AkamaiApi, _wanted: Wanted, _of: tuple[Capability, ...]) -> list[tuple[str, str]]:
        found = api.get_json(path)
        lists = [found] if isinstance(found, list) else [one for one in found.values() if isinstance(one, list)]
        rows = lists[0] if lists else []
        return [(GRANTED, f"{len(rows)} {what}.")]

    return ask
