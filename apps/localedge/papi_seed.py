"""The one property there is from the start, as a person might have made it: active on both networks."""

from __future__ import annotations

import hashlib

import orjson

from apps.localedge.config import Config
from apps.localedge.database import Database
from apps.localedge.edgeworkers import PROPERTY_ID
from apps.localedge.engine import Json

NAME = "local-edge"


def seed(database: Database, config: Config, at: float) -> None:
    """Does nothing when it is there already; hostnames follow the configuration."""
    hostnames = orjson.dumps(list(config.hostnames)).decode()
    rules = orjson.dumps(_rules(config)).decode()
    with database.exclusive():
        database.run("INSERT OR IGNORE INTO papi_properties VALUES (?,?,?,1,1)", PROPERTY_ID, NAME, hostnames)
        database.run("UPDATE papi_properties SET hostnames=? WHERE id=?", hostnames, PROPERTY_ID)
        database.run(
            "INSERT OR IGNORE INTO papi_versions VALUES (?,1,?,?,'','local',?)",
            *(PROPERTY_ID, rules, etag_of(rules, PROPERTY_ID, 1), at),
        )


def etag_of(rules: str, property_id: int, version: int) -> str:
    """Differs whenever what it stands for does."""
    return hashlib.sha256(f"{property_id} {version} {rules}".encode()).hexdigest()[:40]


def _rules(config: Config) -> dict[str, Json]:
    origin: Json = {
        "name": "origin",
        "options": {"originType": "CUSTOMER", "hostname": config.hostnames[0], "httpsPort": 443},
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
