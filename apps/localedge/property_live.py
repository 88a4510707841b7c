"""What the property that is live does besides running the code: log to streams, and show a certificate to its origin.

Criteria are not weighed: one property is served, and a behaviour anywhere in its tree counts for all of its hosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import orjson

from apps.localedge.config import NETWORKS
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import PROPERTY_ID
from apps.localedge.engine import Json
from apps.localedge.papi_store import PapiStore

_COLUMN = {"STAGING": "staging_version", "PRODUCTION": "production_version"}
Options = Mapping[str, Json]


class LiveProperty:
    def __init__(self, *, store: PapiStore, database: Database) -> None:
        self._store = store
        self._database = database

    def streams(self, network: str) -> tuple[list[str], str]:
        """The streams it names, and the template of the custom field."""
        rules, named, template = self._rules(network), list[str](), ""
        for options in options_of(rules, "datastream"):
            if options.get("logEnabled"):
                named += [str(one) for one in cast("list[Json]", options.get("logStreamName") or [])]
        for options in options_of(rules, "report"):
            if options.get("logCustomLogField"):
                template = str(options.get("customLogField") or "")
        return named, template

    def certificate(self, network: str = "PRODUCTION") -> str | None:
        """The GUID of the client certificate's version."""
        enabled = [one for one in options_of(self._rules(network), "mtlsOriginKeystore") if one.get("enable")]
        return str(enabled[-1].get("clientCertificateVersionGuid")) if enabled else None

    def certificates(self) -> frozenset[str]:
        """Those in use on either network."""
        return frozenset(guid for guid in map(self.certificate, NETWORKS) if guid is not None)

    def users(self, edgeworker_id: int, active_only: bool) -> list[Json]:
        """The properties whose rules run an EdgeWorker: in a live version, or in the latest too."""
        return [
            {
                "propertyId": row.integer("id"),
                "propertyName": row.text("name"),
                "latestVersion": self._store.latest(row),
                "stagingVersion": cast("int | None", row[_COLUMN["STAGING"]]),
                "productionVersion": cast("int | None", row[_COLUMN["PRODUCTION"]]),
            }
            for row in self._store.properties()
            if any(self._runs(row, version, edgeworker_id) for version in self._looked_at(row, active_only))
        ]

    def _looked_at(self, row: Row, active_only: bool) -> set[str]:
        live = {str(row[column]) for column in _COLUMN.values() if row[column] is not None}
        return live if active_only else {*live, str(self._store.latest(row))}

    def _runs(self, row: Row, version: str, edgeworker_id: int) -> bool:
        named = options_of(self._tree(row, version), "edgeWorker")
        return any(one.get("enabled") and str(one.get("edgeWorkerId")) == str(edgeworker_id) for one in named)

    def _rules(self, network: str) -> Options:
        row = self._store.property(str(PROPERTY_ID))
        live = row[_COLUMN[network]]
        return {} if live is None else self._tree(row, str(live))

    def _tree(self, row: Row, version: str) -> Options:
        return cast("Options", orjson.loads(self._store.version(row, version).text("rules")))


def options_of(rules: Options, name: str) -> Iterator[Options]:
    """Of every behaviour of that name, from the top down: where several count, the last one overrules."""
    for one in cast("list[Options]", rules.get("behaviors") or []):
        if one.get("name") == name:
            yield cast("Options", one.get("options") or {})
    for child in cast("list[Options]", rules.get("children") or []):
        yield from options_of(child, name)
