"""Lists of addresses and what is active of them on each network, for both products.

Network lists and client lists are two doors to one room, as at Akamai: a guarded host (``guarded_hosts`` in the
configuration) asks for the active version of the list of its name, whichever product made it. What is not active, or
not there, holds nobody, and the host is closed. Under ``*`` stands how lists are named, with ``{host}`` in it: then a
host is guarded for as long as the active list of its name holds anything: nobody there keeps a policy by hand.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import orjson

from apps.localedge.config import NETWORKS, Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import Json
from apps.localedge.faults import Faults
from apps.localedge.plane import DataPlane

NETWORK, CLIENT = "NL", "CL"
PENDING, ACTIVE, MODIFIED, INACTIVE, FAILED = "PENDING_ACTIVATION", "ACTIVE", "MODIFIED", "INACTIVE", "FAILED"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS lists (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, product TEXT"
    " NOT NULL, facts TEXT NOT NULL, version INTEGER NOT NULL, created_by TEXT NOT NULL, created_at REAL NOT NULL,"
    " updated_by TEXT NOT NULL, updated_at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS list_versions (id TEXT NOT NULL, version INTEGER NOT NULL, items TEXT NOT NULL,"
    " PRIMARY KEY (id, version))",
    "CREATE TABLE IF NOT EXISTS list_activations (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, network"
    " TEXT NOT NULL, version INTEGER NOT NULL, facts TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL,"
    " created_by TEXT NOT NULL, submitted_at REAL NOT NULL)",
)
ANY = "*"
Item = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a list is on a network. ``version`` is the active one, ``activation`` the latest, if there ever was."""

    status: str
    version: int | None
    activation: Row | None


class ListsStore:
    """Every write holds the plane's item lock from before the database until the engine was told."""

    def __init__(self, *, config: Config, database: Database, plane: DataPlane, faults: Faults, now: Clock) -> None:
        self._config, self._database, self._plane, self._faults, self.now = config, database, plane, faults, now
        self._timers: list[threading.Timer] = []
        for table in _TABLES:
            database.run(table)

    # -- reading ---------------------------------------------------------------------------------------------------
    def all(self, product: str) -> list[Row]:
        self.settle()
        return self._database.all("SELECT * FROM lists WHERE product=? ORDER BY number", product)

    def find(self, product: str, list_id: str) -> Row | None:
        self.settle()
        return self._database.first("SELECT * FROM lists WHERE product=? AND id=?", product, list_id)

    def items(self, row: Row, version: int | None = None) -> list[Item]:
        wanted = row.integer("version") if version is None else version
        sql = "SELECT items FROM list_versions WHERE id=? AND version=?"
        found = self._database.first(sql, row["id"], wanted)
        return [] if found is None else cast("list[Item]", orjson.loads(found.text("items")))

    def standing(self, row: Row, network: str) -> Standing:
        sql = "SELECT * FROM list_activations WHERE id=? AND network=? ORDER BY number DESC"
        rows = self._database.all(sql, row["id"], network)
        latest = rows[0] if rows else None
        live = next((one for one in rows if one["status"] == ACTIVE), None)
        version = None if live is None else live.integer("version")
        if latest is not None and latest["status"] in (PENDING, FAILED):
            return Standing(latest.text("status"), version, latest)
        if version is None:
            return Standing(INACTIVE, None, latest)
        return Standing(ACTIVE if version == row["version"] else MODIFIED, version, latest)

    # -- writing ---------------------------------------------------------------------------------------------------
    def create(self, product: str, facts: Mapping[str, Json], items: Sequence[Item], actor: str) -> Row:
        at, text = self.now(), orjson.dumps(dict(facts)).decode()
        with self.writing():
            number = self._database.count("SELECT count(*) FROM lists") + 1
            letters = "".join(char for char in str(facts["name"]).upper() if char.isalnum())[:40]
            list_id = f"{1000 + number}_{letters}"
            sql = (
                "INSERT INTO lists (id, product, facts, version, created_by, created_at, updated_by, updated_at) VALUES"
            )
            self._database.run(f"{sql} (?,?,?,0,?,?,?,?)", list_id, product, text, actor, at, actor, at)
            self._keep(list_id, 0, items)
        made = self.find(product, list_id)
        assert made is not None  # noqa: S101 - it was just written
        return made

    def change(self, row: Row, items: Sequence[Item], actor: str) -> Row:
        """A new version. The caller has read ``row`` within ``writing``."""
        version = row.integer("version") + 1
        self._keep(row.text("id"), version, items)
        sql = "UPDATE lists SET version=?, updated_by=?, updated_at=? WHERE id=?"
        self._database.run(sql, version, actor, self.now(), row["id"])
        return Row({**row, "version": version, "updated_by": actor, "updated_at": self.now()})

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One use case, alone: the engine's lock before the database's, as everywhere here."""
        with self._plane.items, self._database.exclusive():
            yield

    def _keep(self, list_id: str, version: int, items: Sequence[Item]) -> None:
        text = orjson.dumps([dict(item) for item in items]).decode()
        self._database.run("INSERT INTO list_versions VALUES (?,?,?)", list_id, version, text)

    def activate(self, row: Row, network: str, facts: Mapping[str, Json], actor: str) -> Row:
        result = self._faults.next_property_result() or ACTIVE
        text = orjson.dumps(dict(facts)).decode()
        sql = (
            "INSERT INTO list_activations (id, network, version, facts, status, result, created_by, submitted_at)"
            " VALUES (?,?,?,?,?,?,?,?)"
        )
        values = (row["id"], network, row["version"], text, PENDING, result, actor, self.now())
        number = self._database.run(sql, *values)
        self._later(self._config.activation_delay[network])
        found = self._database.first("SELECT * FROM list_activations WHERE number=?", number)
        assert found is not None  # noqa: S101 - it was just written
        return found

    # -- going live ------------------------------------------------------------------------------------------------
    def resume(self) -> None:
        """After a start: what was under way goes on."""
        if self._database.count("SELECT count(*) FROM list_activations WHERE status=?", PENDING):
            self._later(max(self._config.activation_delay.values()))

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _later(self, delay: float) -> None:
        self._timers = [timer for timer in self._timers if timer.is_alive()]
        timer = threading.Timer(delay + 0.01, self.settle)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def settle(self) -> None:
        """Whose time has come goes live, in order; the engine is told."""
        with self._plane.items:
            with self._database.exclusive():
                rows = self._database.all("SELECT * FROM list_activations WHERE status=? ORDER BY number", PENDING)
                due = [one for one in rows if self.now() - one.real("submitted_at") >= self._delay(one)]
                for one in due:
                    sql = "UPDATE list_activations SET status=? WHERE number=?"
                    self._database.run(sql, one["result"], one["number"])
            if due:
                self._plane.set_guards(self.guards())

    def _delay(self, activation: Row) -> float:
        return self._config.activation_delay[activation.text("network")]

    def guards(self) -> Json:
        """By network and guarded host: the entries of the active version, with their ends in milliseconds."""
        rows = self._database.all("SELECT * FROM lists ORDER BY number")
        named = {str(orjson.loads(row.text("facts"))["name"]): row for row in rows}
        found: dict[str, Json] = {}
        for network in NETWORKS:
            wanted = self._config.guarded_hosts
            hosts: dict[str, Json] = {
                host: self._entries(named.get(name), network) for host, name in wanted.items() if host != ANY
            }
            found[network] = {**self._by_name(named, network), **hosts}
        return found

    def _by_name(self, named: Mapping[str, Row], network: str) -> dict[str, Json]:
        """Hosts that the names of lists speak of, while such a list is active and holds anything."""
        start, found, end = self._config.guarded_hosts.get(ANY, "").partition("{host}")
        if not found:
            return {}
        return {
            name.removeprefix(start).removesuffix(end): entries
            for name, row in named.items()
            if name.startswith(start) and name.endswith(end) and (entries := self._entries(row, network))
        }

    def _entries(self, row: Row | None, network: str) -> list[Json]:
        version = None if row is None else self.standing(row, network).version
        if row is None or version is None:
            return []
        return [_entry(item) for item in self.items(row, version)]


def _entry(item: Item) -> Json:
    block = ipaddress.ip_network(str(item["value"]), strict=False)
    ends = str(item.get("expirationDate") or "")
    end = datetime.fromisoformat(ends).timestamp() * 1000 if ends else None
    return [str(block.network_address), block.prefixlen, block.version, end]


def is_block(value: Json) -> bool:
    try:
        ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        return False
    return True
