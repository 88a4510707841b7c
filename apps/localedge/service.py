"""Puts the stand-in together: one process, one database, one data plane."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import uvicorn

from apps.localedge.account import Account
from apps.localedge.activations import Activations
from apps.localedge.client_lists import ClientLists
from apps.localedge.config import Config
from apps.localedge.control import Control
from apps.localedge.database import Database
from apps.localedge.datastream import DataStream
from apps.localedge.edgegrid import Verifier
from apps.localedge.edgekv import EdgeKV
from apps.localedge.edgekv_account import EdgeKVAccount
from apps.localedge.edgeworkers import EdgeWorkers
from apps.localedge.faults import Faults
from apps.localedge.keystore import BEGAN, Keystore
from apps.localedge.lists_store import ListsStore
from apps.localedge.mover import Mover
from apps.localedge.network_lists import NetworkLists
from apps.localedge.papi import Papi
from apps.localedge.papi_activations import PapiActivations
from apps.localedge.papi_rules import PapiRules
from apps.localedge.papi_seed import seed
from apps.localedge.papi_store import PapiStore
from apps.localedge.plane import DataPlane, Snapshot
from apps.localedge.property_live import LiveProperty
from apps.localedge.tiers import load_tiers
from apps.localedge.versions import Versions

logger = logging.getLogger("localedge")

DATABASE = "localedge.sqlite3"


class Service:
    def __init__(self, config: Config) -> None:
        now = time.time
        faults = Faults()
        self._config = config
        self._database = Database(Path(config.state_dir) / DATABASE)
        self._plane = DataPlane(config, self._snapshot)
        seed(self._database, config, now())
        store = PapiStore(database=self._database, delays=config.activation_delay, now=now)
        live = LiveProperty(store=store, database=self._database)
        edgeworkers = EdgeWorkers(config=config, database=self._database, tiers=load_tiers(), users=live.users, now=now)
        versions = Versions(config=config, database=self._database, edgeworkers=edgeworkers, faults=faults, now=now)
        self._kv = EdgeKV(config=config, database=self._database, plane=self._plane, now=now)
        self._account = EdgeKVAccount(config=config, database=self._database, plane=self._plane, now=now)
        self._mover = Mover(
            config=config,
            database=self._database,
            edgeworkers=edgeworkers,
            versions=versions,
            plane=self._plane,
            faults=faults,
            now=now,
        )
        activations = Activations(
            config=config,
            database=self._database,
            edgeworkers=edgeworkers,
            versions=versions,
            wake=self._mover.wake,
            now=now,
        )
        papi = Papi(config=config, store=store, now=now)
        rules = PapiRules(papi=papi, store=store, database=self._database, now=now)
        property_activations = PapiActivations(papi=papi, store=store, rules=rules, faults=faults, now=now)
        self._lists = ListsStore(config=config, database=self._database, plane=self._plane, faults=faults, now=now)
        lists = (NetworkLists(store=self._lists), ClientLists(store=self._lists))
        streams = DataStream(config=config, database=self._database, now=now)
        keystore = Keystore(config=config, database=self._database, in_use=live.certificates, began=BEGAN, now=now)
        self._plane.follow(live, streams, keystore)
        parts = (
            *(edgeworkers, versions, activations, self._kv, self._account),
            *(Account(now=now), papi, rules, property_activations, streams, keystore),
            *lists,
        )
        self._control = Control(
            routes=tuple(entry for part in parts for entry in part.routes()),
            verifier=Verifier(config.credentials),
            faults=faults,
            plane=self._plane,
            now=now,
        )

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._mover.live(), self._kv.visible(), self._account.tokens(), self._lists.guards())

    def run(self) -> None:
        """Serves until a signal ends it."""
        self._plane.start()
        self._mover.start()
        self._lists.resume()
        address = self._config.control
        server = uvicorn.Server(
            uvicorn.Config(
                self._control,
                host=address.host,
                port=address.port,
                lifespan="off",
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=2,
            )
        )
        try:
            server.run()
        finally:
            self._lists.stop()
            self._mover.stop()
            self._plane.stop()
            self._database.close()
