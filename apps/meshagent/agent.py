"""The loop of a node: keep identities fresh, wait for a bundle, make it true, prove it, say so.

The console may be away for as long as it likes: what is in force stays in force, and ends by itself when it should.
"""

from __future__ import annotations

import logging
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.meshagent import calls, doors, health, probes
from apps.meshagent.bundle import BundleError, Manifest, Revisions
from apps.meshagent.config import Config
from apps.meshagent.console import Console, ConsoleError, Offer
from apps.meshagent.identities import Identities
from apps.meshagent.layout import Layout, point, replace_file, slug
from apps.meshagent.nginx import Nginx, NginxError
from apps.meshagent.rehearsal import rehearse, services_to_try

SHORTEST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
_log = logging.getLogger(__name__)


class Agent:
    def __init__(
        self,
        config: Config,
        layout: Layout,
        console: Console,
        identities: Identities,
        revisions: Revisions,
        nginx: Nginx,
    ) -> None:
        self._config, self._layout, self._console = config, layout, console
        self._identities, self._revisions, self._nginx = identities, revisions, nginx
        self._have = ""
        self._serves_old_identities = False
        self._owed: dict[str, Any] | None = None
        self._finder = calls.Finder()

    def resume(self) -> None:
        """Serves the last good revision before the console is asked anything."""
        adopted = self._nginx.adopt()
        active = self._revisions.active()
        if active is None:
            return
        if not self._revisions.is_whole(active):
            _log.warning("Revision %d is damaged; it will be fetched again", active.revision)
            return
        self._settle(active.digest)
        _log.info("Going on with revision %d, %s NGINX", active.revision, "running" if adopted else "starting")
        try:
            self._nginx.serve()
        except NginxError as error:
            _log.error("The last revision cannot be served: %s", error)
            return
        self._have = active.digest
        self._owed = self._report(active, "active")

    def run(self) -> None:
        """Never returns. Whatever goes wrong outside this node only makes it wait."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                self.step()
                pause = SHORTEST_PAUSE
            except (ConsoleError, BundleError, NginxError) as error:
                _log.warning("%s", error)
                time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, not a secret
                pause = min(LONGEST_PAUSE, pause * 2)

    def step(self) -> None:
        """One round: identities, places, debts, then at most one bundle."""
        self._renew()
        self._look_again()
        self._pay()
        offer = self._console.wait_for_bundle(self._have, self._config.poll_seconds)
        if offer is not None:
            self._take(offer)

    def _renew(self) -> None:
        if self._identities.renew(datetime.now(UTC)):
            self._serves_old_identities = True
        active = self._revisions.active()
        if self._serves_old_identities and self._have and active is not None:
            self._nginx.check(self._layout.current)
            self._nginx.serve()
            self._serves_old_identities = False
            self._owed = self._report(active, "active")

    def _look_again(self) -> None:
        """Services that this node's workload calls may stand elsewhere than when NGINX was last told."""
        if self._have and self._find_services(self._layout.revision(self._have)):
            self._nginx.check(self._layout.current)
            self._nginx.serve()

    def _find_services(self, revision: Path) -> bool:
        """Writes down where they are; whether that is news."""
        path = self._layout.root / calls.FILE
        if self._config.calls is None:
            path.unlink(missing_ok=True)
            return False
        found = calls.conf(revision, self._config.calls, self._finder).encode()
        if path.exists() and path.read_bytes() == found:
            return False
        replace_file(path, found)
        return True

    def _take(self, offer: Offer) -> None:
        manifest = self._read(offer)
        try:
            self._require_next(manifest)
            self._make_true(manifest, offer)
        except (BundleError, NginxError) as error:
            self._console.report(self._report(manifest, "failed", error=str(error)))
            raise
        self._owed = self._report(manifest, "active") | {"probes": probes.run(self._layout, offer.probes)}
        self._pay()

    def _read(self, offer: Offer) -> Manifest:
        """What was signed; of what was not, nothing is believed, not even its number."""
        try:
            return self._revisions.read(offer.signed)
        except BundleError as error:
            self._console.report(self._report(Manifest("", 0, "", {}), "failed", error=str(error)))
            raise

    def _make_true(self, manifest: Manifest, offer: Offer) -> None:
        """A revision may change nothing here, or only bring new probes."""
        if manifest.digest == self._have:
            self._revisions.renumber(manifest, offer.signed)
            return
        self._lay_down(manifest, offer)
        self._try(manifest)
        self._switch(manifest)
        _log.info("Revision %d is in force", manifest.revision)

    def _require_next(self, manifest: Manifest) -> None:
        active = self._revisions.active()
        wanted = self._config.target or (active.target if active else manifest.target)
        if manifest.target != wanted:
            raise BundleError(f"This bundle is for {manifest.target}; this node belongs to {wanted}.")
        if active is not None and manifest.revision < active.revision:
            raise BundleError(f"Revision {manifest.revision} is older than {active.revision}, which is in force.")

    def _lay_down(self, manifest: Manifest, offer: Offer) -> None:
        missing = self._revisions.missing(manifest, offer.inline)
        fetched = self._console.artifacts(missing) if missing else {}
        wanted = set(manifest.hashes.values())
        contents = {sha256: content for sha256, content in (offer.inline | fetched).items() if sha256 in wanted}
        self._revisions.lay_down(manifest, offer.signed, contents)
        self._settle(manifest.digest)

    def _settle(self, digest: str) -> None:
        """Only the doors of workloads that live here are opened here."""
        revision = self._layout.revision(digest)
        doors.settle(revision, {slug(workload) for workload in self._config.workloads})
        ways = doors.ways(revision, self._config.elsewhere)
        replace_file(self._layout.root / "node_http_doors.conf", ways.encode())
        asked = "" if self._config.health is None else health.conf(self._config.health)
        replace_file(self._layout.root / health.FILE, asked.encode())
        self._find_services(revision)

    def _try(self, manifest: Manifest) -> None:
        """NGINX must accept it, and it must answer its own decision tables, before anything is switched."""
        folder = self._layout.revision(manifest.digest)
        self._nginx.check(folder)
        services = services_to_try(manifest, self._revisions.active())
        rehearse(self._layout, self._nginx.binary, folder, services)

    def _switch(self, manifest: Manifest) -> None:
        """One rename decides which revision is in force; if NGINX will not have it, the one before stays."""
        before = self._layout.active_digest()
        point(self._layout.current, f"revisions/{manifest.digest}")
        try:
            self._nginx.serve()
        except NginxError:
            if before:
                point(self._layout.current, f"revisions/{before}")
                self._serve_again()
            raise
        self._have = manifest.digest
        self._layout.forget_revisions(keep={manifest.digest, before})

    def _serve_again(self) -> None:
        try:
            self._nginx.serve()
        except NginxError as error:
            _log.error("Nor can the revision before be served: %s", error)

    def _pay(self) -> None:
        """Sends the report that is owed; it stays owed until the console has it."""
        if self._owed is not None:
            self._console.report(self._owed)
            self._owed = None

    def _report(self, manifest: Manifest, state: str, *, error: str = "") -> dict[str, Any]:
        return {
            "node": self._config.node,
            "revision": manifest.revision,
            "digest": manifest.digest,
            "state": state,
            "error": error[:2000],
            "probes": [],
            "identities": [identity.describe() for identity in self._identities.held()],
        }
