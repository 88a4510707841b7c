"""The properties there are from the start, as a person might have made them: active on both networks."""

from __future__ import annotations

import hashlib

import orjson

from apps.localedge.config import Config, PropertySettings
from apps.localedge.database import Database
from apps.localedge.engine import Json


def seed(database: Database, config: Config, at: float) -> None:
    """Does nothing when it is there already; hostnames follow the configuration."""
    with database.exclusive():
        for number, one in config.properties.items():
            hostnames = orjson.dumps(list(one.hostnames)).decode()
            rules = orjson.dumps(_rules(one)).decode()
            database.run("INSERT OR IGNORE INTO papi_properties VALUES (?,?,?,1,1)", number, one.name, hostnames)
            database.run("UPDATE papi_properties SET hostnames=? WHERE id=?", hostnames, number)
            database.run(
                "INSERT OR IGNORE INTO papi_versions VALUES (?,1,?,?,'','local',?)",
                *(number, rules, etag_of(rules, number, 1), at),
            )


def etag_of(rules: str, property_id: int, version: int) -> str:
    """Differs whenever what it stands for does."""
    return hashlib.sha256(f"{property_id} {version} {rules}".encode()).hexdigest()[:40]


def _rules(of: PropertySettings) -> dict[str, Json]:
    origin: Json = {
        "name": "origin",
        "options": {"originType": "CUSTOMER", "hostname": of.hostnames[0], "httpsPort": 443},
    }
    compression: Json = {
        "name": "Compress text",
        "criteria": [
            {
                "name": "contentType",
                "options": {"matchOperator": "IS_ONE_OF", "values": ["text/*"]},
            }
        ],
        "behaviors": [{"name": "gzipResponse", "options": {"behavior": "ALWAYS"}}],
        "children": [],
        "criteriaMustSatisfy": "all",
        "comments": "Made by a person.",
    }
    return {
        "name": "default",
        "behaviors": [origin, {"name": "cpCode", "options": {"value": {"id": 1}}}],
        "children": [compression],
        "criteria": [],
        "variables": [],
        "options": {"is_secure": True},
    }
