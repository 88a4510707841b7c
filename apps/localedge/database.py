"""What the control plane must not forget: one SQLite file, one connection, one writer at a time.

An answered write is on disk: WAL with full synchronisation survives a kill, and a power cut too.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

_SCHEMA = """
CREATE TABLE IF NOT EXISTS edgeworkers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, description TEXT, group_id INTEGER NOT NULL,
  tier_id INTEGER NOT NULL, source_id INTEGER, created_by TEXT NOT NULL, created_at REAL NOT NULL,
  modified_by TEXT NOT NULL, modified_at REAL NOT NULL);
-- A deleted version keeps its row without content: its name is never free again.
CREATE TABLE IF NOT EXISTS versions (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, edgeworker_id INTEGER NOT NULL, version TEXT NOT NULL,
  checksum TEXT NOT NULL, content BLOB, created_by TEXT NOT NULL, created_at REAL NOT NULL,
  UNIQUE (edgeworker_id, version));
-- kind: activation or deactivation; each kind counts its own ids.
CREATE TABLE IF NOT EXISTS moves (
  kind TEXT NOT NULL, id INTEGER NOT NULL, edgeworker_id INTEGER NOT NULL, version TEXT NOT NULL, network TEXT NOT NULL,
  note TEXT, status TEXT NOT NULL, created_by TEXT NOT NULL, created_at REAL NOT NULL, modified_at REAL NOT NULL,
  PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS active (
  edgeworker_id INTEGER NOT NULL, network TEXT NOT NULL, activation_id INTEGER NOT NULL, version TEXT NOT NULL,
  PRIMARY KEY (edgeworker_id, network));
CREATE TABLE IF NOT EXISTS kv_account (one INTEGER PRIMARY KEY CHECK (one = 1), policy TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS kv_namespaces (
  network TEXT NOT NULL, namespace TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (network, namespace));
-- value NULL: deleted. previous is what the edge still reads until visible_at.
CREATE TABLE IF NOT EXISTS kv_items (
  network TEXT NOT NULL, namespace TEXT NOT NULL, item_group TEXT NOT NULL, item_key TEXT NOT NULL,
  value TEXT, previous TEXT, visible_at REAL NOT NULL,
  PRIMARY KEY (network, namespace, item_group, item_key));
CREATE TABLE IF NOT EXISTS kv_tokens (name TEXT PRIMARY KEY, uuid TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS papi_properties (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, hostnames TEXT NOT NULL,
  staging_version INTEGER, production_version INTEGER);
-- A version that was ever activated can no longer be written.
CREATE TABLE IF NOT EXISTS papi_versions (
  property_id INTEGER NOT NULL, version INTEGER NOT NULL, rules TEXT NOT NULL, etag TEXT NOT NULL, note TEXT NOT NULL,
  updated_by TEXT NOT NULL, updated_at REAL NOT NULL, PRIMARY KEY (property_id, version));
CREATE TABLE IF NOT EXISTS papi_activations (
  id INTEGER PRIMARY KEY AUTOINCREMENT, property_id INTEGER NOT NULL, version INTEGER NOT NULL, network TEXT NOT NULL,
  kind TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL, note TEXT NOT NULL, emails TEXT NOT NULL,
  submitted_at REAL NOT NULL, updated_at REAL NOT NULL);
-- config: what was asked for, as it was asked, secrets included. since: when the status began.
CREATE TABLE IF NOT EXISTS streams (
  id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL, config TEXT NOT NULL, status TEXT NOT NULL,
  since REAL NOT NULL, created_by TEXT NOT NULL, created_at REAL NOT NULL,
  modified_by TEXT NOT NULL, modified_at REAL NOT NULL);
-- The first id is that of the certificate in the configuration file, which has no row.
CREATE TABLE IF NOT EXISTS certificates (
  id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id > 1), facts TEXT NOT NULL, last_version INTEGER NOT NULL DEFAULT 0,
  created_by TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS certificate_versions (
  certificate_id INTEGER NOT NULL, version INTEGER NOT NULL, guid TEXT NOT NULL UNIQUE, private_key TEXT NOT NULL,
  csr TEXT NOT NULL, certificate TEXT, chain TEXT, submitted_by TEXT, submitted_at REAL,
  created_by TEXT NOT NULL, created_at REAL NOT NULL, PRIMARY KEY (certificate_id, version));
INSERT OR IGNORE INTO sqlite_sequence (name, seq)
  SELECT 'certificates', 1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name='certificates');
"""


class Row(dict[str, "str | int | float | bytes | None"]):
    """A row whose columns are read with the type they have in the schema."""

    def text(self, column: str) -> str:
        return str(self[column])

    def optional(self, column: str) -> str | None:
        return None if self[column] is None else str(self[column])

    def integer(self, column: str) -> int:
        return cast("int", self[column])

    def real(self, column: str) -> float:
        return cast("float", self[column])

    def blob(self, column: str) -> bytes:
        return cast("bytes", self[column])


class Database:
    """Thread-safe. ``exclusive`` blocks nest, so one use case is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Commits on leaving the outermost block; an exception undoes all of it."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._commit()

    def _commit(self) -> None:
        """A commit that fails, on a full disk say, must not leave its transaction open for the next caller."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise

    def run(self, sql: str, *values: object) -> int:
        """Executes one statement; the id of an inserted row."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    def all(self, sql: str, *values: object) -> list[Row]:
        with self._lock:
            return [Row(dict(row)) for row in self._connection.execute(sql, values)]

    def first(self, sql: str, *values: object) -> Row | None:
        rows = self.all(sql, *values)
        return rows[0] if rows else None

    def count(self, sql: str, *values: object) -> int:
        with self._lock:
            return int(self._connection.execute(sql, values).fetchone()[0])
