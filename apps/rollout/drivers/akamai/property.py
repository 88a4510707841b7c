"""Properties by PAPI: found by a hostname, read, written by whoever read them last, activated.

The EdgeWorker behaviour is needed once per property; later versions of the code need no change there. Answers carry
ETags, and a version that was ever active cannot be written, so every change is a new version made from the active one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from apps.rollout.drivers.akamai.api import MOST_WORDS, PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.base import VendorError

PAPI = "/papi/v1"
RULE_FORMAT = "v2025-10-16"
RULES_TYPE = f"application/vnd.akamai.papirules.{RULE_FORMAT}+json"
PREFIXES = {"PAPI-Use-Prefixes": "true"}
UNDER_WAY = frozenset({"NEW", "PENDING", "ZONE_1", "ZONE_2", "ZONE_3"})
ACTIVE = "ACTIVE"


class NoProperty(VendorError):
    """The account, as this credential sees it, has no property for the hostname."""


class ChangedMeanwhile(VendorError):
    """Somebody else wrote between our reading and our writing. Read again and show what is there now."""


@dataclass(frozen=True, slots=True)
class Issue:
    """An error or a warning about a rule tree. ``id`` is what a warning is acknowledged by."""

    id: str
    text: str
    place: str = ""


class Unacknowledged(VendorError):
    """The activation has warnings that a person has to accept first."""

    def __init__(self, what: str, status: int, text: str, warnings: tuple[Issue, ...]) -> None:
        super().__init__(what, status, text)
        self.warnings = warnings


@dataclass(frozen=True, slots=True)
class Property:
    """``staging`` and ``production`` are the active versions, None for none."""

    id: str
    name: str
    contract_id: str
    group_id: str
    latest: int
    staging: int | None
    production: int | None

    @property
    def number(self) -> int:
        """Without the prefix, as other APIs name it."""
        return int(self.id.removeprefix("prp_"))

    @property
    def contract(self) -> str:
        return self.contract_id.removeprefix("ctr_")

    @property
    def group(self) -> int:
        return int(self.group_id.removeprefix("grp_"))

    @property
    def base(self) -> int:
        """The version to change from: what people use now."""
        return self.production or self.staging or self.latest

    def active_on(self, network: str) -> int | None:
        return self.production if network == PRODUCTION else self.staging


@dataclass(frozen=True, slots=True)
class RuleTree:
    version: int
    etag: str
    rules: Mapping[str, Any]
    errors: tuple[Issue, ...] = ()
    warnings: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class PropertyActivation:
    id: str
    version: int
    network: str
    status: str
    retry_after: float | None = None
    failure: str = ""


class PropertyDriver:
    def __init__(self, api: AkamaiApi) -> None:
        self._api = api

    def find(self, hostname: str) -> Property:
        """The one that answers for it, or would when it is activated. Raises NoProperty; VendorError.

        Akamai names every property with a version that has the hostname and is active, or is only its latest: that of
        a property the host has left, or is to move to, among them.
        """
        found = self._call("POST", f"{PAPI}/search/find-by-value", json={"hostname": hostname}).json()
        known = [row for row in found["versions"]["items"] if row.get("propertyId")]
        rows = _most_live(known)
        if not rows:
            raise NoProperty(hostname, 404, "no property that this API client may see has this hostname")
        names = sorted({str(row.get("propertyName") or row["propertyId"]) for row in rows})
        if len({str(row["propertyId"]) for row in rows}) > 1:
            raise NoProperty(hostname, 404, f"several properties have this hostname: {', '.join(names)}")
        one = self.get(str(rows[0]["propertyId"]), str(rows[0]["contractId"]), str(rows[0]["groupId"]))
        if (one.id, one.base) not in {(str(row["propertyId"]), int(row["propertyVersion"])) for row in known}:
            live = f"version {one.base} of {one.name}, which is live, does not have this hostname; a newer one does"
            raise NoProperty(hostname, 404, live)
        return one

    def get(self, property_id: str, contract_id: str, group_id: str) -> Property:
        where = {"contractId": contract_id, "groupId": group_id}
        found = self._call("GET", f"{PAPI}/properties/{property_id}", params=where).json()
        row = found["properties"]["items"][0]
        return Property(
            id=str(row["propertyId"]),
            name=str(row["propertyName"]),
            contract_id=str(row["contractId"]),
            group_id=str(row["groupId"]),
            latest=int(row["latestVersion"]),
            staging=row["stagingVersion"],
            production=row["productionVersion"],
        )

    def hostnames(self, of: Property, version: int) -> tuple[str, ...]:
        path = f"{PAPI}/properties/{of.id}/versions/{version}/hostnames"
        rows = self._call("GET", path, params=_where(of)).json()["hostnames"]["items"]
        return tuple(str(row["cnameFrom"]) for row in rows)

    def rules(self, of: Property, version: int) -> RuleTree:
        answer = self._call("GET", _rules_path(of, version), params=_where(of), headers={"Accept": RULES_TYPE})
        return _tree(answer)

    def new_version(self, of: Property, source: RuleTree) -> int:
        """Made from a version as it was read. Refused when that was written since."""
        body = {"createFromVersion": source.version, "createFromVersionEtag": source.etag}
        made = self._call("POST", f"{PAPI}/properties/{of.id}/versions", params=_where(of), json=body).json()
        return int(str(made["versionLink"]).partition("?")[0].rpartition("/")[2])

    def write(
        self, of: Property, read: RuleTree, rules: Mapping[str, Any], note: str, *, dry_run: bool = False
    ) -> RuleTree:
        """Put the tree in place of the one that was read; with ``dry_run`` only have it judged.

        Raises ChangedMeanwhile.
        """
        params = {**_where(of), "validateRules": "true", "validateMode": "full", "dryRun": str(dry_run).lower()}
        headers = {"If-Match": f'"{read.etag}"', "Content-Type": RULES_TYPE, "Accept": RULES_TYPE}
        body = {"rules": rules, "comments": note}
        try:
            return _tree(self._call("PUT", _rules_path(of, read.version), params=params, headers=headers, json=body))
        except VendorError as error:
            if error.status == 412:
                raise ChangedMeanwhile(f"{of.name} version {read.version}", error.status, error.text) from error
            raise

    def activate(
        self,
        of: Property,
        version: int,
        network: str,
        *,
        emails: Sequence[str],
        note: str,
        acknowledged: Sequence[str] = (),
    ) -> str:
        """The id of the activation. Raises Unacknowledged with every warning that was not named."""
        body: dict[str, object] = {
            "propertyVersion": version,
            "network": network,
            "notifyEmails": list(emails),
            "note": note,
            "acknowledgeWarnings": list(acknowledged),
        }
        path = f"{PAPI}/properties/{of.id}/activations"
        answer = self._api.ask("POST", path, params=_where(of), headers=PREFIXES, json=body)
        if answer.status_code == 400 and (warnings := _issues(_body(answer).get("warnings"))):
            raise Unacknowledged(f"POST {path}", 400, f"{len(warnings)} warnings are not acknowledged", warnings)
        if answer.status_code >= 300:
            raise VendorError(f"POST {path}", answer.status_code, answer.text[:MOST_WORDS])
        return str(_body(answer)["activationLink"]).partition("?")[0].rpartition("/")[2]

    def activation(self, of: Property, activation_id: str) -> PropertyActivation:
        answer = self._call("GET", f"{PAPI}/properties/{of.id}/activations/{activation_id}", params=_where(of))
        return _activation(answer.json()["activations"]["items"][0], answer.headers.get("Retry-After", ""))

    def activations(self, of: Property) -> tuple[PropertyActivation, ...]:
        """Newest first."""
        rows = self._call("GET", f"{PAPI}/properties/{of.id}/activations", params=_where(of)).json()
        return tuple(_activation(row, "") for row in rows["activations"]["items"])

    def _call(self, method: str, path: str, **given: Any) -> requests.Response:
        headers = {**PREFIXES, **given.pop("headers", {})}
        return self._api.call(method, path, headers=headers, **given)


def _most_live(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that people use now, else those on staging, else all."""
    for network in ("productionStatus", "stagingStatus"):
        if active := [row for row in rows if row.get(network) == ACTIVE]:
            return active
    return list(rows)


def _where(of: Property) -> dict[str, str]:
    return {"contractId": of.contract_id, "groupId": of.group_id}


def _rules_path(of: Property, version: int) -> str:
    return f"{PAPI}/properties/{of.id}/versions/{version}/rules"


def _tree(answer: requests.Response) -> RuleTree:
    body = _body(answer)
    return RuleTree(
        version=int(body["propertyVersion"]),
        etag=str(body.get("etag") or answer.headers.get("ETag", "").strip('"')),
        rules=body["rules"],
        errors=_issues(body.get("errors")),
        warnings=_issues(body.get("warnings")),
    )


def _body(answer: requests.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _issues(rows: Any) -> tuple[Issue, ...]:
    """Read with patience: their shape is not published."""
    if not isinstance(rows, list):
        return ()
    return tuple(
        Issue(
            id=str(row.get("messageId", "")),
            text=str(row.get("detail") or row.get("title") or row.get("type") or "No words were given."),
            place=str(row.get("errorLocation", "")),
        )
        for row in rows
        if isinstance(row, dict)
    )


def _activation(row: Mapping[str, Any], retry_after: str) -> PropertyActivation:
    failure = row.get("failureCause")
    return PropertyActivation(
        id=str(row["activationId"]),
        version=int(row["propertyVersion"]),
        network=str(row["network"]),
        status=str(row["status"]),
        retry_after=float(retry_after) if retry_after.isdecimal() else None,
        failure=", ".join(str(value) for value in failure.values()) if isinstance(failure, dict) else "",
    )


NETWORKS = (STAGING, PRODUCTION)
"""In the order a version travels."""
