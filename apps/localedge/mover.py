"""Carries moves out: a version goes live, or off, some time after it was asked for.

The thread works on rows only, so it takes up what a killed process left behind.
"""

from __future__ import annotations

import logging
import threading

from apps.localedge.activations import UNFINISHED
from apps.localedge.config import Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import Clock, EdgeWorkers
from apps.localedge.engine import EngineDied, EngineError
from apps.localedge.faults import Faults
from apps.localedge.http import Problem
from apps.localedge.plane import Activation, DataPlane
from apps.localedge.versions import Versions

logger = logging.getLogger("localedge.mover")

TICK_SECONDS = 0.02
IDLE_SECONDS = 1.0
# Parts of the delay after which a move shows the next status.
PENDING_AFTER = 0.1
IN_PROGRESS_AFTER = 0.3


class Mover:
    def __init__(
        self,
        *,
        config: Config,
        database: Database,
        edgeworkers: EdgeWorkers,
        versions: Versions,
        plane: DataPlane,
        faults: Faults,
        now: Clock,
    ) -> None:
        self._config = config
        self._database = database
        self._edgeworkers = edgeworkers
        self._versions = versions
        self._plane = plane
        self._faults = faults
        self._now = now
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mover", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._awake.set()
        self._thread.join()

    def wake(self) -> None:
        self._awake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            moves = self._unfinished()
            for move in moves:
                self._advance(move)
            self._awake.wait(TICK_SECONDS if moves else IDLE_SECONDS)

    def _unfinished(self) -> list[Row]:
        marks = ",".join("?" * len(UNFINISHED))
        return self._database.all(
            f"SELECT * FROM moves WHERE status IN ({marks}) ORDER BY created_at, id",  # noqa: S608 - marks only
            *UNFINISHED,
        )

    def _advance(self, move: Row) -> None:
        delay = self._config.activation_delay[move.text("network")]
        elapsed = self._now() - move.real("created_at")
        if elapsed >= delay:
            self._finish(move)
        elif elapsed >= delay * IN_PROGRESS_AFTER:
            self._show(move, "IN_PROGRESS")
        elif elapsed >= delay * PENDING_AFTER:
            self._show(move, "PENDING")

    def _show(self, move: Row, status: str) -> bool:
        """False when the move was cancelled meanwhile."""
        with self._database.exclusive():
            key = (move["kind"], move["id"])
            now = self._database.first("SELECT status FROM moves WHERE kind=? AND id=?", *key)
            if now is None or now["status"] not in UNFINISHED:
                return False
            if now["status"] != status:
                sql = "UPDATE moves SET status=?, modified_at=? WHERE kind=? AND id=?"
                self._database.run(sql, status, self._now(), *key)
            return True

    def _finish(self, move: Row) -> None:
        if not self._show(move, "IN_PROGRESS"):
            return
        try:
            with self._plane.bundles:
                status = self._carry_out(move)
                self._settle(move, status)
        except EngineDied:
            logger.warning("%s %s waits for the data plane", move["kind"], move["id"])

    def _carry_out(self, move: Row) -> str:
        """The status it ends in. Only the id the property is bound to reaches the data plane."""
        wished = self._faults.next_activation_result()
        if wished is not None:
            return wished
        if move.integer("edgeworker_id") != self._edgeworkers.bound_id():
            return "COMPLETE"
        try:
            self._tell(move)
        except (EngineError, Problem) as error:
            logger.error("%s of %s refused: %s", move["kind"], move["version"], error)
            return "ERROR"
        return "COMPLETE"

    def _tell(self, move: Row) -> None:
        if move["kind"] == "deactivation":
            self._plane.deactivate(move.text("network"))
        else:
            self._plane.activate(
                self.activation(move.integer("edgeworker_id"), move.text("version"), move.text("network"))
            )

    def activation(self, ew_id: int, version: str, network: str) -> Activation:
        tier = self._edgeworkers.tier_of(self._edgeworkers.row(str(ew_id)))
        return Activation(network, ew_id, self._versions.bundle(ew_id, version), tier)

    def _settle(self, move: Row, status: str) -> None:
        with self._database.exclusive():
            place = (move["edgeworker_id"], move["network"])
            if status == "COMPLETE":
                self._database.run("DELETE FROM active WHERE edgeworker_id=? AND network=?", *place)
            if status == "COMPLETE" and move["kind"] == "activation":
                sql = "INSERT INTO active (edgeworker_id, network, activation_id, version) VALUES (?,?,?,?)"
                self._database.run(sql, *place, move["id"], move["version"])
            sql = "UPDATE moves SET status=?, modified_at=? WHERE kind=? AND id=?"
            self._database.run(sql, status, self._now(), move["kind"], move["id"])

    def live(self) -> tuple[Activation, ...]:
        """What a data plane that starts now has to run."""
        bound = self._edgeworkers.bound_id()
        rows = self._database.all("SELECT * FROM active WHERE edgeworker_id=?", bound)
        return tuple(
            self.activation(row.integer("edgeworker_id"), row.text("version"), row.text("network")) for row in rows
        )
