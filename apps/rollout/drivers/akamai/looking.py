"""What is looked at at Akamai before a person's choice is taken: a credential, an EdgeWorker, a namespace."""

from __future__ import annotations

from dataclasses import dataclass

from apps.rollout.drivers.akamai.api import EDGEKV, EDGEWORKERS, PRODUCTION, STAGING, AkamaiApi


@dataclass(frozen=True, slots=True)
class ChosenWorker:
    """``running``: the version that is live on production; empty for none."""

    name: str
    running: str


def list_groups(api: AkamaiApi) -> dict[int, str]:
    """Names by number of the groups Akamai shows this API client; the least a credential that works may ask for."""
    rows = api.get_json(f"{EDGEWORKERS}/groups").get("groups", [])
    return {int(one["groupId"]): str(one.get("groupName", "")) for one in rows}


def list_contracts(api: AkamaiApi) -> list[str]:
    """Those EdgeWorkers is on, as far as this API client sees."""
    return [str(one) for one in api.get_json(f"{EDGEWORKERS}/contracts").get("contractIds", [])]


def find_worker(api: AkamaiApi, number: int) -> ChosenWorker | None:
    """None where Akamai knows none, or this API client may not see it."""
    path = f"{EDGEWORKERS}/ids/{number}"
    found = api.find_json(path)
    if found is None:
        return None
    live = {"activeOnNetwork": "true", "network": PRODUCTION}
    rows = api.get_json(f"{path}/activations", live).get("activations", [])
    return ChosenWorker(str(found.get("name", number)), str(rows[0]["version"]) if rows else "")


def network_without(api: AkamaiApi, namespace: str) -> str:
    """The first network that lacks an EdgeKV namespace; empty where both have it."""
    for network in (STAGING, PRODUCTION):
        rows = api.get_json(f"{EDGEKV}/networks/{network.lower()}/namespaces").get("namespaces", [])
        if all(row.get("namespace") != namespace for row in rows):
            return network
    return ""
